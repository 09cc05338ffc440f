"""Runs are made once, taken up again, and told apart from runs of other settings."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from synthetic_faces import faces, labels_of  # noqa: E402

from mien.errors import DataError, UsageError  # noqa: E402
from mien.labels import SEVEN  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.augment import AugmentConfig  # noqa: E402
from mien.train.data.loader import TensorData  # noqa: E402
from mien.train.data.rows import Rows, one_hot, union, with_heads  # noqa: E402
from mien.train.network import load_run  # noqa: E402
from mien.train.reproduce import experiment as experiments  # noqa: E402
from mien.train.reproduce.budgets import Budget, choose_budget  # noqa: E402
from mien.train.reproduce.costs import measure_costs, step_bytes  # noqa: E402
from mien.train.reproduce.experiment import Experiment, is_finished, run_experiment  # noqa: E402
from mien.train.reproduce.papers import PAPERS  # noqa: E402
from mien.train.reproduce.sources import Source, Split  # noqa: E402
from mien.train.reproduce.starts import start_from_runs  # noqa: E402
from mien.train.reproduce.study import Plan, choose  # noqa: E402
from mien.train.sections import DataConfig, ModelConfig  # noqa: E402
from mien.train.validation import predict_logits  # noqa: E402

BUDGET = Budget("quick", seeds=1, epochs=1, size=16, batch=7, rounds=20, threads=1)
CONFIG = BUDGET.recipe(
    TrainConfig(
        data=DataConfig(heads=("fer2013",)),
        model=ModelConfig("tian2022_a"),
        augment=AugmentConfig(rotate=0.0, shift=0.0, scale=0.0),
    )
)


def bars(n, seed=0):
    codes = np.array([SEVEN.index(label) for label in labels_of(n)])
    names = tuple(f"{seed}/{i}" for i in range(n))
    return Rows(faces(n, seed), {"fer2013": one_hot(codes, 7)}, {"fer2013": SEVEN}, names)


def source(seed=0):
    split = Split(bars(21, seed), {"test": bars(9, seed + 100)})
    return Source(lambda: split, ("fer2013",))


def experiment(**changes):
    return dataclasses.replace(Experiment("net", CONFIG, ("bars",), "fer2013"), **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    said = []
    both = experiment(seeds=(0, 1), features=True)
    outcome = run_experiment(both, {"bars": source()}, BUDGET, out, say=said.append)
    return out, both, outcome, said


def test_each_seed_has_a_folder_and_answers_of_its_own(made):
    _, _, outcome, said = made
    assert [folder.name for folder in outcome.folders] == ["net-s0", "net-s1"]
    told = outcome.answers["test"]
    assert told.names == tuple(f"100/{i}" for i in range(9))
    assert [told.labels[code] for code in told.truth] == labels_of(9)
    assert told.logits.shape == (2, 9, 7)
    assert not np.allclose(told.logits[0], told.logits[1])
    assert [f.shape for f in told.features] == [(9, 128)] * 2
    assert outcome.trained_on == (21,)
    assert said[0] == "net-s0: 21 faces, 1 epochs"


def test_the_answers_are_those_of_the_network_that_is_kept(made):
    _, _, outcome, _ = made
    run = load_run(outcome.folders[1])
    assert run.config.seed == 1
    data = TensorData(bars(9, 100), (), 16, "cpu")
    expected = predict_logits(run.model, data)["fer2013"]
    np.testing.assert_allclose(outcome.answers["test"].logits[1], expected, atol=1e-6)


def test_a_finished_run_is_not_trained_again(made, monkeypatch):
    out, both, outcome, _ = made
    assert not (outcome.folders[0] / "checkpoint.safetensors").exists()

    def refuse(*args, **more):
        raise AssertionError("trained again")

    monkeypatch.setattr(experiments, "train_rows", refuse)
    said = []
    again = run_experiment(both, {"bars": source()}, BUDGET, out, say=said.append)
    assert said == ["net-s0: finished before", "net-s1: finished before"]
    np.testing.assert_array_equal(again.answers["test"].logits, outcome.answers["test"].logits)
    assert again.histories == outcome.histories
    assert is_finished(both, {"bars": source()}, BUDGET, out)
    assert not is_finished(experiment(seeds=(0, 1, 2)), {"bars": source()}, BUDGET, out)


@pytest.mark.parametrize("what", ["settings", "faces"])
def test_other_settings_or_faces_are_refused_and_not_mixed(made, what):
    out, both, _, _ = made
    other = dataclasses.replace(both, config=dataclasses.replace(CONFIG, smoothing=0.1))
    chosen, faces_of = (other, source()) if what == "settings" else (both, source(5))
    assert not is_finished(chosen, {"bars": faces_of}, BUDGET, out)
    with pytest.raises(DataError, match="net-s0 holds a run with other settings or data"):
        run_experiment(chosen, {"bars": faces_of}, BUDGET, out)


def test_a_killed_run_goes_on(tmp_path):
    """Stopped between its epochs, it ends with the weights of a run without a stop."""
    two = experiment(config=dataclasses.replace(CONFIG, epochs=2))
    whole = run_experiment(two, {"bars": source()}, BUDGET, tmp_path / "whole")

    def stop(done, total, loss):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(two, {"bars": source()}, BUDGET, tmp_path / "cut", progress=stop)
    assert not (tmp_path / "cut" / "runs" / "net-s0" / "result.json").exists()
    steps = []
    rest = run_experiment(
        two,
        {"bars": source()},
        BUDGET,
        tmp_path / "cut",
        progress=lambda done, total, loss: steps.append(done),
    )
    assert steps == [4, 5, 6]
    np.testing.assert_array_equal(rest.answers["test"].logits, whole.answers["test"].logits)


def test_folds_are_put_together_in_order(tmp_path):
    folds = {"one": source(0), "two": source(50)}
    outcome = run_experiment(experiment(sources=("one", "two")), folds, BUDGET, tmp_path)
    assert [folder.name for folder in outcome.folders] == ["net-s0-f0", "net-s0-f1"]
    told = outcome.answers["test"]
    assert told.logits.shape == (1, 18, 7)
    assert told.folds.tolist() == [0] * 9 + [1] * 9
    assert told.names[0] == "100/0" and told.names[9] == "150/0"


def test_each_held_out_set_has_its_head(tmp_path):
    """Two sets with labels of their own train a head each, and are measured by it."""
    other = Rows(
        faces(9, 7), {"b": one_hot(np.arange(9) % 2, 2)}, {"b": ("x", "y")}, tuple("abcdefghi")
    )
    train = union([bars(21), other])
    held_out = {"test": bars(9, 100), "more": other}
    split = Split(train, {k: with_heads(rows, train.labels) for k, rows in held_out.items()})
    both = dataclasses.replace(CONFIG, data=DataConfig(heads=("fer2013", "b")))
    two = experiment(config=both, heads={"more": "b"})
    outcome = run_experiment(two, {"bars": Source(lambda: split, ())}, BUDGET, tmp_path)
    assert [outcome.answers[k].labels for k in ("test", "more")] == [SEVEN, ("x", "y")]
    assert outcome.answers["more"].truth.tolist() == (np.arange(9) % 2).tolist()
    assert outcome.answers["more"].logits.shape == (1, 9, 2)
    assert set(outcome.histories[0][0]) == {"epoch", "loss", "fer2013", "faces_per_s"}


def test_a_network_starts_from_another_experiments(tmp_path):
    """At a learning rate of next to nothing it is that experiment's but for the head."""
    first = run_experiment(experiment(), {"bars": source()}, BUDGET, tmp_path)
    still = dataclasses.replace(CONFIG, optim=dataclasses.replace(CONFIG.optim, lr=1e-12))
    second = experiment(name="second", config=still, init="net")
    outcome = run_experiment(second, {"bars": source()}, BUDGET, tmp_path)
    ours, theirs = (load_run(o.folders[0]).model.state_dict() for o in (outcome, first))
    weights = [name for name in ours if name.endswith("weight")]
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in weights)


def test_a_teachers_run_is_what_the_student_is_asked_to_learn_from(tmp_path):
    run_experiment(experiment(), {"bars": source()}, BUDGET, tmp_path)
    student = experiment(name="student", teachers=("net",))
    outcome = run_experiment(student, {"bars": source()}, BUDGET, tmp_path)
    config = load_run(outcome.folders[0]).config
    assert config.distil.teachers == (str(tmp_path / "runs" / "net-s0"),)
    data = json.loads((outcome.folders[0] / "data.json").read_text())
    assert "teachers" in data["digests"]


def test_faces_are_thinned_evenly(tmp_path):
    small = dataclasses.replace(BUDGET, faces=7, held_out=3)
    outcome = run_experiment(experiment(), {"bars": source()}, small, tmp_path)
    assert outcome.trained_on == (7,)
    assert outcome.answers["test"].names == ("100/1", "100/4", "100/7")
    start = run_experiment(
        experiment(name="first", start=True), {"bars": source()}, small, tmp_path
    )
    assert start.trained_on == (21,)  # what others start from is cut by another number
    two = dataclasses.replace(small, start_faces=14)
    start = run_experiment(experiment(name="less", start=True), {"bars": source()}, two, tmp_path)
    assert start.trained_on == (14,)


def test_a_budget_takes_what_the_command_line_sets():
    budgets = {
        "full": Budget("full", seeds=3, epochs=40, folds=10),
        "cpu": Budget("cpu", seeds=1, epochs=4, faces=100),
        "quick": Budget("quick", seeds=1, epochs=1),
    }
    assert choose_budget(budgets, None).name == "cpu"
    assert choose_budget(budgets, None, device="cuda").name == "full"
    told = choose_budget(budgets, "cpu", seeds=2, epochs=9, limit=30, threads=1)
    assert (told.seeds, told.epochs, told.faces, told.held_out, told.threads) == (2, 9, 30, 30, 1)
    assert told.start_faces == 30
    assert told.describe() == (
        "2 seeds, 9 epochs, at most 30 training faces, at most 30 of each held-out set, "
        "48x48 pixels, batches of 64, on cpu"
    )
    with pytest.raises(UsageError, match="--seeds and --epochs must be at least 1"):
        choose_budget(budgets, "cpu", seeds=0)


def test_folds_are_for_papers_that_have_them():
    budgets = PAPERS["yu2023"].budgets
    assert (choose_budget(budgets, "cpu").folds, choose_budget(budgets, "cpu", folds=7).folds) == (
        2,
        7,
    )
    assert choose_budget(budgets, "full").folds == 10
    with pytest.raises(UsageError, match="--folds must be 1 to 10"):
        choose_budget(budgets, "cpu", folds=11)
    with pytest.raises(UsageError, match="--folds: this paper's comparison has no folds"):
        choose_budget(PAPERS["yang2023"].budgets, "cpu", folds=2)


def test_a_recipe_gets_the_budgets_numbers():
    config = Budget("cpu", seeds=1, epochs=4, size=24, batch=32).recipe(TrainConfig(), times=5)
    assert (config.epochs, config.model.size, config.batch, config.optim.warmup) == (20, 24, 32, 1)
    assert BUDGET.recipe(TrainConfig()).optim.warmup == 0.1


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", ["quick", "cpu", "full"])
def test_every_plan_is_consistent(paper, name, tmp_path):
    """What tables, pictures and runs name is there; what a run starts from stands before it."""
    budget = PAPERS[paper].budgets[name]
    assert budget.name == name
    plan = PAPERS[paper].plan(tmp_path, budget)
    seen = []
    for one in plan.experiments:
        assert one.name not in seen
        assert {n for n in (one.init, *one.teachers) if n} <= set(seen)
        assert set(one.sources) <= set(plan.sources)
        assert one.head in one.config.data.heads
        assert one.config.keep == "last"  # no checkpoint is chosen on what is measured
        assert one.config.model.size == (
            64 if one.config.model.name == "mien_base" else budget.size
        )
        seen.append(one.name)
    named = [line.experiment for sheet in plan.sheets for line in sheet.lines]
    named += [name for c in plan.comparisons for p in c.pairs for name in (p.ours, p.theirs)]
    named += [picture.experiment for picture in plan.pictures]
    assert set(named) <= set(seen)
    assert plan.departures and plan.protocol


def test_only_brings_what_it_needs(tmp_path):
    plan = PAPERS["lee2023"].plan(tmp_path, PAPERS["lee2023"].budgets["quick"])
    assert [e.name for e in choose(plan, ["narrow-kd"])] == ["teacher", "narrow-kd"]
    assert [e.name for e in choose(plan, ["narrow"])] == ["narrow"]
    assert len(choose(plan, [])) == 9
    with pytest.raises(UsageError, match="lee2023 has no experiment x; it has teacher, student"):
        choose(plan, ["x"])


def plan_of(*experiments, **more):
    return Plan(
        paper="tian2022",
        title="",
        experiments=experiments,
        sources={"bars": source()},
        protocol=("p",),
        departures=("other faces",),
        sheets=(),
        **more,
    )


def test_an_experiment_starts_from_a_run_made_elsewhere(made, tmp_path):
    """Known by its weights: the folder may be moved, and other weights are another start."""
    outcome = made[2]
    moved = [shutil.copytree(folder, tmp_path / folder.name) for folder in outcome.folders]
    fresh = experiment(name="second")
    plan = start_from_runs(plan_of(fresh, experiment(name="third", init="second")), [str(moved[0])])
    second, third = plan.experiments
    assert second.config.optim.lr == pytest.approx(0.2 * CONFIG.optim.lr)
    assert third.config == CONFIG  # starts from the second already
    assert plan.started == {
        "second": "started from the run `net-s0` of tian2022_a, trained with fer2013's 21 faces "
        "(heads fer2013); 0.2 of the learning rate"
    }
    still = dataclasses.replace(second.config.optim, lr=1e-12)
    second = dataclasses.replace(second, config=dataclasses.replace(second.config, optim=still))
    ours = run_experiment(second, plan.sources, BUDGET, tmp_path).folders[0]
    ours, theirs = (load_run(f).model.state_dict() for f in (ours, moved[0]))
    weights = [name for name in ours if name.endswith("weight")]
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in weights)

    def at(folder):
        return dataclasses.replace(
            second, config=dataclasses.replace(second.config, init=str(folder))
        )

    assert is_finished(at(outcome.folders[0]), plan.sources, BUDGET, tmp_path)
    assert not is_finished(at(moved[1]), plan.sources, BUDGET, tmp_path)
    assert not is_finished(fresh, plan.sources, BUDGET, tmp_path)


def test_runs_that_no_experiment_can_start_from_are_refused(made, tmp_path):
    run = str(made[2].folders[0])
    yang, lee = (
        PAPERS[p].plan(tmp_path, PAPERS[p].budgets["cpu"]) for p in ("yang2023", "lee2023")
    )
    with pytest.raises(UsageError, match="faces of Training that yang2023 holds out"):
        start_from_runs(yang, [run])
    with pytest.raises(UsageError, match="that is a tian2022_a; lee2023 has mien_base"):
        start_from_runs(lee, [run])
    with pytest.raises(UsageError, match="two networks of tian2022_a"):
        start_from_runs(plan_of(experiment()), [run, run])
    with pytest.raises(DataError, match="not a run folder"):
        start_from_runs(lee, [str(tmp_path)])
    assert start_from_runs(yang, []) == yang


def test_an_experiment_starts_from_a_model_that_comes_with_mien(tmp_path):
    lee = PAPERS["lee2023"].plan(tmp_path, PAPERS["lee2023"].budgets["cpu"])
    plan = start_from_runs(lee, ["mien-tiny"])
    taught = [e for e in plan.experiments if e.config.model.name == "mien_tiny"]
    assert [e.config.init for e in taught] == ["mien-tiny"] * 4
    assert taught[0].config.model == lee.experiments[-1].config.model
    assert not any(e.config.init for e in plan.experiments if e not in taught)
    assert list(plan.started) == [e.name for e in taught]
    told = plan.started["tiny"]
    assert told.startswith("started from `mien-tiny` 8, trained with FER2013, Training and Pub")
    assert "figures on fer2013 PublicTest are too good, as it has seen them;" in told


def test_the_students_are_fifty_times_cheaper_than_their_teacher(tmp_path):
    plan = PAPERS["lee2023"].plan(tmp_path, PAPERS["lee2023"].budgets["cpu"])
    heads = {"expression": 8, "affect": 2}
    by_name = {e.name: e.config for e in plan.experiments}
    names = ("teacher", "mini", "tiny")
    teacher, *students = (measure_costs(by_name[n], heads, 1).macs for n in names)
    assert all(teacher / student > 50 for student in students)


def test_the_memory_of_a_step_by_hand():
    """A convolution 1 to 2 channels on 8x8: its input is kept, and what the ReLU gave."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)

        def forward(self, x):
            return {"head": torch.relu(self.conv(x))}

    kept = 4 * (64 + 2 * 64)  # bytes a face
    assert step_bytes(Net(), 1, 8, 10) == 4 * 18 * 4 + 10 * kept

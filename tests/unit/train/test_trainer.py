"""The loop: schedule, average, resuming after a kill, and what it refuses."""

import dataclasses
import math
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from short_runs import assert_same  # noqa: E402
from synthetic_faces import faces, labels_of, write_fer2013, write_recipe  # noqa: E402

from mien.errors import DataError, UsageError  # noqa: E402
from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.train import checkpoint, trainer  # noqa: E402
from mien.train.config import TrainConfig, load_config  # noqa: E402
from mien.train.data.augment import AugmentConfig  # noqa: E402
from mien.train.data.loader import (  # noqa: E402
    STD_FLOOR,
    TensorData,
    draw_label,
    plain_batches,
    standardise,
    training_batches,
)
from mien.train.data.rows import Rows, one_hot  # noqa: E402
from mien.train.optim import climb, learning_rate, make_optimiser  # noqa: E402
from mien.train.run import run_training  # noqa: E402

HEADS = ("fer2013", "ferplus")


class Net(torch.nn.Module):
    """A convolution with batch normalisation, and a linear layer per head."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.heads = torch.nn.ModuleDict({"fer2013": torch.nn.Linear(256, 7)})
        self.heads["ferplus"] = torch.nn.Linear(256, 8)

    def forward(self, x):
        features = torch.relu(self.norm(self.conv(x))).flatten(1)
        return {name: head(features) for name, head in self.heads.items()}


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def bars(n=60, seed=0):
    codes = np.array([SEVEN.index(label) for label in labels_of(n)])
    targets = {"fer2013": one_hot(codes, 7), "ferplus": one_hot(codes, 8)}
    labels = {"fer2013": SEVEN, "ferplus": EIGHT}
    rows = Rows(faces(n, seed), targets, labels, tuple(map(str, range(n))))
    return TensorData(rows, HEADS, 16, "cpu")


def settings(**changes):
    base = TrainConfig(
        epochs=3,
        batch=12,
        augment=AugmentConfig(rotate=0.0, shift=0.02, scale=0.0),
    )
    base = dataclasses.replace(base, model=dataclasses.replace(base.model, size=16))
    names = ("name", "lr", "ema", "warmup", "clip", "sharpness")
    optim = {k: changes.pop(k) for k in names if k in changes}
    return dataclasses.replace(base, optim=dataclasses.replace(base.optim, **optim), **changes)


ADAMW = {"name": "adamw", "lr": 0.003}
SHARPNESS = {"lr": 0.05, "sharpness": 0.05}


def fit(folder, config, *, fingerprint="f", **calls):
    folder.mkdir(exist_ok=True)
    data = bars()
    torch.set_num_threads(1)
    return trainer.train(net(), config, data, data, folder=folder, fingerprint=fingerprint, **calls)


# --- the schedule


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [learning_rate(step, 110, 10, 0.2) for step in range(110)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[4] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(0.2)
    assert rates[60] == pytest.approx(0.1)
    assert rates[35] == pytest.approx(0.2 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert 0 < rates[109] < 1e-4
    assert max(rates) == rates[9]


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate(0, 10, 0, 0.2) == 0.2
    assert learning_rate(5, 10, 0, 0.2) == pytest.approx(0.1)


def test_the_rates_that_are_used(tmp_path):
    seen = []
    config = settings(warmup=1.0, lr=0.2)
    state = None

    def progress(done, total, loss):
        seen.append((done, total))

    state = fit(tmp_path, config, progress=progress)
    assert seen == [(i, 15) for i in range(1, 16)]
    assert state.optimiser.param_groups[0]["lr"] == pytest.approx(learning_rate(14, 15, 5, 0.2))


def test_norms_and_biases_do_not_decay():
    weights, others = make_optimiser(net(), TrainConfig().optim).param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (1e-4, 0.0)
    assert {p.ndim for p in weights["params"]} == {2, 4}
    assert len(others["params"]) == 5


# --- sharpness


def test_the_climb_is_as_long_as_it_should_be_and_along_the_gradient():
    near, far, without = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 1, 1))
    near.grad, far.grad = torch.tensor([2.0, 0.0]), torch.tensor([-1.5])
    climb([near, far, without], 0.5)
    assert near.tolist() == pytest.approx([0.4, 0.0])
    assert far.tolist() == pytest.approx([-0.3])
    assert without.tolist() == [0.0]


def test_a_step_goes_by_the_gradient_at_the_top_of_the_climb():
    x, targets = next(plain_batches(bars(), 12))
    config = settings(lr=0.1, warmup=0.0, clip=0.0, sharpness=0.3)
    config = dataclasses.replace(
        config, optim=dataclasses.replace(config.optim, momentum=0.0, weight_decay=0.0)
    )
    state = trainer.first_state(net(), config, trainer.ExpressionTask())
    loss = trainer.train_step(state, x, targets, config, total=10, per_epoch=5)
    other, task = net(), trainer.ExpressionTask()
    task(other, x, targets).total.backward()
    once = {name: b.clone() for name, b in other.named_buffers()}
    climb(other.parameters(), 0.3)
    other.zero_grad()
    above = task(other, x, targets).total
    above.backward()
    assert above.item() > loss
    for (name, moved), start, high in zip(
        state.model.named_parameters(), net().parameters(), other.parameters(), strict=True
    ):
        assert torch.allclose(moved, start - 0.1 * high.grad, atol=1e-6), name
    assert_same(dict(state.model.named_buffers()), once)  # BatchNorm has seen the batch once


# --- the average


def test_the_average_moves_a_part_of_the_way():
    ema, model = net(0), net(1)
    with torch.no_grad():
        ema.conv.weight.fill_(1.0)
        model.conv.weight.fill_(2.0)
        ema.norm.running_var.fill_(4.0)
        model.norm.running_var.fill_(8.0)
        model.norm.num_batches_tracked.fill_(7)
    trainer.average(ema, model, 0.75)
    assert ema.conv.weight.unique().tolist() == [1.25]
    assert ema.norm.running_var.unique().tolist() == [5.0]
    assert int(ema.norm.num_batches_tracked) == 7
    assert model.conv.weight.unique().tolist() == [2.0]


@pytest.mark.parametrize(("ema", "decay"), [(0.999, 2 / 11), (0.1, 0.1), (0.0, 0.0)])
def test_the_average_starts_short(ema, decay):
    model = net()
    state = trainer.first_state(model, settings(), trainer.ExpressionTask())
    before = model.conv.weight.detach().clone()
    x, targets = next(plain_batches(bars(), 12))
    trainer.train_step(state, x, targets, settings(ema=ema), total=10, per_epoch=5)
    after = model.conv.weight.detach()
    assert not torch.equal(before, after)
    wanted = decay * before + (1 - decay) * after
    assert torch.allclose(state.ema.conv.weight, wanted, atol=1e-6)


# --- the machine


def test_without_a_compiler_it_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler.*leave compile out"):
        trainer.prepare_machine(settings(compile=True))


def test_the_compiler_is_the_one_that_pytorch_takes(monkeypatch):
    from torch._inductor import config

    assert trainer.compiler() == config.cpp.cxx[1]
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="no-such-compiler is not here"):
        trainer.prepare_machine(settings(compile=True))


# --- the batches


def test_crops_are_standardised():
    x = 40 * torch.randn(3, 1, 16, 16) + 100
    out = standardise(x)
    assert out.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert out.std(dim=(1, 2, 3), unbiased=False).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    faint = torch.tensor([[[[100.0, 102.0]]]])
    assert standardise(faint).flatten().tolist() == [-1 / STD_FLOOR, 1 / STD_FLOOR]


def batches(n, skip=0, epoch=0, seed=0):
    config = AugmentConfig()
    return list(
        training_batches(bars(n), config, size=16, batch=12, seed=seed, epoch=epoch, skip=skip)
    )


def test_the_last_batch_is_left_out_where_it_is_not_full():
    assert [len(x) for x, _ in batches(60)] == [12] * 5
    assert [len(x) for x, _ in batches(59)] == [12] * 4
    assert [len(x) for x, _ in batches(7)] == [7]  # but there is always one
    assert [len(x) for x, _ in plain_batches(bars(29), 12)] == [12, 12, 5]


def test_an_epoch_entered_in_the_middle_goes_on_as_it_would_have():
    whole, rest = batches(60), batches(60, skip=3)
    assert len(rest) == 2
    for (x, targets), (y, same) in zip(whole[3:], rest, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(targets["ferplus"], same["ferplus"])


def test_epochs_and_seeds_differ():
    first = batches(60)[0][0]
    assert not torch.equal(first, batches(60, epoch=1)[0][0])
    assert not torch.equal(first, batches(60, seed=1)[0][0])


def test_each_face_is_seen_once_an_epoch():
    data = bars(60)
    still = AugmentConfig(flip=0.0, rotate=0.0, shift=0.0, scale=0.0)
    seen = torch.cat(
        [x for x, _ in training_batches(data, still, size=16, batch=12, seed=0, epoch=0)]
    )
    wanted = standardise(data.images.float())
    distance = torch.cdist(seen.flatten(1), wanted.flatten(1))
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(60))


def test_labels_are_drawn_as_often_as_they_are_likely():
    target = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0]]).repeat(2000, 1)
    drawn = draw_label(target, torch.Generator().manual_seed(0))
    assert set(drawn[::2].sum(dim=1).tolist()) == {1.0}
    assert set(drawn[::2].unique().tolist()) == {0.0, 1.0}
    assert drawn[::2].mean(dim=0).tolist() == pytest.approx([0.5, 0.3, 0.2, 0.0], abs=0.03)
    assert drawn[1::2].abs().max() == 0
    again = draw_label(target, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


# --- a run


@pytest.mark.parametrize("changes", [{"lr": 0.05}, ADAMW, SHARPNESS], ids=["sgd", "adamw", "sam"])
def test_easy_faces_are_learnt(tmp_path, changes):
    state = fit(tmp_path, settings(epochs=12, ema=0.8, **changes))
    assert len(state.history) == 12
    assert state.history[-1]["fer2013"] > 0.9
    assert state.history[-1]["ferplus"] > 0.9
    assert state.history[-1]["loss"] < 0.5 * state.history[0]["loss"]
    assert trainer.validate(state.ema, bars()) == {h: state.history[-1][h] for h in HEADS}


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path):
    first = fit(tmp_path / "a", settings(epochs=1))
    second = fit(tmp_path / "b", settings(epochs=1))
    assert_same(first.ema.state_dict(), second.ema.state_dict())
    third = fit(tmp_path / "c", settings(epochs=1, seed=1))
    assert not torch.equal(first.ema.conv.weight, third.ema.conv.weight)


def test_early_epochs_see_smaller_pictures(tmp_path):
    sizes = []

    class Any(Net):
        def forward(self, x):
            sizes.append((self.training, x.shape[-1]))
            return super().forward(torch.nn.functional.interpolate(x, (16, 16)))

    config = settings(epochs=3, early_epochs=2, early_size=12)
    data = bars(24)
    trainer.train(Any(), config, data, data, folder=tmp_path, fingerprint="f")
    assert [size for training, size in sizes if training] == [12, 12, 12, 12, 16, 16]
    assert {size for training, size in sizes if not training} == {16}


def test_the_best_epoch_is_kept_besides_the_last(tmp_path, monkeypatch):
    scores = iter([0.5, 0.9, 0.7])
    weights = []

    def validate(model, data, precision):
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"fer2013": next(scores)}

    monkeypatch.setattr(trainer, "validate", validate)
    fit(tmp_path, settings())
    best, about = checkpoint.load(tmp_path / "best.safetensors")
    assert about["epoch"] == 2
    assert_same(best, weights[1])
    last, about = checkpoint.load(tmp_path / "last.safetensors")
    assert about["epoch"] == 3
    assert_same(last, weights[2])


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(DataError, match=r"the loss is (nan|inf) at step \d+: lower optim\.lr"):
        fit(tmp_path, settings(lr=1e30, clip=0.0))


# --- going on


class KilledError(Exception):
    pass


def killed_at(step):
    def progress(done, total, loss):
        if done == step:
            raise KilledError

    return progress


@pytest.mark.parametrize("changes", [{"lr": 0.05}, ADAMW, SHARPNESS], ids=["sgd", "adamw", "sam"])
@pytest.mark.parametrize("step", [3, 8, 12])
def test_a_run_that_was_stopped_ends_in_the_same_weights(tmp_path, monkeypatch, changes, step):
    config = settings(**changes)
    whole = fit(tmp_path / "whole", config)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KilledError):
        fit(tmp_path / "stopped", config, progress=killed_at(step))
    steps = []
    resumed = fit(tmp_path / "stopped", config, progress=lambda done, *_: steps.append(done))
    assert steps == list(range(step, 16))  # the checkpoint before that step was taken up
    assert_same(resumed.model.state_dict(), whole.model.state_dict())
    assert_same(resumed.ema.state_dict(), whole.ema.state_dict())
    assert [[e[h] for h in HEADS] for e in resumed.history] == [
        [e[h] for h in HEADS] for e in whole.history
    ]


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_that_was_stopped_while_it_measured_misses_no_epoch(tmp_path, monkeypatch, epoch):
    config = settings()
    whole = fit(tmp_path / "whole", config)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    measured = []

    def validate(model, data, precision):
        measured.append(model)
        if len(measured) == epoch:
            raise KilledError
        return {"fer2013": 0.5}

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", validate)
        with pytest.raises(KilledError):
            fit(tmp_path / "stopped", config)
    resumed = fit(tmp_path / "stopped", config)
    assert [e["epoch"] for e in resumed.history] == [1, 2, 3]
    last, about = checkpoint.load(tmp_path / "stopped" / "last.safetensors")
    assert about["epoch"] == 3
    assert_same(last, whole.ema.state_dict())


def test_a_finished_run_is_left_as_it_is(tmp_path):
    fit(tmp_path, settings(epochs=1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    steps = []
    state = fit(tmp_path, settings(epochs=1), progress=lambda *told: steps.append(told))
    assert steps == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert_same(state.ema.state_dict(), checkpoint.load(tmp_path / "last.safetensors")[0])


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    fit(tmp_path, settings(epochs=1))
    with pytest.raises(DataError, match="belongs to a run with other settings or data"):
        fit(tmp_path, settings(epochs=1), fingerprint="g")


@pytest.mark.parametrize("keep", [0, 5, 100, -10])
def test_a_damaged_checkpoint_is_refused(tmp_path, keep):
    fit(tmp_path, settings(epochs=1))
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"checkpoint\.safetensors: not a readable checkpoint"):
        fit(tmp_path, settings(epochs=1))


def test_half_written_files_do_no_harm(tmp_path):
    whole = fit(tmp_path / "whole", settings(epochs=2))
    fit(tmp_path / "other", settings(epochs=2), progress=lambda *told: None)
    for name in ("checkpoint", "last", "best"):
        (tmp_path / "other" / f"{name}.safetensors.part").write_bytes(b"half")
    again = fit(tmp_path / "other", settings(epochs=2))
    assert_same(again.ema.state_dict(), whole.ema.state_dict())


def test_another_recipe_leaves_the_run_folder_as_it_was(tmp_path):
    data = write_fer2013(tmp_path / "data", 14, ("Training", "PublicTest"))
    config = load_config(write_recipe(tmp_path / "bars.yaml"), {"epochs": "1"})
    run_training(config, data, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(DataError, match="belongs to a run with other settings or data"):
        run_training(dataclasses.replace(config, seed=1), data, tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


# --- the machine


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="use device=cpu"):
        trainer.prepare_machine(TrainConfig(device="cuda"))


def test_on_a_gpu_linear_layers_may_be_deterministic(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    trainer.prepare_machine(TrainConfig(device="cuda"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    trainer.prepare_machine(TrainConfig(device="cuda"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"

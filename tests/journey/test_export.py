"""The one file that a run becomes."""

import copy
import dataclasses
import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
for needed in ("onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from pathlib import Path  # noqa: E402

from short_runs import short_run  # noqa: E402
from synthetic_faces import faces, write_recipe  # noqa: E402

import mien  # noqa: E402
from mien.cli.main import main  # noqa: E402
from mien.errors import ModelError, UsageError  # noqa: E402
from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.metrics import accuracy, nll  # noqa: E402
from mien.runtime.classify import without_priors  # noqa: E402
from mien.spec import HeadSpec  # noqa: E402
from mien.train import export as exporting  # noqa: E402
from mien.train.fitting import answer_rule, fit_spec  # noqa: E402
from mien.train.held import Held  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run, its validation faces and its exported file."""
    folder = tmp_path_factory.mktemp("made")
    extra = (
        "  weights: {fer2013: 0.6, ferplus: 0.4}\n  prior_strength: {fer2013: 0.5}\n"
        "  failures: [Bars that lie askew are missed., So are pale ones.]\n"
        "  figures: {affectnet_answer_accuracy: 0.5, fer2013_accuracy: 0.99, speed_batch1_ms: 2}\n"
        "  machine: an abacus\n"
    )
    text = write_recipe(folder / "bars.yaml").read_text()
    text = text.replace("release: {name: bars, licence: CC0-1.0, training_data: [bars (CC0-1.0)]}",
                        "release:\n  name: bars\n  licence: CC0-1.0\n"
                        "  training_data: [bars (CC0-1.0)]\n" + extra)  # fmt: skip
    (folder / "bars.yaml").write_text(text)
    run, _, validation = short_run(folder / "bars.yaml", 6)
    path = folder / "bars.onnx"
    spec = exporting.export(run, Held(validation), path)
    return run, validation, path, spec


def test_the_file_tells_of_itself(made):
    run, _, path, spec = made
    read = mien.load_classifier(path).spec
    assert read == spec
    assert (read.name, read.licence, read.training_data) == ("bars", "CC0-1.0", ("bars (CC0-1.0)",))
    assert (read.input.size, read.input.channels, read.input.std_floor) == (16, 1, 8.0)
    assert read.architecture == "tian2022_a"
    assert [(h.name, h.labels) for h in read.heads] == [("fer2013", SEVEN), ("ferplus", EIGHT)]
    assert read.parameters == sum(
        v.numel() for k, v in run.model.state_dict().items() if "num_batches" not in k
    )
    assert read.answer.weights == {"fer2013": 0.6, "ferplus": 0.4}
    assert read.answer.prior_strength == {"fer2013": 0.5}
    assert read.trained_on == ("fer2013 Training",)


def test_weights_stored_as_float16_halve_the_file_and_answer_the_same(made, tmp_path):
    run, validation, path, spec = made
    release = dataclasses.replace(run.config.release, precision="fp16")
    half = exporting.export(run.with_release(release), Held(validation), tmp_path / "half.onnx")
    assert (half.precision, spec.precision) == ("fp16", "fp32")
    assert (half.name, half.parameters) == (spec.name, spec.parameters)
    weights = {t.name: t for t in onnx.load(tmp_path / "half.onnx").graph.initializer}
    stored = [t for t in weights.values() if t.data_type == onnx.TensorProto.FLOAT16]
    large = [t for t in weights.values() if np.prod(t.dims) >= 1024]
    assert stored and stored == large
    saved = path.stat().st_size - (tmp_path / "half.onnx").stat().st_size
    bytes_of = sum(2 * int(np.prod(t.dims)) for t in stored)
    assert saved == pytest.approx(bytes_of, abs=200 * len(stored))
    whole, halved = (mien.load_classifier(p) for p in (path, tmp_path / "half.onnx"))
    ours, theirs = whole.logits(validation.images), halved.logits(validation.images)
    for head, logits in ours.items():
        apart = np.abs(logits - theirs[head]).max()
        assert 0 < apart < 0.02 * np.abs(logits).max()


def test_the_file_answers_as_the_network(made):
    run, validation, path, _ = made
    classifier = mien.load_classifier(path)
    assert exporting.check_parity(run.model, classifier, validation) <= 1e-4
    with torch.no_grad():
        ours = run.model(torch.from_numpy(classifier.prepare(validation.images)))
    theirs = classifier.logits(validation.images)
    for head in ("fer2013", "ferplus"):
        assert np.abs(ours[head].numpy() - theirs[head]).max() <= 1e-4


def test_priors_are_the_shares_of_the_training_split(made):
    run, _, _, spec = made
    for head in spec.heads:
        assert sum(head.priors) == pytest.approx(1, abs=1e-4)
        counts = np.array(list(run.about["counts"][head.name].values())) + 1
        assert head.priors == pytest.approx((counts / counts.sum()).tolist(), abs=1e-5)
    # Sixty faces in turn: nine of the first four labels, eight of the others, and one more each.
    assert spec.heads[0].priors[0] == pytest.approx(10 / 67, abs=1e-5)
    assert spec.heads[0].priors[6] == pytest.approx(9 / 67, abs=1e-5)


def test_measured_priors_make_every_label_equally_frequent_on_balanced_faces(made, tmp_path):
    run, validation, path, _ = made
    release = dataclasses.replace(
        run.config.release, balance="fer2013", prior_strength={"fer2013": 1.0, "ferplus": 1.0}
    )
    spec = exporting.export(run.with_release(release), Held(validation), tmp_path / "even.onnx")
    assert spec.answer.balance == "fer2013"
    assert set(spec.answer.priors) == {"fer2013", "ferplus"}
    logits = mien.load_classifier(tmp_path / "even.onnx").logits(validation.images)
    truth = validation.targets["fer2013"].argmax(axis=1)
    weights = (1 / np.bincount(truth))[truth]
    for name, priors in spec.answer.priors.items():
        assert sum(priors) == pytest.approx(1, abs=1e-4)
        told = without_priors(spec, name, logits[name])[:, :7]
        told = told / told.sum(axis=1, keepdims=True)  # of the seven that fer2013 has
        assert (weights @ told) / weights.sum() == pytest.approx(1 / 7, abs=1e-3)
    # Contempt, which fer2013 does not have, is neither favoured nor held back.
    plus = np.log(spec.answer.priors["ferplus"])
    assert plus[7] == pytest.approx(plus[:7].mean(), abs=1e-3)
    assert mien.load_classifier(path).spec.answer.priors == {}  # what was not asked for


def test_priors_cannot_be_measured_on_a_head_that_is_not_there(made, tmp_path):
    run, validation, _, _ = made
    other = run.with_release(dataclasses.replace(run.config.release, balance="rafdb"))
    with pytest.raises(UsageError, match=r"release\.balance is 'rafdb'.*fer2013, ferplus"):
        exporting.export(other, Held(validation), tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()


def test_the_figures_inside_are_those_of_the_file(made):
    _, validation, path, spec = made
    classifier = mien.load_classifier(path)
    for head in ("fer2013", "ferplus"):
        scores = classifier(validation.images, labels=head)
        truth = validation.targets[head].argmax(axis=1)
        assert spec.metrics[f"{head}_n"] == 60
        measured = accuracy(scores.probabilities.argmax(axis=1), truth)
        assert spec.metrics[f"{head}_accuracy"] == pytest.approx(measured, abs=1e-4)
        assert spec.metrics[f"{head}_nll"] == pytest.approx(
            nll(scores.probabilities, truth), abs=1e-3
        )
    answers = classifier(validation.images).probabilities
    truth = validation.targets["ferplus"].argmax(axis=1)
    assert spec.metrics["answer_nll"] == pytest.approx(nll(answers, truth), abs=1e-3)


def test_recalls_and_intervals_are_inside_too(made):
    _, validation, path, spec = made
    classifier = mien.load_classifier(path)
    answers = {head: classifier(validation.images, labels=head) for head in ("fer2013", "ferplus")}
    answers["answer"] = classifier(validation.images)
    for head, scores in answers.items():
        truth = validation.targets["fer2013" if head == "fer2013" else "ferplus"].argmax(axis=1)
        right = scores.probabilities.argmax(axis=1) == truth
        for i, label in enumerate(scores.labels):
            n = spec.metrics[f"{head}_n_{label}"]
            assert n == (truth == i).sum()
            if n:
                told = spec.metrics[f"{head}_recall_{label}"]
                assert told == pytest.approx(right[truth == i].mean(), abs=1e-5)
        low, high = (spec.metrics[f"{head}_accuracy_{end}"] for end in ("low", "high"))
        assert low <= right.mean() <= high
        # Two deviations of a share, which the bootstrap comes near to with sixty faces.
        reach = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 60)
        assert high - low == pytest.approx(2 * reach, abs=0.05)
        for kind in ("ece", "ece_uncalibrated", "ece_cross_fitted"):
            assert 0 <= spec.metrics[f"{head}_{kind}"] <= 1
    assert "answer_recall_contempt" not in spec.metrics  # nobody shows it there
    assert spec.metrics["answer_n_contempt"] == 0


def test_what_the_recipe_tells_is_inside(made):
    spec = mien.load_classifier(made[2]).spec
    assert spec.failures == ("Bars that lie askew are missed.", "So are pale ones.")
    assert spec.metrics["affectnet_answer_accuracy"] == 0.5
    assert (spec.metrics["speed_batch1_ms"], spec.machine) == (2, "an abacus")
    assert spec.metrics["fer2013_accuracy"] != 0.99  # what was measured here goes before it
    assert spec.precision == "fp32"


def test_a_head_without_labels_stays_as_trained(made):
    run, validation, path, _ = made
    targets = {**validation.targets, "fer2013": 0 * validation.targets["fer2013"]}
    rows = dataclasses.replace(validation, targets=targets)
    spec = fit_spec(mien.load_classifier(path), run.config.release, Held(rows))
    assert spec.head("fer2013").temperature == 1.0
    assert "fer2013_accuracy" not in spec.metrics and "ferplus_accuracy" in spec.metrics


def test_the_default_answer_is_a_distribution_over_the_eight(made):
    scores = mien.load_classifier(made[2])(faces(9, 77))
    assert scores.labels == EIGHT
    assert scores.probabilities.shape == (9, 8)
    assert scores.probabilities.sum(axis=1) == pytest.approx(np.ones(9), abs=1e-5)
    assert scores.probabilities.min() >= 0


def test_calibration_does_not_change_what_a_head_says(made):
    _, validation, path, _ = made
    classifier = mien.load_classifier(path)
    logits = classifier.logits(validation.images)
    for head in ("fer2013", "ferplus"):
        said = classifier(validation.images, labels=head).probabilities.argmax(axis=1)
        assert (said == logits[head].argmax(axis=1)).all()


def test_no_path_of_this_machine_is_inside(made):
    data = made[2].read_bytes()
    for path in (str(ROOT), "site-packages", str(made[2].parent), str(Path.home()) + "/", ".py"):
        assert path.encode() not in data, path


def test_the_file_is_small_and_nothing_lies_beside_it(made):
    path = made[2]
    assert path.stat().st_size < 5 * made[3].parameters + 60_000
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "bars.onnx",
        "bars.yaml",
        "data",
        "run",
    ]


def test_a_file_that_differs_does_not_replace_the_old_one(made, tmp_path, monkeypatch):
    run, validation, good, _ = made
    path = tmp_path / "old.onnx"
    path.write_bytes(b"the old file")
    other = copy.deepcopy(run.model)
    with torch.no_grad():
        other.heads["ferplus"].bias += 0.001
    graph = good.read_bytes()
    monkeypatch.setattr(exporting, "write_graph", lambda *told: told[-1].write_bytes(graph))
    with pytest.raises(ModelError, match=r"differs from PyTorch by 0\.001 > 0\.0001"):
        exporting.export(dataclasses.replace(run, model=other), Held(validation), path)
    assert path.read_bytes() == b"the old file"
    assert [p.name for p in tmp_path.iterdir()] == ["old.onnx"]


def test_another_release_section(made):
    run = made[0]
    release = dataclasses.replace(run.config.release, name="other", weights={"ferplus": 1.0})
    other = run.with_release(release)
    assert answer_rule(release, made[3].heads).weights == {"ferplus": 1.0}
    assert exporting.describe(other).name == "other"
    assert other.model is run.model


def test_an_exported_file_is_fitted_again_as_its_run_would_be(made, tmp_path):
    run, validation, path, spec = made
    release = dataclasses.replace(
        run.config.release, version="2", balance="fer2013", weights={"ferplus": 1.0},
        prior_strength={"ferplus": 1.0}, failures=("Night.",), figures={"ckplus_answer_n": 9},
    )  # fmt: skip
    again = exporting.export_again(path, release, validation, tmp_path / "again.onnx")
    fresh = exporting.export(run.with_release(release), Held(validation), tmp_path / "fresh.onnx")
    assert again == fresh
    assert (again.version, again.answer.balance, again.failures) == ("2", "fer2013", ("Night.",))
    assert again.metrics["ckplus_answer_n"] == 9 and "speed_batch1_ms" not in again.metrics
    told = mien.load_classifier(tmp_path / "again.onnx")
    assert told.spec == again
    crops = validation.images
    assert np.array_equal(
        told.logits(crops)["ferplus"], mien.load_classifier(path).logits(crops)["ferplus"]
    )
    assert mien.load_classifier(path).spec == spec  # the old file is as it was


def test_a_file_is_not_fitted_again_on_faces_that_say_nothing_of_a_head(made, tmp_path):
    run, validation, path, _ = made
    fewer = dataclasses.replace(
        validation, targets={"ferplus": validation.targets["ferplus"]},
        labels={"ferplus": validation.labels["ferplus"]},
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"bars\.onnx: has the heads fer2013,.*recipe"):
        exporting.export_again(path, run.config.release, fewer, tmp_path / "none.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_fits_a_file_again_and_wants_a_recipe_for_that(made, tmp_path, capsys):
    _, _, path, _ = made
    data, to = path.parent / "data", tmp_path / "again.onnx"
    words = [str(path), "--data", str(data), "--output", str(to)]
    assert main(["export", *words]) == 2
    assert "needs --recipe" in capsys.readouterr().err and not to.exists()
    recipe = path.parent / "bars.yaml"
    assert main(["export", *words, "--recipe", str(recipe), "--int8"]) == 2
    assert main(["export", *words, "--recipe", str(recipe)]) == 0
    assert capsys.readouterr().out == f"{to}\n"
    assert mien.load_classifier(to).spec.answer == mien.load_classifier(path).spec.answer


def test_without_a_rule_the_widest_head_answers(made):
    run = made[0]
    plain = dataclasses.replace(run.config.release, weights={})
    assert answer_rule(plain, made[3].heads).weights == {"ferplus": 1.0}
    few = (HeadSpec("three", EIGHT[:3]),)
    with pytest.raises(ModelError, match="the heads three do not know sadness, anger"):
        answer_rule(plain, few)


def test_the_metadata_is_plain_json(made):
    session = mien.load_classifier(made[2])._session
    metadata = session.get_modelmeta().custom_metadata_map
    assert list(metadata) == ["mien"]
    assert json.loads(metadata["mien"])["format"] == 1

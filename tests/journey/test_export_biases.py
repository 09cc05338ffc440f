"""Biases of a head, fitted with its temperature: in the file's logits, spec, figures and card."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for needed in ("onnx", "onnxscript", "onnxruntime", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from short_runs import short_run  # noqa: E402
from synthetic_faces import write_recipe  # noqa: E402

import mien  # noqa: E402
from mien.errors import ModelError, UsageError  # noqa: E402
from mien.report.card import card  # noqa: E402
from mien.train import export as exporting  # noqa: E402
from mien.train.calibrate import cross_fitted, fit_biases  # noqa: E402
from mien.train.held import Held  # noqa: E402
from mien.train.quantise import export_int8  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run with linear heads, its faces, its file, and the same with biases of FER+."""
    folder = tmp_path_factory.mktemp("made")
    recipe = write_recipe(folder / "bars.yaml")
    text = recipe.read_text().replace("tian2022_a", "mien_tiny")
    recipe.write_text(text)
    run, training, validation = short_run(recipe, 3)
    exporting.export(run, Held(validation), folder / "plain.onnx")
    run = run.with_release(replace(run.config.release, bias_corrected=("ferplus",)))
    exporting.export(run, Held(validation), folder / "biased.onnx")
    return run, training, validation, folder


def logits_of(path, rows):
    return mien.load_classifier(path).logits(rows.images)


def test_the_files_logits_have_the_biases(made):
    _, _, validation, folder = made
    plain, biased = (logits_of(folder / f"{name}.onnx", validation) for name in ("plain", "biased"))
    told = mien.load_classifier(folder / "biased.onnx").spec.head("ferplus")
    truth = validation.targets["ferplus"].argmax(axis=1)
    assert told.biases == pytest.approx(fit_biases(plain["ferplus"], truth), abs=2e-5)
    assert np.abs(told.biases).max() > 0.05
    assert biased["ferplus"] == pytest.approx(plain["ferplus"] + told.biases, abs=1e-5)
    assert np.array_equal(plain["fer2013"], biased["fer2013"])
    assert mien.load_classifier(folder / "plain.onnx").spec.head("ferplus").biases == ()


def test_figures_are_of_faces_that_the_biases_were_not_fitted_on(made):
    _, _, validation, folder = made
    plain = logits_of(folder / "plain.onnx", validation)["ferplus"]
    truth = validation.targets["ferplus"].argmax(axis=1)
    crossed = cross_fitted(plain, truth, 10, biased=True)
    told = mien.load_classifier(folder / "biased.onnx").spec.metrics
    right = crossed.argmax(axis=1) == truth
    assert told["ferplus_accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    loss = -np.log(crossed[np.arange(len(truth)), truth]).mean()
    assert told["ferplus_nll"] == pytest.approx(loss, abs=1e-4)


def test_fitted_again_they_are_not_added_twice_and_can_be_taken_off(made, tmp_path):
    run, _, validation, folder = made
    source, release = folder / "biased.onnx", run.config.release
    again = exporting.export_again(source, release, validation, tmp_path / "again.onnx")
    before = mien.load_classifier(source).spec
    assert again.head("ferplus").biases == pytest.approx(before.head("ferplus").biases, abs=1e-3)
    same, first = (logits_of(path, validation) for path in (tmp_path / "again.onnx", source))
    assert same["ferplus"] == pytest.approx(first["ferplus"], abs=1e-3)
    without = replace(release, bias_corrected=())
    off = exporting.export_again(source, without, validation, tmp_path / "off.onnx")
    assert off.head("ferplus").biases == ()
    plain = logits_of(folder / "plain.onnx", validation)["ferplus"]
    assert logits_of(tmp_path / "off.onnx", validation)["ferplus"] == pytest.approx(plain, abs=1e-5)


def test_an_int8_file_has_its_own_once(made, tmp_path):
    run, training, validation, folder = made
    path = tmp_path / "int8.onnx"
    spec, _ = export_int8(run, folder / "biased.onnx", path, training, Held(validation))
    off = replace(run.config.release, bias_corrected=())
    exporting.export_again(path, off, validation, tmp_path / "off.onnx")
    plain = logits_of(tmp_path / "off.onnx", validation)["ferplus"]
    biases = spec.head("ferplus").biases
    truth = validation.targets["ferplus"].argmax(axis=1)
    assert biases == pytest.approx(fit_biases(plain, truth), abs=1e-3)
    assert logits_of(path, validation)["ferplus"] == pytest.approx(plain + biases, abs=1e-4)


def test_the_card_tells_of_them(made):
    spec = mien.load_classifier(made[3] / "biased.onnx").spec
    text = card(spec, made[3] / "biased.onnx")
    first = f"neutral {spec.head('ferplus').biases[0]:+.2f}"
    assert f"Added to its logits: {first}, " in text


def test_a_head_that_is_not_there(made, tmp_path):
    run, _, validation, _ = made
    other = run.with_release(replace(run.config.release, bias_corrected=("rafdb",)))
    with pytest.raises(UsageError, match=r"bias_corrected names rafdb; .*are: fer2013, ferplus"):
        exporting.export(other, Held(validation), tmp_path / "none.onnx")
    assert not list(tmp_path.iterdir())


def test_a_head_without_biases_of_its_own(tmp_path):
    run, _, validation = short_run(write_recipe(tmp_path / "bars.yaml"), 1)
    run = run.with_release(replace(run.config.release, bias_corrected=("ferplus",)))
    with pytest.raises(ModelError, match=r"the head ferplus ends in .*, not in a linear layer"):
        exporting.export(run, Held(validation), tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()

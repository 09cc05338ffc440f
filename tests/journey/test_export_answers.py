"""What an exported file says of valence and arousal, and of answers that are uncertain."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for needed in ("onnx", "onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from short_runs import short_run  # noqa: E402
from synthetic_faces import write_recipe  # noqa: E402

import mien  # noqa: E402
from mien.labels import CIRCUMPLEX, EIGHT  # noqa: E402
from mien.train import export as exporting  # noqa: E402
from mien.train.fitting import fit_spec  # noqa: E402
from mien.train.held import Held  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run too short to be always right, its validation faces, and its exported file."""
    folder = tmp_path_factory.mktemp("made")
    run, _, validation = short_run(write_recipe(folder / "bars.yaml"), 6)
    run = run.with_release(replace(run.config.release, certain=0.9))
    spec = exporting.export(run, Held(validation), folder / "bars.onnx")
    return run, validation, folder / "bars.onnx", spec


def test_the_published_positions_are_in_the_file(made):
    read = mien.load_classifier(made[2]).spec
    assert read.affect == made[3].affect
    assert (read.affect.head, read.affect.positions) == ("answer", CIRCUMPLEX)
    assert "Russell & Mehrabian 1977" in read.affect_kind


def test_valence_and_arousal_follow_the_probabilities(made):
    _, validation, path, _ = made
    scores = mien.load_classifier(path)(validation.images)
    places = np.array([CIRCUMPLEX[label] for label in EIGHT])
    assert scores.valence == pytest.approx(scores.probabilities @ places[:, 0], abs=1e-5)
    assert scores.arousal == pytest.approx(scores.probabilities @ places[:, 1], abs=1e-5)


def test_the_recipe_can_do_without(made):
    run = made[0]
    without = run.with_release(replace(run.config.release, affect=""))
    assert exporting.affect_map(without) is None
    trained = replace(run, labels={**run.labels, "affect": ("valence", "arousal")})
    assert exporting.affect_map(trained) is None  # the head tells it


def test_answers_that_are_not_uncertain_meet_the_rate(made):
    _, validation, path, spec = made
    scores = mien.load_classifier(path)(validation.images)
    truth = validation.targets["ferplus"].argmax(axis=1)
    right = scores.probabilities.argmax(axis=1) == truth
    certain = ~scores.uncertain
    assert right.mean() < 0.9 and 0 < certain.mean() < 1
    assert right[certain].mean() >= 0.9
    assert (spec.answer.certain, spec.answer.threshold > 0) == (0.9, True)
    told = spec.metrics
    assert told["answer_certain_share"] == pytest.approx(certain.mean(), abs=1e-5)
    assert told["answer_certain_accuracy"] == pytest.approx(right[certain].mean(), abs=1e-5)
    assert told["answer_uncertain_accuracy"] == pytest.approx(right[~certain].mean(), abs=1e-5)
    assert 0 <= told["answer_certain_share_cross_fitted"] <= 1


def test_no_rate_marks_nothing(made):
    run, validation, path, _ = made
    release = replace(run.config.release, certain=0.0)
    spec = fit_spec(mien.load_classifier(path), release, Held(validation))
    assert spec.answer.threshold == 0 and "answer_certain_share" not in spec.metrics

"""Figures over seeds, their intervals, differences, compactness: against numbers by hand."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from mien.errors import UsageError
from mien.train.reproduce.experiment import Answers
from mien.train.reproduce.measures import (
    Change,
    Figure,
    change,
    compactness,
    measure_all,
)

LABELS = ("neutral", "happiness", "fear")


def answers(truth, *predicted, **more):
    """What networks that are sure of `predicted`, a list a seed, say of faces of `truth`."""
    logits = np.stack([10 * np.eye(3, dtype=np.float32)[p] for p in predicted])
    names = tuple(f"face {i}" for i in range(len(truth)))
    folds = more.pop("folds", np.zeros(len(truth), np.intp))
    return Answers(LABELS, names, np.array(truth), logits, folds, **more)


TRUTH = [0, 0, 0, 0, 1, 1, 1, 2]
FIRST = [0, 0, 0, 1, 1, 1, 0, 2]  # 6 of 8; neutral 3/4 of 4, happiness 2/3 of 3, fear 1/1
SECOND = [0, 0, 0, 0, 1, 1, 1, 0]  # 7 of 8; neutral 4/5, happiness 3/3, fear none


def test_a_figure_is_the_mean_over_seeds_with_their_deviation():
    told = measure_all(answers(TRUTH, FIRST, SECOND), 50)
    assert told["accuracy"].values == (0.75, 0.875)
    assert told["accuracy"].mean == 0.8125
    assert told["accuracy"].deviation == pytest.approx(0.125 / np.sqrt(2))
    assert told["macro_precision"].values == pytest.approx(
        ((3 / 4 + 2 / 3 + 1) / 3, (4 / 5 + 1 + 0) / 3)
    )
    assert told["macro_recall"].values == pytest.approx(((3 / 4 + 2 / 3 + 1) / 3, 2 / 3))
    f1 = 2 * 0.8 / 1.8
    assert told["macro_f1"].values[1] == pytest.approx((f1 + 1 + 0) / 3)
    assert told["weighted_recall"].values == told["accuracy"].values
    assert told["weighted_f1"].values[1] == pytest.approx((4 * f1 + 3 * 1 + 0) / 8)
    assert told["recall_happiness"].values == pytest.approx((2 / 3, 1))
    assert told["rare_recall"].values == (1, 0)  # fear is the only rare class there


def test_one_seed_has_no_deviation():
    assert Figure((0.5,)).deviation is None


def test_the_interval_is_of_the_mean_over_seeds():
    """Faces that every seed gets right give a point, half right ones the binomial's width."""
    sure = measure_all(answers(TRUTH, TRUTH, TRUTH), 100)["accuracy"]
    assert sure.interval == (1.0, 1.0)
    truth = [0, 1] * 200
    wrong = [t if i < 200 else 1 - t for i, t in enumerate(truth)]
    low, high = measure_all(answers(truth, wrong), 400)["accuracy"].interval
    assert 0.5 - 2.3 * 0.025 < low < 0.5 - 1.6 * 0.025
    assert 0.5 + 1.6 * 0.025 < high < 0.5 + 2.3 * 0.025


def test_frames_of_one_subject_are_resampled_together():
    """Ten frames of each of 40 people say as much as 40 faces: the interval is wider."""
    truth = [0] * 400
    wrong = [0 if i // 10 % 2 else 1 for i in range(400)]
    people = tuple(str(i // 10) for i in range(400))
    alone = measure_all(answers(truth, wrong), 300)["accuracy"].interval
    grouped = measure_all(answers(truth, wrong, subjects=people), 300)["accuracy"].interval
    assert alone[1] - alone[0] == pytest.approx(4 * 0.025, rel=0.25)
    assert grouped[1] - grouped[0] == pytest.approx(4 * 0.079, rel=0.25)


def test_too_few_subjects_give_no_interval():
    people = ("a",) * 4 + ("b",) * 4
    ours = answers(TRUTH, FIRST, subjects=people)
    assert measure_all(ours, 50)["accuracy"].interval is None
    told = change(answers(TRUTH, SECOND, subjects=people), ours, "accuracy", 50)
    assert told.mean == 0.125 and np.isnan(told.low)
    assert told.verdict == "not known: too few to resample"


def test_a_difference_is_over_the_same_faces():
    """Both are right on half of the faces, but on different ones, or on the same."""
    truth = [0] * 100
    half = [0, 1] * 50
    other = [1, 0] * 50
    same = change(answers(truth, half), answers(truth, half), "accuracy", 200)
    assert same == Change(0.0, 0.0, 0.0)
    assert same.verdict == "no difference shown"
    far = change(answers(truth, half), answers(truth, other), "accuracy", 200)
    assert far.mean == 0 and far.low < -0.1 and far.high > 0.1
    better = change(answers(truth, truth), answers(truth, half), "accuracy", 200)
    assert better.mean == 0.5 and 0.35 < better.low < 0.5 < better.high < 0.65
    assert better.verdict == "higher"
    assert change(answers(truth, half), answers(truth, truth), "accuracy", 200).verdict == "lower"


def test_other_faces_have_no_difference():
    with pytest.raises(UsageError, match="the same faces"):
        change(answers(TRUTH, FIRST), answers(TRUTH[:7], FIRST[:7]), "accuracy", 10)


def test_folds_are_told_one_by_one_and_together():
    folds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    told = measure_all(answers(TRUTH, FIRST, SECOND, folds=folds), 20)
    assert told["fold_accuracy"].values == (0.75, 0.75, 1.0, 0.75)
    assert told["accuracy"].values == (0.75, 0.875)
    assert "fold_accuracy" not in measure_all(answers(TRUTH, FIRST), 20)


def test_compactness():
    """Faces one away from centres that are ten apart: 0.1, whatever the classes' sizes."""
    features = np.array([[0, 1], [0, -1], [10, 1], [10, -1], [10, 1], [10, -1]], np.float32)
    assert compactness(features, np.array([0, 0, 1, 1, 1, 1])) == pytest.approx(0.1)
    assert np.isnan(compactness(features, np.zeros(6, np.intp)))


def test_valence_and_arousal_are_measured_where_known():
    truth = np.array([[0.5, np.nan], [-0.5, np.nan], [np.nan, np.nan]] * 2, np.float32)
    said = np.array([[[0.4, 0], [-0.2, 0], [9, 9]] * 2], np.float32)
    told = measure_all(answers([0] * 6, [0] * 6, affect_truth=truth, affect=said), 10)
    assert told["rmse_valence"].values == pytest.approx((np.sqrt((0.01 + 0.09) / 2),))
    assert told["sagr_valence"].values == (1.0,)
    assert "rmse_arousal" not in told

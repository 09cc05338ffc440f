import json

import numpy as np
import pytest

from mien.evaluate import (
    measure,
    measure_affect,
    measure_found,
    measure_probabilities,
    restrict,
)
from mien.labels import EIGHT, SEVEN

LABELS = ("neutral", "happiness", "surprise")
# Rows: right, right, wrong (happiness for neutral), right. There is no surprise in the truth.
SHARES = np.array([[8, 1, 1], [1, 6, 3], [2, 5, 3], [4, 5, 1]], np.float32) / 10
TRUTH = np.array([0, 1, 0, 1])


@pytest.fixture(scope="module")
def report():
    return measure(np.log(SHARES) + 3, TRUTH, LABELS)


def test_the_figures_by_hand(report):
    assert report.n == 4
    assert report.labels == LABELS
    assert report.accuracy == pytest.approx(3 / 4)
    assert report.balanced_accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert report.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert report.nll == pytest.approx(-np.log([0.8, 0.6, 0.2, 0.5]).mean(), abs=1e-6)
    assert report.recall == {"neutral": 0.5, "happiness": 1.0, "surprise": None}
    assert report.confusion == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_precision_and_averages_by_hand(report):
    assert report.precision == {
        "neutral": 1.0,
        "happiness": pytest.approx(2 / 3),
        "surprise": None,
    }
    assert report.f1 == {
        "neutral": pytest.approx(2 / 3),
        "happiness": pytest.approx(4 / 5),
        "surprise": None,
    }
    assert report.macro_precision == pytest.approx((1 + 2 / 3) / 2)
    assert report.macro_recall == pytest.approx((1 / 2 + 1) / 2)
    # Two rows of each class weigh the same.
    assert report.weighted_precision == pytest.approx((1 + 2 / 3) / 2)
    assert report.weighted_recall == report.accuracy
    assert report.weighted_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_brier_and_calibration_by_hand(report):
    rows = [0.2**2 + 2 * 0.1**2, 0.1**2 + 0.4**2 + 0.3**2]
    rows += [0.8**2 + 0.5**2 + 0.3**2, 0.4**2 + 0.5**2 + 0.1**2]
    assert report.brier == pytest.approx(np.mean(rows), abs=1e-6)
    # 15 bins: 0.8 and 0.6 alone; both 0.5 share a bin in which half are right.
    assert report.ece == pytest.approx((0.2 + 0.4 + 0.0) / 4, abs=1e-6)


def test_the_interval_holds_the_accuracy(report):
    low, high = report.accuracy_interval
    assert 0 <= low <= report.accuracy <= high <= 1
    assert low < high


def test_probabilities_are_taken_as_they_are(report):
    got = measure_probabilities(SHARES, TRUTH, LABELS)
    assert (got.accuracy, got.confusion) == (report.accuracy, report.confusion)
    assert got.nll == pytest.approx(report.nll, abs=1e-6)


def test_to_dict_is_plain_json(report):
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(told) == [
        "n",
        "labels",
        "accuracy",
        "accuracy_interval",
        "balanced_accuracy",
        "macro_f1",
        "ece",
        "nll",
        "brier",
        "recall",
        "confusion",
        "macro_precision",
        "macro_recall",
        "weighted_precision",
        "weighted_recall",
        "weighted_f1",
        "precision",
        "f1",
        "balanced_accuracy_interval",
        "rows",
        "recall_interval",
    ]
    assert told["recall"]["surprise"] is None
    assert told["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_restrict_leaves_out_columns_and_sums_to_one_again():
    got, labels = restrict(SHARES, LABELS, ("neutral", "happiness"))
    assert labels == ("neutral", "happiness")
    want = np.array([[8 / 9, 1 / 9], [1 / 7, 6 / 7], [2 / 7, 5 / 7], [4 / 9, 5 / 9]])
    assert got == pytest.approx(want, abs=1e-6)


def test_restrict_keeps_the_models_order_whatever_is_asked():
    got, labels = restrict(SHARES, LABELS, ("surprise", "neutral"))
    assert labels == ("neutral", "surprise")
    assert got[0] == pytest.approx([8 / 9, 1 / 9], abs=1e-6)


def test_restrict_to_fer2013s_seven_drops_contempt():
    row = np.array([[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3]], np.float32)
    got, labels = restrict(row, EIGHT, SEVEN)
    assert labels == SEVEN
    assert got == pytest.approx(np.full((1, 7), 1 / 7), abs=1e-6)


def test_restrict_of_a_row_without_anything_left_is_even():
    sure = np.array([[0.0, 0.0, 1.0]], np.float32)
    got, _ = restrict(sure, LABELS, ("neutral", "happiness"))
    assert got.tolist() == [[0.5, 0.5]]


def test_rows_and_intervals_of_each_class(report):
    assert report.rows == {"neutral": 2, "happiness": 2, "surprise": 0}
    assert report.recall_interval["surprise"] is None
    # Wilson's interval of 1 in 2 and of 2 in 2, z = 1.96: (s + z2/4 -+ z sqrt(...)) / (1 + z2/2).
    assert report.recall_interval["neutral"] == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert report.recall_interval["happiness"] == pytest.approx((0.3424, 1.0), abs=1e-4)


def test_the_interval_of_the_balanced_accuracy():
    """A large class that is always right, a small one that is right half of the time."""
    truth = np.repeat([0, 1], [900, 100])
    right = np.ones(1000, bool)
    right[900::2] = False
    told = np.where(right, truth, 1 - truth)
    got = measure_probabilities(np.eye(2, dtype=np.float32)[told], truth, ("a", "b"))
    assert got.balanced_accuracy == pytest.approx(0.75)
    low, high = got.balanced_accuracy_interval
    # Half of the small class's standard error, 0.05 / 2, makes it 1.96 * 0.025 to either side.
    assert low == pytest.approx(0.75 - 0.049, abs=0.008)
    assert high == pytest.approx(0.75 + 0.049, abs=0.008)


def test_a_face_that_was_not_found_is_a_wrong_answer():
    truth = np.array([0, 0, 0, 0, 1, 1])
    told = np.array([0, 0, -1, 1, 1, -1])
    figures = measure_found(told, truth)
    assert (figures.n, figures.found) == (6, 4)
    assert figures.share == pytest.approx(4 / 6)
    assert figures.accuracy == pytest.approx(3 / 6)
    assert figures.balanced_accuracy == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert figures.accuracy_interval[0] < 0.5 < figures.accuracy_interval[1]
    low, high = figures.balanced_accuracy_interval
    assert 0 <= low < 0.5 < high <= 1
    assert json.loads(json.dumps(figures.to_dict()))["found"] == 4


NAN = float("nan")
AFFECT_TRUTH = np.array([[0.0, 0.5], [1.0, NAN], [NAN, -0.5]], np.float32)
AFFECT_OURS = np.array([[0.5, 0.1], [1.7, 0.9], [0.3, -0.3]], np.float32)


def test_affect_by_hand():
    figures = measure_affect(AFFECT_OURS, AFFECT_TRUTH)
    valence, arousal = figures["valence"], figures["arousal"]
    assert (valence["n"], arousal["n"]) == (2, 2)
    # Valence: 0.5 and 1 (1.7 is cut) against 0 and 1; the means differ by 0.25, cov is 0.125.
    assert valence["ccc"] == pytest.approx(2 * 0.125 / (0.0625 + 0.25 + 0.0625))
    assert valence["rmse"] == pytest.approx(np.sqrt(0.25 / 2))
    assert valence["pcc"] == pytest.approx(1)
    assert valence["sagr"] == 0.5
    # Arousal: 0.1 and -0.3 against 0.5 and -0.5.
    assert arousal["ccc"] == pytest.approx(2 * 0.1 / (0.04 + 0.25 + 0.01), rel=1e-5)
    assert arousal["rmse"] == pytest.approx(np.sqrt((0.16 + 0.04) / 2))
    assert arousal["sagr"] == 1

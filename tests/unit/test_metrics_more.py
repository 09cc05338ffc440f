"""Averages over classes, intervals of shares, and the measures of valence and arousal."""

import numpy as np
import pytest

from mien import metrics

# Four classes. Class 1 is never predicted, class 2 is predicted and not in the truth, class 3 is
# nowhere.
TRUTH = np.array([0, 0, 0, 1, 0, 1])
PREDICTED = np.array([0, 0, 2, 0, 0, 2])
MATRIX = np.array([[3, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_averages_by_hand():
    assert metrics.confusion(PREDICTED, TRUTH, 4).tolist() == MATRIX.tolist()
    macro, weighted = metrics.macro_averages(MATRIX), metrics.weighted_averages(MATRIX)
    f1 = 2 * 3 / (4 + 4)  # of class 0; the others have none
    assert macro.precision == pytest.approx((3 / 4 + 0 + 0) / 3)
    assert macro.recall == pytest.approx((3 / 4 + 0 + 0) / 3)
    assert macro.f1 == pytest.approx(f1 / 3)
    assert weighted.precision == pytest.approx(4 / 6 * 3 / 4)
    assert weighted.recall == pytest.approx(3 / 6)
    assert weighted.f1 == pytest.approx(4 / 6 * f1)
    assert metrics.balanced_accuracy(MATRIX) == pytest.approx((3 / 4 + 0) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_averages_as_scikit_learn(seed):
    judge = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, 80)
    predicted = generator.choice([0, 1, 2, 6], 80)  # never 3-5, and 6, which the truth has not
    matrix = metrics.confusion(predicted, truth, 8)
    report = judge.classification_report(truth, predicted, output_dict=True, zero_division=0)
    for got, name in (
        (metrics.macro_averages(matrix), "macro avg"),
        (metrics.weighted_averages(matrix), "weighted avg"),
    ):
        want = report[name]
        assert got.precision == pytest.approx(want["precision"])
        assert got.recall == pytest.approx(want["recall"])
        assert got.f1 == pytest.approx(want["f1-score"])
    assert metrics.macro_averages(matrix).f1 == pytest.approx(metrics.macro_f1(matrix))
    assert metrics.weighted_averages(matrix).recall == pytest.approx(
        metrics.accuracy(predicted, truth)
    )


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (3, 16), (700, 1000)])
def test_wilson_interval_as_scipy(right, n):
    stats = pytest.importorskip("scipy.stats")
    want = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert metrics.wilson_interval(right, n) == pytest.approx((want.low, want.high), abs=1e-6)


def test_wilson_interval_without_rows():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)


def test_reliability_by_hand():
    shares = np.array([[0.7, 0.3], [0.2, 0.8], [0.75, 0.25], [0.45, 0.55]], np.float32)
    counts, confidence, right = metrics.reliability(shares, np.array([0, 1, 1, 1]), bins=5)
    assert counts.tolist() == [0, 0, 1, 3, 0]  # (0.4, 0.6] and (0.6, 0.8]
    assert confidence == pytest.approx([0, 0, 0.55, 0.7 + 0.8 + 0.75, 0], abs=1e-6)
    assert right.tolist() == [0, 0, 1, 2, 0]
    gaps = abs(0.55 - 1) + abs(2.25 - 2)
    ece = metrics.expected_calibration_error(shares, np.array([0, 1, 1, 1]), bins=5)
    assert ece == pytest.approx(gaps / 4, abs=1e-6)


P = np.array([0.5, -0.5, 0.0, 0.2], np.float32)
Y = np.array([0.4, -0.1, 0.1, 0.0], np.float32)


def test_affect_by_hand():
    # Means 0.05 and 0.1; deviations (.45 -.55 -.05 .15) and (.3 -.2 0 -.1).
    covariance = (0.45 * 0.3 + 0.55 * 0.2 - 0.15 * 0.1) / 4
    var_p = (0.45**2 + 0.55**2 + 0.05**2 + 0.15**2) / 4
    var_y = (0.3**2 + 0.2**2 + 0.1**2) / 4
    assert metrics.rmse(P, Y) == pytest.approx(np.sqrt((0.01 + 0.16 + 0.01 + 0.04) / 4))
    assert metrics.pcc(P, Y) == pytest.approx(covariance / np.sqrt(var_p * var_y))
    assert metrics.ccc(P, Y) == pytest.approx(2 * covariance / (var_p + var_y + 0.05**2), abs=1e-6)
    assert metrics.sagr(P, Y) == 2 / 4  # 0 and 0.1 differ, so do 0.2 and 0


def test_pearson_as_numpy_and_ccc_as_the_published_formula():
    generator = np.random.default_rng(5)
    y = generator.uniform(-1, 1, 200)
    p = 0.6 * y + generator.normal(0, 0.3, 200) + 0.1
    rho = np.corrcoef(y, p)[0, 1]
    assert metrics.pcc(p, y) == pytest.approx(rho)
    wanted = 2 * rho * p.std() * y.std() / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)
    assert metrics.ccc(p, y) == pytest.approx(wanted)
    judge = pytest.importorskip("sklearn.metrics")
    assert metrics.rmse(p, y) == pytest.approx(judge.root_mean_squared_error(y, p))
    stats = pytest.importorskip("scipy.stats")
    assert metrics.pcc(p, y) == pytest.approx(stats.pearsonr(p, y).statistic)


def test_ccc_minds_shift_and_scale_where_pearson_does_not():
    y = np.linspace(-1, 1, 9)
    assert [metrics.ccc(y, y), metrics.pcc(y, y)] == pytest.approx([1, 1])
    assert metrics.ccc(-y, y) == pytest.approx(-1)
    shifted, halved = metrics.ccc(y + 0.5, y), metrics.ccc(y / 2, y)
    assert shifted == pytest.approx(2 * y.var() / (2 * y.var() + 0.25))
    assert halved == pytest.approx(2 * 0.5 / (1 + 0.25))
    assert [metrics.pcc(y + 0.5, y), metrics.pcc(y / 2, y)] == pytest.approx([1, 1])


@pytest.mark.parametrize("level", [0.0, 0.1, -1.0])
def test_constants_have_no_correlation(level):
    flat = np.full(4, level, np.float32)
    with np.errstate(all="raise"):
        for pair in ((flat, Y), (Y, flat), (flat, flat)):
            assert metrics.pcc(*pair) == 0.0
            assert metrics.ccc(*pair) == 0.0
    assert metrics.rmse(flat, flat) == 0.0


def test_signs_agree_with_zero_at_zero_alone():
    assert metrics.sagr(np.array([0.0, 0.0, -0.0, 1e-9]), np.array([0.0, 0.1, 0.0, 1.0])) == 3 / 4

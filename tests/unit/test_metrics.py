import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mien import metrics

# Six rows, three classes. Class 2 has two rows and both are taken for others.
TRUTH = np.array([0, 0, 0, 1, 2, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0])
MATRIX = [[2, 1, 0], [0, 1, 0], [1, 1, 0]]

PROBABILITIES = np.array([[0.7, 0.3], [0.2, 0.8], [0.9, 0.1], [0.6, 0.4]], np.float32)
CODES = np.array([0, 1, 1, 0])

codes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60).map(
    lambda pairs: np.array(pairs).T
)
logit_rows = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-1e4, 1e4, width=32),
)


def test_softmax_by_hand():
    got = metrics.softmax(np.log(np.array([[1, 2, 5], [1, 1, 2]], np.float32)))
    assert got == pytest.approx(np.array([[0.125, 0.25, 0.625], [0.25, 0.25, 0.5]]), abs=1e-6)
    assert got.dtype == np.float32


def test_temperature_divides_logits():
    logits = np.log(np.array([[1, 4, 9]], np.float32))
    assert metrics.softmax(logits, 2.0) == pytest.approx(np.array([[1, 2, 3]]) / 6, abs=1e-6)
    assert metrics.softmax(logits, 0.5) == pytest.approx(np.array([[1, 16, 81]]) / 98, abs=1e-6)


def test_softmax_of_extremes():
    got = metrics.softmax(np.array([[1e30, 0, -1e30], [-1e30, -1e30, -1e30]], np.float32))
    assert got == pytest.approx(np.array([[1, 0, 0], [1 / 3] * 3]), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(logit_rows, st.floats(0.1, 10))
def test_softmax_rows_sum_to_one_and_keep_their_order(logits, temperature):
    got = metrics.softmax(logits, temperature)
    assert got.sum(axis=1) == pytest.approx(np.ones(len(logits)), abs=1e-5)
    assert got.min() >= 0
    best = np.take_along_axis(got, logits.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert (best == got.max(axis=1)).all()


@settings(deadline=None, max_examples=60)
@given(logit_rows)
def test_softmax_does_not_mind_a_shift(logits):
    got = metrics.softmax(logits.astype(np.float32) / 100)
    shifted = metrics.softmax(logits / 100 + 3)
    assert shifted == pytest.approx(got, abs=1e-4)


def test_accuracy_by_hand():
    assert metrics.accuracy(PREDICTED, TRUTH) == pytest.approx(3 / 6)


def test_confusion_has_true_classes_in_rows():
    assert metrics.confusion(PREDICTED, TRUTH, 3).tolist() == MATRIX
    assert metrics.confusion(PREDICTED, TRUTH, 4)[:, 3].tolist() == [0, 0, 0, 0]


def test_per_class_figures_by_hand():
    matrix = np.array(MATRIX)
    assert metrics.recalls(matrix) == pytest.approx([2 / 3, 1, 0])
    assert metrics.precisions(matrix) == pytest.approx([2 / 3, 1 / 3, np.nan], nan_ok=True)
    assert metrics.f1_scores(matrix) == pytest.approx([2 / 3, 1 / 2, 0])
    assert metrics.macro_f1(matrix) == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert metrics.balanced_accuracy(matrix) == pytest.approx((2 / 3 + 1) / 3)


def test_a_class_that_is_nowhere_does_not_count():
    matrix = metrics.confusion(np.array([0, 1]), np.array([0, 1]), 3)
    assert metrics.recalls(matrix) == pytest.approx([1, 1, np.nan], nan_ok=True)
    assert metrics.f1_scores(matrix) == pytest.approx([1, 1, np.nan], nan_ok=True)
    assert metrics.macro_f1(matrix) == metrics.balanced_accuracy(matrix) == 1.0


def test_nll_and_brier_by_hand():
    want = -np.log([0.7, 0.8, 0.1, 0.6]).mean()
    assert metrics.nll(PROBABILITIES, CODES) == pytest.approx(want, rel=1e-6)
    want = 2 * np.mean([0.3**2, 0.2**2, 0.9**2, 0.4**2])
    assert metrics.brier(PROBABILITIES, CODES) == pytest.approx(want, rel=1e-6)


def test_nll_of_the_impossible_is_finite():
    sure = np.array([[1.0, 0.0]], np.float32)
    assert metrics.nll(sure, np.array([1])) == pytest.approx(-np.log(1e-12))
    assert metrics.brier(sure, np.array([1])) == 2.0


def test_calibration_error_by_hand():
    # Two bins: (0, 0.5] is empty; in (0.5, 1] confidence is 0.75 on average, accuracy 3/4.
    assert metrics.expected_calibration_error(PROBABILITIES, CODES, bins=2) == pytest.approx(
        0, abs=1e-7
    )
    # Ten bins, one row in each: |0.7 - 1|, |0.8 - 1|, |0.9 - 0|, |0.6 - 1|.
    assert metrics.expected_calibration_error(PROBABILITIES, CODES, bins=10) == pytest.approx(
        (0.3 + 0.2 + 0.9 + 0.4) / 4, abs=1e-6
    )


@pytest.mark.parametrize(("bins", "want"), [(1, 0.0), (15, 0.0)])
def test_the_sure_and_right_are_calibrated(bins, want):
    eye = np.eye(3, dtype=np.float32)
    assert metrics.expected_calibration_error(eye, np.arange(3), bins) == want


def test_bootstrap_interval_holds_the_estimate():
    right = np.arange(400) % 4 != 0  # 75 % right
    low, high = metrics.bootstrap_interval(lambda at: float(right[at].mean()), 400)
    spread = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - spread, abs=0.01)
    assert high == pytest.approx(0.75 + spread, abs=0.01)


def test_bootstrap_interval_is_the_same_each_time():
    values = np.random.default_rng(3).random(50)

    def interval(seed):
        return metrics.bootstrap_interval(lambda at: float(values[at].mean()), 50, seed=seed)

    assert interval(0) == interval(0) != interval(1)


@settings(deadline=None, max_examples=60)
@given(codes)
def test_confusion_sums_to_n(pair):
    predicted, truth = pair
    matrix = metrics.confusion(predicted, truth, 5)
    assert matrix.sum() == len(truth)
    assert matrix.sum(axis=1).tolist() == np.bincount(truth, minlength=5).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(predicted, minlength=5).tolist()
    assert matrix.trace() / len(truth) == pytest.approx(metrics.accuracy(predicted, truth))


@settings(deadline=None, max_examples=60)
@given(codes)
def test_per_class_figures_lie_between_zero_and_one(pair):
    matrix = metrics.confusion(*pair, 5)
    for figures in (metrics.recalls, metrics.precisions, metrics.f1_scores):
        known = figures(matrix)[~np.isnan(figures(matrix))]
        assert ((known >= 0) & (known <= 1)).all()


@pytest.fixture(scope="module")
def drawn():
    generator = np.random.default_rng(11)
    probabilities = generator.dirichlet(np.ones(7), 300).astype(np.float32)
    truth = generator.integers(0, 7, 300)
    return probabilities, probabilities.argmax(axis=1), truth


def test_as_scikit_learn(drawn):
    judge = pytest.importorskip("sklearn.metrics")
    probabilities, predicted, truth = drawn
    matrix = metrics.confusion(predicted, truth, 7)
    assert matrix.tolist() == judge.confusion_matrix(truth, predicted).tolist()
    precision, recall, f1, _ = judge.precision_recall_fscore_support(truth, predicted)
    assert metrics.precisions(matrix) == pytest.approx(precision)
    assert metrics.recalls(matrix) == pytest.approx(recall)
    assert metrics.f1_scores(matrix) == pytest.approx(f1)
    assert metrics.macro_f1(matrix) == pytest.approx(
        judge.f1_score(truth, predicted, average="macro")
    )
    assert metrics.balanced_accuracy(matrix) == pytest.approx(
        judge.balanced_accuracy_score(truth, predicted)
    )
    assert metrics.accuracy(predicted, truth) == judge.accuracy_score(truth, predicted)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert metrics.nll(probabilities, truth) == pytest.approx(
        judge.log_loss(truth, exact, labels=range(7)), rel=1e-4
    )


def test_brier_as_scikit_learn_for_two_classes(drawn):
    judge = pytest.importorskip("sklearn.metrics")
    share = drawn[0][:, 0].astype(np.float64)
    truth = drawn[2] % 2
    both = np.stack([1 - share, share], axis=1)
    assert metrics.brier(both, truth) == pytest.approx(2 * judge.brier_score_loss(truth, share))

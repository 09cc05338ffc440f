"""Measures of classifiers and of valence and arousal, in NumPy.

Classifiers are measured by probabilities (n, k), or confusion matrices, against integer labels
(n,); valence and arousal are numbers (n,) against numbers (n,).
Percentages are never used: everything is a part of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.types import Floats

Codes = NDArray[np.intp]
Numbers = NDArray[np.floating]

_Z95 = 1.959964  # 95 % of a normal distribution lie within so many deviations


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities (n, k) of logits (n, k) divided by `temperature`; rows sum to one."""
    z = logits.astype(np.float32) / np.float32(temperature)
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True), np.float32)


def accuracy(predicted: Codes, truth: Codes) -> float:
    """The part of the rows where both agree."""
    return float(np.mean(predicted == truth))


def confusion(predicted: Codes, truth: Codes, k: int) -> NDArray[np.int64]:
    """Counts (k, k): rows are true classes, columns predicted ones."""
    return np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k).astype(np.int64)


def recalls(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per class, the part of its rows that was recognised; NaN for a class without rows."""
    return _ratio(matrix.diagonal(), matrix.sum(axis=1))


def precisions(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per class, the part of its predictions that was right; NaN for one never predicted."""
    return _ratio(matrix.diagonal(), matrix.sum(axis=0))


def f1_scores(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per class, the harmonic mean of precision and recall; NaN for a class not seen at all."""
    return _ratio(2 * matrix.diagonal(), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_f1(matrix: NDArray[np.int64]) -> float:
    """The plain mean of F1 over the classes that are in the truth or the predictions."""
    return float(np.nanmean(f1_scores(matrix)))


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1, averaged over the classes."""

    precision: float
    recall: float
    f1: float


def macro_averages(matrix: NDArray[np.int64]) -> Averages:
    """The plain means over the classes that are in the truth or in the predictions.

    As in scikit-learn's ``classification_report``, a precision without predictions or a recall
    without rows is 0 here, so the recall is below `balanced_accuracy` where a class is predicted
    that the truth does not have.
    """
    seen = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    return _averages(matrix, seen.astype(np.float64))


def weighted_averages(matrix: NDArray[np.int64]) -> Averages:
    """The means over the classes weighted by their rows in the truth; the recall is the accuracy.

    A class that is never predicted has precision 0, as in `macro_averages`.
    """
    return _averages(matrix, matrix.sum(axis=1).astype(np.float64))


def _averages(matrix: NDArray[np.int64], weights: NDArray[np.float64]) -> Averages:
    parts = (precisions(matrix), recalls(matrix), f1_scores(matrix))
    means = (float(np.average(np.nan_to_num(part), weights=weights)) for part in parts)
    return Averages(*means)


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `right` of `n` rows were seen (Wilson 1927).

    For one class's recall: no resampling, and sound for few rows, where it never leaves 0 to 1.
    Without rows it is all of 0 to 1.
    """
    if not n:
        return 0.0, 1.0
    z2 = _Z95 * _Z95
    share = right / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z95 / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def balanced_accuracy(matrix: NDArray[np.int64]) -> float:
    """The plain mean of recall over the classes in the truth; also called UAR."""
    return float(np.nanmean(recalls(matrix)))


def nll(probabilities: Floats, truth: Codes, weights: Numbers | None = None) -> float:
    """Mean negative log-likelihood of the true classes, in nats; weighted by `weights` (n,)."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return float(-np.average(np.log(np.maximum(chosen, 1e-12)), weights=weights))


def brier(probabilities: Floats, truth: Codes) -> float:
    """Mean squared distance between each row and the one-hot truth (0 is best, 2 is worst)."""
    wanted = np.eye(probabilities.shape[1])[truth]
    return float(np.mean(np.sum((probabilities - wanted) ** 2, axis=1)))


def expected_calibration_error(probabilities: Floats, truth: Codes, bins: int = 15) -> float:
    """ECE (Guo et al. 2017): the gap between confidence and accuracy over equal-width bins."""
    counts, confidence, right = reliability(probabilities, truth, bins)
    return float(np.abs(confidence - right).sum() / counts.sum())


def reliability(
    probabilities: Floats, truth: Codes, bins: int = 15
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Per equal-width bin of confidence: its rows, the sum of their confidence, and those right.

    The first bin is (0, 1/bins], the last one ends at 1. Confidence is the largest probability of
    a row. All three are of shape (bins,).
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(at, minlength=bins).astype(np.int64)
    told = np.bincount(at, weights=confidence, minlength=bins).astype(np.float64)
    return counts, told, np.bincount(at, weights=right, minlength=bins).astype(np.float64)


def rmse(predicted: Numbers, truth: Numbers) -> float:
    """The root of the mean squared error of numbers (n,)."""
    return float(np.sqrt(np.mean((_exact(predicted) - _exact(truth)) ** 2)))


def pcc(predicted: Numbers, truth: Numbers) -> float:
    """Pearson's correlation of numbers (n,), from -1 to 1.

    It is undefined where either side is constant; then it is 0 here, "no relation is seen".
    """
    p, y = _exact(predicted), _exact(truth)
    if _is_constant(p) or _is_constant(y):
        return 0.0
    return float(np.clip(np.mean((p - p.mean()) * (y - y.mean())) / (p.std() * y.std()), -1, 1))


def ccc(predicted: Numbers, truth: Numbers) -> float:
    """Lin's concordance correlation (1989) of numbers (n,), from -1 to 1.

    ``2 rho s_p s_y / (s_p^2 + s_y^2 + (m_p - m_y)^2)`` with deviations of the population (ddof 0)
    [found: emonet/metrics.py]. As `pcc` it is 0 where either side is constant.
    """
    p, y = _exact(predicted), _exact(truth)
    shift = float(p.mean() - y.mean())
    spread = float(p.var() + y.var()) + shift * shift
    return 2 * pcc(p, y) * float(p.std() * y.std()) / spread if spread > 0 else 0.0


def sagr(predicted: Numbers, truth: Numbers) -> float:
    """Sign agreement of numbers (n,): the part with equal signs; 0 agrees with 0 alone.

    [found: emonet/metrics.py]
    """
    return float(np.mean(np.sign(_exact(predicted)) == np.sign(_exact(truth))))


def _exact(values: Numbers) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _is_constant(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(values) == 0)


def bootstrap_interval(
    measure: Callable[[Codes], float], n: int, *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of `measure`, a function of row indices, over resampled rows."""
    generator = np.random.default_rng(seed)
    values = [measure(generator.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.where(bottom > 0, top / np.maximum(bottom, 1), np.nan)

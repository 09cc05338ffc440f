"""Measures of classifiers, in NumPy: probabilities (n, k) against integer labels (n,).

Percentages are never used: everything is a part of one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mien.types import Floats

Codes = NDArray[np.intp]


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


def balanced_accuracy(matrix: NDArray[np.int64]) -> float:
    """The plain mean of recall over the classes in the truth; also called UAR."""
    return float(np.nanmean(recalls(matrix)))


def nll(probabilities: Floats, truth: Codes) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return float(-np.mean(np.log(np.maximum(chosen, 1e-12))))


def brier(probabilities: Floats, truth: Codes) -> float:
    """Mean squared distance between each row and the one-hot truth (0 is best, 2 is worst)."""
    wanted = np.eye(probabilities.shape[1])[truth]
    return float(np.mean(np.sum((probabilities - wanted) ** 2, axis=1)))


def expected_calibration_error(probabilities: Floats, truth: Codes, bins: int = 15) -> float:
    """ECE (Guo et al. 2017): the gap between confidence and accuracy over equal-width bins."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(at, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


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

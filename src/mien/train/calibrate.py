"""Temperature scaling (Guo et al. 2017), fitted on held-out logits."""

from __future__ import annotations

import numpy as np

from mien.metrics import Codes, expected_calibration_error, nll, softmax
from mien.types import Floats


def fit_temperature(logits: Floats, truth: Codes, *, balanced: bool = False) -> float:
    """The temperature in [0.25, 4] that makes the negative log-likelihood smallest.

    The likelihood is convex in the inverse temperature, so a golden-section search finds it.

    Args:
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
        balanced: let every class weigh the same, however many faces of it there are.
    """
    weights = 1 / np.bincount(truth)[truth] if balanced else None

    def loss(log_temperature: float) -> float:
        return nll(softmax(logits, float(np.exp(log_temperature))), truth, weights)

    low, high = np.log(0.25), np.log(4.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def cross_fitted(logits: Floats, truth: Codes, folds: int = 2, *, balanced: bool = False) -> Floats:
    """Probabilities (n, k) by temperatures that never saw the row they are used on.

    Each fold's temperature is fitted on the other folds; row i lies in the fold i mod `folds`.
    """
    fold = np.arange(len(truth)) % folds
    probabilities = np.zeros_like(logits)
    for k in range(folds):
        temperature = fit_temperature(logits[fold != k], truth[fold != k], balanced=balanced)
        probabilities[fold == k] = softmax(logits[fold == k], temperature)
    return probabilities


def cross_fitted_ece(
    logits: Floats, truth: Codes, folds: int = 2, *, balanced: bool = False
) -> float:
    """The calibration error when each fold's temperature is fitted on the other folds."""
    return expected_calibration_error(cross_fitted(logits, truth, folds, balanced=balanced), truth)

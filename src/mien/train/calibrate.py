"""Temperature scaling (Guo et al. 2017), fitted on held-out logits."""

from __future__ import annotations

import numpy as np

from mien.metrics import Codes, expected_calibration_error, nll, softmax
from mien.types import Floats


def fit_temperature(logits: Floats, truth: Codes) -> float:
    """The temperature in [0.25, 4] that makes the negative log-likelihood smallest.

    The likelihood is convex in the inverse temperature, so a golden-section search finds it.

    Args:
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
    """
    low, high = np.log(0.25), np.log(4.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _loss(logits, truth, left) < _loss(logits, truth, right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def cross_fitted_ece(logits: Floats, truth: Codes, folds: int = 2) -> float:
    """The calibration error when each fold's temperature is fitted on the other folds."""
    fold = np.arange(len(truth)) % folds
    probabilities = np.zeros_like(logits)
    for k in range(folds):
        temperature = fit_temperature(logits[fold != k], truth[fold != k])
        probabilities[fold == k] = softmax(logits[fold == k], temperature)
    return expected_calibration_error(probabilities, truth)


def _loss(logits: Floats, truth: Codes, log_temperature: float) -> float:
    return nll(softmax(logits, float(np.exp(log_temperature))), truth)

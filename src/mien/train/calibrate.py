"""Temperature scaling (Guo et al. 2017), with biases or without, fitted on held-out logits."""

from __future__ import annotations

import numpy as np

from mien.metrics import Codes, expected_calibration_error, nll, softmax
from mien.types import Floats

#: `even_priors` ends after so many turns, or as soon as every mean is so near to 1/k, as a part.
_TURNS, _NEAR = 1000, 1e-4
#: A mean probability counts as at least this much, or a label that is never told would never end.
_LEAST = 1e-9
#: What the squares of `fit_biases` cost, so that a label with a dozen faces is not moved far.
_RIDGE = 1e-3
#: `fit_biases` ends after so many turns, or once none of its biases moves by more than this.
_STEPS, _STILL = 30, 1e-4


def fit_temperature(logits: Floats, truth: Codes, *, balanced: bool = False) -> float:
    """The temperature in [0.25, 4] that makes the negative log-likelihood smallest.

    The likelihood is convex in the inverse temperature, so a golden-section search finds it.

    Args:
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
        balanced: let every class weigh the same, however many faces of it there are.
    """
    weights = even_weights(truth) if balanced else None

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


def fit_biases(logits: Floats, truth: Codes) -> Floats:
    """What added to the logits makes labels as frequent as they are, at the best temperature.

    Bias-corrected temperature scaling (Alexandari et al. 2020): the negative log-likelihood of
    ``softmax(z / T + b)``, with 0.001 of the sum of b's squares, is made smallest in T and b; T by
    `fit_temperature`, b by Newton's steps, in turns.

    Args:
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.

    Returns:
        ``T b`` (k,), with a mean of 0: logits with it added have T for their temperature.
    """
    k = logits.shape[1]
    wanted = np.bincount(truth, minlength=k) / len(truth)
    biases = np.zeros(k)
    temperature = fit_temperature(logits, truth)
    for _ in range(_STEPS):
        p = softmax(logits / np.float32(temperature) + biases.astype(np.float32)).astype(float)
        slope = p.mean(axis=0) - wanted + 2 * _RIDGE * biases
        bend = np.diag(p.mean(axis=0)) - p.T @ p / len(p) + 2 * _RIDGE * np.eye(k)
        step = np.linalg.solve(bend, slope)
        biases -= step
        temperature = fit_temperature(logits + (temperature * biases).astype(np.float32), truth)
        if np.abs(step).max() < _STILL:
            break
    return np.asarray(temperature * (biases - biases.mean()), np.float32)


def even_weights(truth: Codes) -> Floats:
    """How much each face counts (n,) if all classes are to count the same, one each."""
    return np.asarray(1 / np.bincount(truth)[truth])


def even_priors(logits: Floats, weights: Floats) -> Floats:
    """The priors that, divided out, leave every label the same mean probability.

    A head that was taught votes expects more of some labels than its training shares say: its
    neutral is what is voted where nobody agrees. So they are measured: on faces whose `weights`
    make all classes equally frequent its probabilities are scaled, label by label and face by face
    in turns, until each label has a mean of 1/k (Sinkhorn & Knopp 1967).

    Args:
        logits: (n, k), calibrated, of faces that were not trained on.
        weights: (n,) how much each face counts.

    Returns:
        (k,), with a sum of 1.
    """
    parts = (weights / weights.sum())[:, None]
    shift = np.zeros(logits.shape[1], np.float32)
    for _ in range(_TURNS):
        means = (parts * softmax(logits + shift)).sum(axis=0)
        shift -= np.log(np.maximum(means, _LEAST) * len(means)).astype(np.float32)
        if np.abs(means * len(means) - 1).max() < _NEAR:
            break
    return np.asarray(softmax(-shift[None])[0], np.float32)


def cross_fitted(
    logits: Floats,
    truth: Codes,
    folds: int = 2,
    *,
    balanced: bool = False,
    biased: bool = False,
) -> Floats:
    """Probabilities (n, k) by temperatures that never saw the row they are used on.

    Each fold's temperature is fitted on the other folds; row i lies in the fold i mod `folds`. With
    `biased`, so are each fold's `fit_biases`.
    """
    fold = np.arange(len(truth)) % folds
    probabilities = np.zeros_like(logits)
    for k in range(folds):
        others, own = logits[fold != k], logits[fold == k]
        if biased:
            biases = fit_biases(others, truth[fold != k])
            others, own = others + biases, own + biases
        temperature = fit_temperature(others, truth[fold != k], balanced=balanced)
        probabilities[fold == k] = softmax(own, temperature)
    return probabilities


def cross_fitted_ece(
    logits: Floats, truth: Codes, folds: int = 2, *, balanced: bool = False
) -> float:
    """The calibration error when each fold's temperature is fitted on the other folds."""
    return expected_calibration_error(cross_fitted(logits, truth, folds, balanced=balanced), truth)

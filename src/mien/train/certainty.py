"""Which answers are marked as uncertain: a threshold on the probability of the label told.

Selective classification by the top probability (Geifman & El-Yaniv 2017, arXiv:1705.08500): the
answers that are kept are to be right at a stated rate, and as many as possible are kept. The rate
is met on the faces of the fit by construction, so that `certainty_figures` fits on some folds and
measures on the others, too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mien.metrics import Codes
from mien.types import Floats

NEVER, ALWAYS = 0.0, 1.0
"""Thresholds that mark no answer, and every one that is not certain beyond doubt."""


def fit_threshold(probabilities: Floats, truth: Codes, rate: float) -> float:
    """The smallest threshold above which at least the part `rate` of the answers is right.

    Args:
        probabilities: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
        rate: a part of one; 0 asks for nothing.

    Returns:
        The threshold, rounded down to five decimals: `NEVER` where all answers together are right
        often enough, `ALWAYS` where not even the surest ones are.
    """
    top, right = _told(probabilities, truth)
    order = np.argsort(-top, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    together = np.append(np.diff(top[order]) == 0, False)  # the next one is as probable
    enough = np.flatnonzero((share >= rate) & ~together)
    if not len(enough):
        return ALWAYS
    if enough[-1] == len(order) - 1:
        return NEVER
    return math.floor(float(top[order][enough[-1]]) * 1e5) / 1e5


def certainty_figures(
    probabilities: Floats, truth: Codes, threshold: float, rate: float, folds: int = 5
) -> dict[str, float]:
    """What a threshold does: the share of answers kept, and the parts of both sides that are right.

    The figures that end in ``cross_fitted`` are those of thresholds fitted on the other folds,
    which is what faces like these can be expected to give. A figure of no answers is left out.

    Args:
        probabilities: (n, k).
        truth: (n,).
        threshold: the one that was fitted on all of them.
        rate: what it was fitted for.
        folds: parts of the cross-check; row i lies in the part i mod `folds`.
    """
    top, right = _told(probabilities, truth)
    kept = top >= threshold
    fold = np.arange(len(truth)) % folds
    crossed = np.zeros(len(truth), np.bool_)
    for k in range(folds):
        mine = fold == k
        crossed[mine] = top[mine] >= fit_threshold(probabilities[~mine], truth[~mine], rate)
    figures = {
        "certain_share": float(kept.mean()),
        "certain_accuracy": _mean(right[kept]),
        "uncertain_accuracy": _mean(right[~kept]),
        "certain_share_cross_fitted": float(crossed.mean()),
        "certain_accuracy_cross_fitted": _mean(right[crossed]),
    }
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _told(probabilities: Floats, truth: Codes) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability of the label told (n,), and whether it is right (n,)."""
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == truth


def _mean(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else math.nan

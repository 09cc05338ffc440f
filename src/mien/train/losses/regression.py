"""Losses of valence and arousal: numbers against numbers, NaN where one is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

RegressionName = Literal["smooth_l1", "mse", "ccc"]

_TINY = 1e-8


def smooth_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of the smooth L1 loss (Girshick 2015) over the known values.

    ``d^2 / 2`` where ``|d| < 1``, else ``|d| - 1/2``: L_sL1 of Lee, Kim & Lee 2023, equation 3
    [seed 004].

    Args:
        predicted: (n, m).
        target: (n, m), NaN where unknown.

    Returns:
        A scalar; zero, with a gradient of zero, when nothing is known.
    """
    known, error = known_errors(predicted, target)
    size = error.abs()
    each = torch.where(size < 1, 0.5 * error.square(), size - 0.5)
    return (known * each).sum() / known.sum().clamp(min=1)


def mean_squared(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared error over the known values of (n, m), as `smooth_l1` otherwise."""
    known, error = known_errors(predicted, target)
    return (known * error.square()).sum() / known.sum().clamp(min=1)


def concordance_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of ``1 - CCC`` over the outputs, each over its known values in the batch.

    Lin's concordance correlation (1989), ``CCC = 2 cov / (s_p^2 + s_y^2 + (m_p - m_y)^2)`` with
    moments of the population [found: emonet/metrics.py]. It is a figure of a whole batch, so it
    wants large ones, and an output with fewer than two known values is left out.

    Args:
        predicted: (n, m).
        target: (n, m), NaN where unknown.

    Returns:
        A scalar in [0, 2]; zero, with a gradient of zero, when no output has two known values.
    """
    known, _ = known_errors(predicted, target)
    n = known.sum(dim=0)
    truth = torch.where(known, target, 0.0)
    ours = torch.where(known, predicted, 0.0)
    m_y, m_p = (part.sum(dim=0) / n.clamp(min=1) for part in (truth, ours))
    y, p = known * (truth - m_y), known * (ours - m_p)
    cov, s_y, s_p = ((a * b).sum(dim=0) / n.clamp(min=1) for a, b in ((y, p), (y, y), (p, p)))
    ccc = 2 * cov / (s_y + s_p + (m_p - m_y).square()).clamp(min=_TINY)
    used = n >= 2
    return (used * (1 - ccc)).sum() / used.sum().clamp(min=1)


def known_errors(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Which values are known, and ``predicted - target`` (n, m), zero where they are not."""
    known = ~torch.isnan(target)
    return known, torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)


REGRESSIONS: Mapping[RegressionName, Callable[[Tensor, Tensor], Tensor]] = {
    "smooth_l1": smooth_l1,
    "mse": mean_squared,
    "ccc": concordance_loss,
}
"""The losses above by their names in a recipe."""

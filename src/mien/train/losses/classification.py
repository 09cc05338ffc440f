"""Losses of class probabilities, and weights that make up for rare classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mien.errors import UsageError

_MULTI_EPSILON = 0.001

WeightRule = Literal["min_over_count", "balanced", "max_over_count"]


def soft_cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of ``-sum_k t_k log softmax(z)_k`` over the rows that have a target.

    Args:
        logits: (n, k).
        target: (n, k), each row a distribution, or all zeros where nothing is known.
        smoothing: this part of each target is spread evenly over the classes (Szegedy et al. 2016).

    Returns:
        A scalar; zero, with a gradient of zero, when no row has a target.
    """
    known = target.sum(dim=1)
    return _entropies(logits, target, smoothing).sum() / known.sum().clamp(min=1)


def class_weights(counts: Tensor, rule: WeightRule = "min_over_count") -> Tensor:
    """The weight of each class (k,), out of how often it is in the training split (k,).

    Args:
        counts: f_k; a class of none gets the weight 0, for no row has it.
        rule: "min_over_count", ``w_k = f_min / f_k``, at most 1, the paper's (Ngo & Yoon 2020)
            [found: in a public implementation, "as paper"]. "balanced", ``w_k = n / (K f_k)``,
            whose mean over the rows is 1. "max_over_count", ``w_k = f_max / f_k``, at least 1.
            Here K and f_min are of the classes that are there.

    The three differ by a factor alone, but that is large: over AffectNet's natural batches the mean
    of the first is 0.104, so that learning rates of plain cross-entropy do not carry over
    [inferred]; see `normalise` of `weighted_softmax`.

    Raises:
        UsageError: no such rule, or no class has a row.
    """
    counts = counts.to(torch.float64)
    there = counts > 0
    if not there.any():
        raise UsageError("class weights need at least one labelled face")
    tops = {
        "min_over_count": counts[there].min(),
        "balanced": counts.sum() / there.sum(),
        "max_over_count": counts.max(),
    }
    if rule not in tops:
        raise UsageError(f"no class-weight rule {rule!r}. Known: {', '.join(tops)}.")
    weights = torch.where(there, tops[rule] / counts.clamp(min=1e-12), 0.0)
    return weights.to(torch.float32)


def weighted_softmax(
    logits: Tensor,
    target: Tensor,
    weights: Tensor,
    smoothing: float = 0.0,
    *,
    normalise: bool = False,
) -> Tensor:
    """The weighted-softmax loss ``-(1/N) sum_i w_{y_i} log softmax(z_i)_{y_i}``.

    Ngo & Yoon 2020 [found: michaelStettler/EmotionRecognition_ClusterLoss, which says that it
    follows the paper]. A row whose target is a distribution weighs ``w_i = sum_k t_ik w_k``,
    which is w_y where it is one class.

    Args:
        logits: (n, k).
        target: (n, k), each row a distribution, or all zeros where nothing is known.
        weights: (k,), such as `class_weights` gives.
        smoothing: as of `soft_cross_entropy`; it changes what a row aims at, not its weight.
        normalise: divide by the sum of the rows' weights, not by their number N: the loss is then
            of the size of plain cross-entropy, whatever the rule.

    Returns:
        A scalar; zero, with a gradient of zero, when no row has a target.
    """
    of_row = target @ weights.to(target.dtype)
    total = (of_row * _entropies(logits, target, smoothing)).sum()
    if normalise:
        return total / of_row.sum().clamp(min=1e-12)
    return total / target.sum().clamp(min=1)


def multi_target(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of ``-log max_k t_k softmax(z)_k``: any of the marked labels is a right answer.

    The loss of FER+'s "multi-target" rule (Barsoum et al. 2016), with t_k = 1 for a
    marked label and 0.001 for the others, so that no face is without a gradient.

    Args:
        logits: (n, k).
        target: (n, k), above zero for the marked labels; all zeros where nothing is known.
        smoothing: not used; the 0.001 is what this loss has of it.

    Returns:
        A scalar; zero, with a gradient of zero, when no row has a target.
    """
    known = (target.sum(dim=1) > 0).float()
    marked = (1 - _MULTI_EPSILON) * (target > 0).float() + _MULTI_EPSILON
    best = (torch.log_softmax(logits, dim=1) + marked.log()).max(dim=1).values
    return -(best * known).sum() / known.sum().clamp(min=1)


def _entropies(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Each row's cross-entropy (n,), zero where it has no target."""
    known = target.sum(dim=1)
    smooth = (1 - smoothing) * target + smoothing * known.unsqueeze(1) / target.shape[1]
    return -(smooth * torch.log_softmax(logits, dim=1)).sum(dim=1)

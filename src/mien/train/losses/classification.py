"""Losses of class probabilities."""

import torch
from torch import Tensor

_MULTI_EPSILON = 0.001


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
    smooth = (1 - smoothing) * target + smoothing * known.unsqueeze(1) / target.shape[1]
    losses = -(smooth * torch.log_softmax(logits, dim=1)).sum(dim=1)
    return losses.sum() / known.sum().clamp(min=1)


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

"""Mixup (Zhang et al. 2018): a network is shown two faces at once, and told how much of either."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Generator, Tensor

from mien.train.data.rows import AFFECT, TEACHER


def mixup(
    x: Tensor, targets: Mapping[str, Tensor], alpha: float, generator: Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Average each crop of a batch, and its targets, with those of the one before it.

    ``x_i <- l_i x_i + (1 - l_i) x_(i-1)``, ``l_i ~ Beta(alpha, alpha)``, for x and y alike (Zhang
    et al. 2018, eq. 1). A teacher's logits are averaged as probabilities. What is unknown of one
    of the two is unknown of both: a target row of zeros, or NaN for affect.

    Args:
        x: (n, c, h, w).
        targets: (n, k) by head, with a teacher's under ``teacher/<head>``.
        alpha: above 0; 1 draws l evenly, less keeps it near 0 or 1.
        generator: what l is drawn from.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, (len(x), 1)).astype(np.float32)
    part = torch.from_numpy(drawn).to(x.device)
    mixed = {head: _mix_target(head, target, part) for head, target in targets.items()}
    return _mix(x, part[:, :, None, None]), mixed


def _mix(x: Tensor, part: Tensor) -> Tensor:
    return part * x + (1 - part) * x.roll(1, dims=0)


def _mix_target(head: str, target: Tensor, part: Tensor) -> Tensor:
    if head.removeprefix(TEACHER) == AFFECT:
        return _mix(target, part)
    if head.startswith(TEACHER):
        return _mix(torch.softmax(target, dim=1), part).log()
    known = target.sum(dim=1, keepdim=True) > 0
    return _mix(target, part) * (known & known.roll(1, dims=0))

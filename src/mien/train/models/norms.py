"""BatchNorm layers that are given other statistics, while the answers stay as they are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def measure_norms(model: nn.Module, norms: Iterable[nn.BatchNorm2d], x: Tensor) -> None:
    """Give `norms` the statistics of what they are given for `x` (n, c, h, w), in evaluation mode.

    In training BatchNorm goes by its batches. A network whose running statistics are of other
    pictures, or that has none of its own, would answer otherwise from the first step on. With the
    mean m and the deviation s of what comes in, ``w (y - m0) / s0 + b`` becomes
    ``(w s / s0) (y - m) / s + (b + w (m - m0) / s0)``: the same, but by these statistics.
    """
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def measure(module: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
        var, mean = torch.var_mean(args[0], dim=(0, 2, 3), correction=0)
        seen[module] = mean, var

    hooks = [norm.register_forward_hook(measure) for norm in norms]
    model(x)
    for hook in hooks:
        hook.remove()
    for norm, (mean, var) in seen.items():
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        before = (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(norm.weight * (mean - norm.running_mean) / before)
        norm.weight.mul_((var + norm.eps).sqrt() / before)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)

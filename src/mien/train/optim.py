"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from mien.train.models.heads import backbone_parameters, head_parameters
from mien.train.sections import OptimConfig


def make_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over `model`; one-dimensional parameters (norms, biases) do not decay.

    Each group of parameters has a "factor", its learning rate as a part of the run's: 1, or
    ``backbone_lr`` for all but the heads (discriminative fine-tuning, Howard & Ruder 2018).

    Raises:
        UsageError: `backbone_lr` is set and the network does not keep its heads apart.
    """
    if config.backbone_lr == 1:
        groups = _groups(model.parameters(), config, 1.0)
    else:
        groups = _groups(head_parameters(model).values(), config, 1.0)
        groups += _groups(backbone_parameters(model).values(), config, config.backbone_lr)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999))
    nesterov = config.momentum > 0
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)


def _groups(
    parameters: Iterable[nn.Parameter], config: OptimConfig, factor: float
) -> list[dict[str, Any]]:
    listed = list(parameters)
    weights, others = [p for p in listed if p.ndim > 1], [p for p in listed if p.ndim <= 1]
    return [
        {"params": weights, "weight_decay": config.weight_decay, "factor": factor},
        {"params": others, "weight_decay": 0.0, "factor": factor},
    ]


@torch.no_grad()
def climb(parameters: Iterable[nn.Parameter], radius: float) -> None:
    """Move all `parameters` together `radius` along their gradient, to where the loss is high.

    The first step of sharpness-aware minimisation (Foret et al. 2021, equation 2).
    """
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    length = nn.utils.get_total_norm([grad for _, grad in pairs])
    for parameter, grad in pairs:
        parameter.add_(grad * (radius / (length + 1e-12)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group of `make_optimiser` its part of the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def learning_rate(step: int, total: int, warmup: int, peak: float) -> float:
    """The rate of step `step` of `total`: linear up to `peak`, then half a cosine down to zero.

    >>> [round(learning_rate(s, 10, 2, 1.0), 2) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * done))

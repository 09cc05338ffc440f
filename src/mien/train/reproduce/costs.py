"""What a network costs: parameters, multiplications, memory of a training step, time of a face."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mien.train.config import TrainConfig
from mien.train.models import build, count_macs, count_parameters


@dataclass(frozen=True)
class Costs:
    """Those of one network; nothing of them depends on what it has learnt."""

    parameters: int
    parameters_with_statistics: int
    """With BatchNorm's running statistics, as Keras counts."""
    macs: int
    step_bytes: int
    """What a training step holds, see `step_bytes`."""
    latency: float | None = None
    """Seconds of one face by PyTorch on one CPU thread, the median; None if not timed."""


def measure_costs(
    config: TrainConfig, heads: Mapping[str, int], channels: int, *, passes: int = 0
) -> Costs:
    """The costs of the network of `config` with outputs `heads`, on crops of its size.

    Args:
        config: names the network, its options and the size of crops.
        heads: outputs by head.
        channels: of the crops.
        passes: of one face, to be timed; 0 is not at all.
    """
    model = build(config.model.name, heads, channels=channels, **config.model.options)
    size = config.model.size
    trainable, everything = count_parameters(model)
    return Costs(
        trainable,
        everything,
        count_macs(model, channels, size),
        step_bytes(model, channels, size, config.batch),
        latency(model, channels, size, passes) if passes else None,
    )


def step_bytes(model: nn.Module, channels: int, size: int, batch: int) -> int:
    """Bytes that a step of SGD on `batch` faces holds at its fullest, counted and not measured.

    Weights, gradients, momentum and running average (four times the parameters) and the tensors
    that are kept for the backward pass. What single operations take besides is left out. The kept
    tensors are counted for 2 and for 4 faces, and grow in proportion from there.
    """
    two, four = (_kept_bytes(model, channels, size, n) for n in (2, 4))
    each = (four - two) // 2
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return 4 * weights + batch * each


def _kept_bytes(model: nn.Module, channels: int, size: int, n: int) -> int:
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(torch.zeros(n, channels, size, size))
        total = sum(value.sum() for value in outputs.values())
    parameters = {p.untyped_storage()._cdata for p in model.parameters()}
    size_of = {at: t.untyped_storage().nbytes() for at, t in kept.items() if at not in parameters}
    del total
    return sum(size_of.values())


@torch.no_grad()
def latency(model: nn.Module, channels: int, size: int, passes: int) -> float:
    """The median seconds of `passes` passes of one face on one CPU thread, warmed up first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model.eval()
    x = torch.zeros(1, channels, size, size)
    seconds = []
    for _ in range(passes + 5):
        started = time.perf_counter()
        model(x)
        seconds.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return float(np.median(seconds[5:]))

"""Architectures by name: one decorator, one dictionary."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from mien.errors import UsageError

Builder = Callable[..., nn.Module]
F = TypeVar("F", bound=Builder)

ARCHITECTURES: dict[str, Builder] = {}


PAPERS: dict[str, str] = {}


def register(paper: str) -> Callable[[F], F]:
    """Register the decorated function as the architecture of its own name, out of `paper`."""

    def decorate(builder: F) -> F:
        name = builder.__name__
        if name in ARCHITECTURES:
            raise UsageError(f"an architecture called {name!r} is registered already")
        ARCHITECTURES[name] = builder
        PAPERS[name] = paper
        return builder

    return decorate


def build(name: str, heads: Mapping[str, int], **options: Any) -> nn.Module:
    """Build the architecture `name` with one classifier per entry of `heads`.

    Args:
        name: a key of `ARCHITECTURES`.
        heads: outputs of each head by the head's name, e.g. ``{"fer2013": 7, "ferplus": 8}``.
        options: what this architecture takes besides, such as ``activation="silu"``.

    Returns:
        A module that takes standardised crops, float (n, channels, h, w), and returns a dictionary
        of logits, float (n, outputs), by head name.
    """
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no architecture {name!r}.{hint} Known: {', '.join(ARCHITECTURES)}.")
    try:
        return ARCHITECTURES[name](heads, **options)
    except TypeError as error:
        raise UsageError(f"architecture {name!r}: {error}") from error


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters, and those plus BatchNorm's running statistics (Keras counts these)."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    everything = sum(t.numel() for k, t in model.state_dict().items() if "num_batches" not in k)
    return trainable, everything


def count_macs(model: nn.Module, channels: int, size: int) -> int:
    """Multiply-accumulates of one picture (channels, size, size), by PyTorch's FLOP counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    was_training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, channels, size, size))
    model.train(was_training)
    return int(counter.get_total_flops()) // 2


def catalogue() -> list[dict[str, Any]]:
    """Every architecture with its paper and size, at its default input and seven classes."""
    return [_entry(name) for name in ARCHITECTURES]


def _entry(name: str) -> dict[str, Any]:
    model = build(name, {"fer2013": 7})
    size = 48
    return {
        "name": name,
        "paper": PAPERS[name],
        "parameters": count_parameters(model)[0],
        "parameters_with_statistics": count_parameters(model)[1],
        "macs": count_macs(model, 1, size),
        "input": [1, size, size],
    }

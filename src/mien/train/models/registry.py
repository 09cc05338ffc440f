"""Architectures by name: one decorator, one dictionary."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from mien.errors import UsageError

Builder = Callable[..., nn.Module]
F = TypeVar("F", bound=Builder)

ARCHITECTURES: dict[str, Builder] = {}


@dataclass(frozen=True)
class Published:
    """Where an architecture comes from and what it is described with there.

    ``channels`` and ``size`` are those of the square input picture, ``classes`` the outputs of its
    one head. Other inputs and heads may do as well; the builder says which.
    """

    paper: str
    channels: int = 1
    size: int = 48
    classes: int = 7


PUBLISHED: dict[str, Published] = {}


def register(
    paper: str, *, channels: int = 1, size: int = 48, classes: int = 7
) -> Callable[[F], F]:
    """Register the decorated function as the architecture of its own name, out of `paper`.

    ``channels``, ``size`` and ``classes`` are what `catalogue` counts it with: the input of
    (channels, size, size) and the outputs of one head. A builder with an option ``channels`` must
    have that number as its default.

    Raises:
        UsageError: the name is taken.
    """

    def decorate(builder: F) -> F:
        name = builder.__name__
        if name in ARCHITECTURES:
            raise UsageError(f"an architecture called {name!r} is registered already")
        ARCHITECTURES[name] = builder
        PUBLISHED[name] = Published(paper, channels, size, classes)
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
    """Multiply-accumulates of one picture (channels, size, size), by PyTorch's FLOP counter.

    The model may be on the meta device, where nothing is calculated.
    """
    from torch.utils.flop_counter import FlopCounterMode

    was_training = [module for module in model.modules() if module.training]
    device = next(model.parameters()).device
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, channels, size, size, device=device))
    for module in was_training:
        module.training = True
    return int(counter.get_total_flops()) // 2


def catalogue() -> list[dict[str, Any]]:
    """Every architecture with its paper and size, at the input and classes it is published with."""
    return [_entry(name) for name in ARCHITECTURES]


def _entry(name: str) -> dict[str, Any]:
    published = PUBLISHED[name]
    with torch.device("meta"):
        model = build(name, {"expression": published.classes})
    trainable, everything = count_parameters(model)
    return {
        "name": name,
        "paper": published.paper,
        "parameters": trainable,
        "parameters_with_statistics": everything,
        "macs": count_macs(model, published.channels, published.size),
        "input": [published.channels, published.size, published.size],
        "classes": published.classes,
    }

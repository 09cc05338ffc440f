"""Tian et al. 2022, "improved Xception": 58,000 parameters, depthwise separable, pre-activated.

J. Electron. Imaging 31(5) 051416. The paper's layer table cannot be had; known are the building
blocks (depthwise separable convolutions, pre-activated residual units, features refined from coarse
to fine), the size "58,000 parameters" and 72.4 % on FER2013 without a named split [seed 000]. Two
readings are offered, both within the size by either way of counting [inferred]:

``tian2022_a`` is mini-Xception (Arriaga et al. 2017, 58,423 parameters as Keras counts) rewritten
with pre-activation: 56,471 trainable with seven classes, 6.33 M MAC at 48x48.

``tian2022_b`` spends the same budget where facial detail is, at 24x24 and 12x12, not on
the last 3x3 maps: 55,831 trainable, 19.14 M MAC.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from mien.train.models.blocks import (
    ConvHeads,
    LinearHeads,
    PreActivatedUnit,
    Separable,
    activate,
    average,
)
from mien.train.models.registry import register

Down = Literal["no", "pool", "stride"]


class PreActivatedNetwork(nn.Module):
    """A stem, pre-activated separable units, one last BN and activation, and the heads."""

    def __init__(
        self, stem: nn.Module, units: Sequence[PreActivatedUnit], heads: nn.Module, act: str
    ) -> None:
        super().__init__()
        self.stem = stem
        self.units = nn.Sequential(*units)
        self.width = units[-1].norm2.num_features
        self.last = nn.Sequential(nn.BatchNorm2d(self.width), activate(act))
        self.heads = heads

    def maps(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the last maps (n, width, h', w'), which the heads are given."""
        maps: Tensor = self.last(self.units(self.stem(x)))
        return maps

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the last maps averaged, (n, width)."""
        return average(self.maps(x))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.maps(x))
        return logits


def stack_units(
    inputs: int,
    plan: Sequence[tuple[int, Down]],
    act: str,
    convolution: Callable[[int, int, int], nn.Module] = Separable,
    gated: bool = False,
) -> list[PreActivatedUnit]:
    """Units one behind the other; `plan` lists (outputs, down) of each."""
    units = []
    for outputs, down in plan:
        units.append(PreActivatedUnit(inputs, outputs, down, act, convolution, gated))
        inputs = outputs
    return units


@register("Tian et al. 2022")
def tian2022_a(
    heads: Mapping[str, int],
    *,
    channels: int = 1,
    activation: str = "relu",
    head: Literal["conv", "linear"] = "conv",
) -> nn.Module:
    """mini-Xception with pre-activated units; any input of 16 pixels or more."""
    stem = nn.Sequential(
        nn.Conv2d(channels, 8, 3, 1, 1, bias=False),
        nn.BatchNorm2d(8),
        activate(activation),
        nn.Conv2d(8, 8, 3, 1, 1, bias=False),
    )
    plan: list[tuple[int, Down]] = [(16, "pool"), (32, "pool"), (64, "pool"), (128, "pool")]
    classifier = (ConvHeads if head == "conv" else LinearHeads)(128, heads)
    return PreActivatedNetwork(stem, stack_units(8, plan, activation), classifier, activation)


@register("Tian et al. 2022")
def tian2022_b(
    heads: Mapping[str, int], *, channels: int = 1, activation: str = "relu"
) -> nn.Module:
    """The same budget spent at higher resolution; any input of 8 pixels or more."""
    stem = nn.Conv2d(channels, 24, 3, 1, 1, bias=False)
    plan: list[tuple[int, Down]] = [
        (40, "no"),
        (40, "stride"),
        (40, "no"),
        (68, "stride"),
        (68, "no"),
        (80, "stride"),
    ]
    units = stack_units(24, plan, activation)
    return PreActivatedNetwork(stem, units, LinearHeads(80, heads), activation)

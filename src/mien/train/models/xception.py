"""Xception (Chollet 2017, arXiv 1610.02357), layer for layer as in Keras' applications."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from mien.train.models.blocks import KERAS_EPS, ConvNorm, PooledNetwork, SamePool, Separable
from mien.train.models.registry import register


class EntryBlock(nn.Module):
    """Two separable convolutions, each with BatchNorm, and pooling, beside a strided projection.

    (n, inputs, h, w) becomes (n, outputs, ceil(h / 2), ceil(w / 2)). The first convolution has
    `inner` outputs. A ReLU stands before the second one and, with `relu_first`, before the first;
    the projection takes the block's input as it came, and nothing follows the addition.
    """

    def __init__(
        self, inputs: int, outputs: int, *, inner: int | None = None, relu_first: bool = True
    ) -> None:
        super().__init__()
        inner = inner or outputs
        self.branch = nn.Sequential(
            nn.ReLU() if relu_first else nn.Identity(),
            Separable(inputs, inner),
            nn.BatchNorm2d(inner, eps=KERAS_EPS),
            nn.ReLU(),
            Separable(inner, outputs),
            nn.BatchNorm2d(outputs, eps=KERAS_EPS),
            SamePool(),
        )
        self.shortcut = ConvNorm(inputs, outputs, 1, 2, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, ceil(h / 2), ceil(w / 2))."""
        out: Tensor = self.shortcut(x) + self.branch(x)
        return out


class MiddleBlock(nn.Module):
    """Three times ReLU, separable convolution, BatchNorm; then the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.ReLU(), Separable(width, width), nn.BatchNorm2d(width, eps=KERAS_EPS)]
        self.branch = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, width, h, w) to the same shape."""
        out: Tensor = x + self.branch(x)
        return out


@register("Chollet 2017", channels=3, size=299, classes=1000)
def xception(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    middle: int = 8,
    stem_stride: Literal[1, 2] = 2,
) -> nn.Module:
    """22,855,952 trainable parameters with 1000 classes, 22,910,480 as Keras counts.

    The network halves the picture five times, with the padding that TensorFlow calls "same"
    everywhere but in the stem. So it takes any input of 7 pixels or more, but 48 pixels end
    as 2x2 maps and 64 as 2x2. ``stem_stride=1`` lets the first convolution keep the size, so that
    they end as 3x3 and 4x4; no parameter changes. Keras itself asks for 71 pixels.

    Args:
        heads: outputs of each head.
        channels: of the input picture.
        middle: blocks of the middle flow; the paper has 8.
        stem_stride: stride of the first convolution; the paper has 2.
    """
    body = nn.Sequential(
        ConvNorm(channels, 32, 3, stem_stride),
        ConvNorm(32, 64, 3),
        EntryBlock(64, 128, relu_first=False),
        EntryBlock(128, 256),
        EntryBlock(256, 728),
        *(MiddleBlock(728) for _ in range(middle)),
        EntryBlock(728, 1024, inner=728),
        *_separable(1024, 1536),
        *_separable(1536, 2048),
    )
    return PooledNetwork(body, 2048, heads)


def _separable(inputs: int, outputs: int) -> list[nn.Module]:
    norm = nn.BatchNorm2d(outputs, eps=KERAS_EPS)
    return [Separable(inputs, outputs), norm, nn.ReLU()]

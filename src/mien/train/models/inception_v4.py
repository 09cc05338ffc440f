"""Inception-v4 (Szegedy et al. 2016, arXiv 1602.07261, figures 3 to 9)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.blocks import ConvNorm, PooledNetwork
from mien.train.models.registry import register

#: The smallest side that the unpadded layout can take with each stride of the first convolution.
SMALLEST = {2: 75, 1: 39}


class Branches(nn.Module):
    """Several layers side by side, their outputs joined along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, all outputs together, h', w')."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def conv(inputs: int, outputs: int, height: int, width: int | None = None) -> ConvNorm:
    """A padded convolution of `height` x `width`, square unless told, that keeps the size."""
    width = width or height
    return ConvNorm(inputs, outputs, (height, width), 1, (height // 2, width // 2))


def _averaged(inputs: int, outputs: int) -> nn.Sequential:
    # TensorFlow's average leaves the padding out of the count.
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Sequential(pool, conv(inputs, outputs, 1))


def stem(channels: int, stride: int, pad: int) -> nn.Sequential:
    """Figure 3: (n, channels, 299, 299) -> (n, 384, 35, 35). `pad` is 0 as published, or 1."""
    return nn.Sequential(
        ConvNorm(channels, 32, 3, stride, pad),
        ConvNorm(32, 32, 3, 1, pad),
        conv(32, 64, 3),
        Branches(nn.MaxPool2d(3, 2, pad), ConvNorm(64, 96, 3, 2, pad)),
        Branches(
            nn.Sequential(conv(160, 64, 1), ConvNorm(64, 96, 3, 1, pad)),
            nn.Sequential(
                conv(160, 64, 1),
                conv(64, 64, 1, 7),
                conv(64, 64, 7, 1),
                ConvNorm(64, 96, 3, 1, pad),
            ),
        ),
        Branches(ConvNorm(192, 192, 3, 2, pad), nn.MaxPool2d(3, 2, pad)),
    )


def inception_a() -> Branches:
    """Figure 4: 384 channels to 384, the size kept."""
    return Branches(
        conv(384, 96, 1),
        nn.Sequential(conv(384, 64, 1), conv(64, 96, 3)),
        nn.Sequential(conv(384, 64, 1), conv(64, 96, 3), conv(96, 96, 3)),
        _averaged(384, 96),
    )


def reduction_a(pad: int) -> Branches:
    """Figure 7 with k, l, m, n = 192, 224, 256, 384: 384 channels to 1024, the size halved."""
    return Branches(
        ConvNorm(384, 384, 3, 2, pad),
        nn.Sequential(conv(384, 192, 1), conv(192, 224, 3), ConvNorm(224, 256, 3, 2, pad)),
        nn.MaxPool2d(3, 2, pad),
    )


def inception_b() -> Branches:
    """Figure 5: 1024 channels to 1024, the size kept."""
    return Branches(
        conv(1024, 384, 1),
        nn.Sequential(conv(1024, 192, 1), conv(192, 224, 1, 7), conv(224, 256, 7, 1)),
        nn.Sequential(
            conv(1024, 192, 1),
            conv(192, 192, 7, 1),
            conv(192, 224, 1, 7),
            conv(224, 224, 7, 1),
            conv(224, 256, 1, 7),
        ),
        _averaged(1024, 128),
    )


def reduction_b(pad: int) -> Branches:
    """Figure 8: 1024 channels to 1536, the size halved."""
    return Branches(
        nn.Sequential(conv(1024, 192, 1), ConvNorm(192, 192, 3, 2, pad)),
        nn.Sequential(
            conv(1024, 256, 1),
            conv(256, 256, 1, 7),
            conv(256, 320, 7, 1),
            ConvNorm(320, 320, 3, 2, pad),
        ),
        nn.MaxPool2d(3, 2, pad),
    )


def inception_c() -> Branches:
    """Figure 6: 1536 channels to 1536, the size kept. Two branches fork at their end."""
    return Branches(
        conv(1536, 256, 1),
        nn.Sequential(conv(1536, 384, 1), Branches(conv(384, 256, 1, 3), conv(384, 256, 3, 1))),
        nn.Sequential(
            conv(1536, 384, 1),
            conv(384, 448, 3, 1),
            conv(448, 512, 1, 3),
            Branches(conv(512, 256, 1, 3), conv(512, 256, 3, 1)),
        ),
        _averaged(1536, 256),
    )


class InceptionV4(PooledNetwork):
    """The network, with a word on pictures that are too small for it."""

    def __init__(
        self, body: nn.Module, heads: Mapping[str, int], dropout: float, smallest: int
    ) -> None:
        super().__init__(body, 1536, heads, dropout)
        self.smallest = smallest

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, 1536).

        Raises:
            UsageError: the picture is too small for the unpadded layout.
        """
        if min(x.shape[-2:]) < self.smallest:
            raise UsageError(
                f"inception_v4 as published needs pictures of {self.smallest} pixels or more, not"
                f" {min(x.shape[-2:])}. Give it the option padding=same."
            )
        return super().features(x)


@register("Szegedy et al. 2016", channels=3, size=299, classes=1000)
def inception_v4(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    padding: Literal["valid", "same"] = "valid",
    stem_stride: Literal[1, 2] = 2,
    dropout: float = 0.2,
    blocks: tuple[int, int, int] = (4, 7, 3),
) -> nn.Module:
    """42,679,816 trainable parameters with 1000 classes: bias-free convolutions with BatchNorm.

    The published layout leaves the borders unpadded wherever it halves the picture and in parts of
    the stem, and so needs 75 pixels or more. ``padding="same"`` pads these by one on each side; 48
    pixels then end as 2x2 maps and 64 as 2x2. ``stem_stride=1`` lets the first convolution keep the
    size: they end as 3x3 and 4x4. Neither changes a parameter.

    Args:
        heads: outputs of each head.
        channels: of the input picture.
        padding: "valid" as published, or "same" for small pictures.
        stem_stride: stride of the first convolution; the paper has 2.
        dropout: before the classifiers; the paper keeps 0.8.
        blocks: how many of Inception-A, -B and -C; the paper has 4, 7 and 3.

    Raises:
        UsageError: another padding or stride.
    """
    if padding not in ("valid", "same") or stem_stride not in SMALLEST:
        raise UsageError("inception_v4: padding is valid or same, stem_stride 1 or 2")
    pad = 1 if padding == "same" else 0
    a, b, c = blocks
    body = nn.Sequential(
        stem(channels, stem_stride, pad),
        *(inception_a() for _ in range(a)),
        reduction_a(pad),
        *(inception_b() for _ in range(b)),
        reduction_b(pad),
        *(inception_c() for _ in range(c)),
    )
    return InceptionV4(body, heads, dropout, 1 if pad else SMALLEST[stem_stride])

"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381): the small student of Lee et al. 2023.

Lee et al. give its cost as 0.3 G MAC and, from EmoNet, accuracy 73.36 %, valence RMSE 0.37 and
arousal RMSE 0.30 on EmoNet's cleaned AffectNet set [found: a third party's quote of their Table 3].
0.3 G is what the standard width costs at 224x224 [inferred].
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.blocks import Depthwise, PooledNetwork
from mien.train.models.registry import register

#: Expansion, outputs, blocks and stride of each group of blocks: Table 2 of the paper.
PLAN = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, project by 1x1 without activation (section 3.3).

    (n, inputs, h, w) becomes (n, outputs, h', w'), h' and w' divided by `stride` and rounded up.
    The input is added where the shapes agree. With an expansion of one there is no widening.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.conv = nn.Sequential()
        if expansion > 1:
            self.conv.extend(_active(_conv(inputs, inner, 1)))
        self.conv.extend(_active(Depthwise(inner, stride)))
        self.conv.append(_conv(inner, outputs, 1))
        self.conv.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h', w')."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def _active(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6())


def rounded(channels: float) -> int:
    """The multiple of eight next to `channels`, at least eight and at most a tenth lower."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


@register("Sandler et al. 2018, Lee et al. 2023 (student)", channels=3, size=224, classes=10)
def mobilenet_v2(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    width: float = 1.0,
    stem_stride: int = 2,
    dropout: float = 0.2,
) -> nn.Module:
    """MobileNetV2: 2,236,682 parameters with ten outputs in all, 299.5 M MAC at 224.

    Any input of 32 pixels or more. The network halves it five times, which leaves 2x2 maps of a
    crop of 48 pixels.

    Args:
        heads: outputs by head name.
        channels: what crops have.
        width: multiplies the channels of every layer; the last convolution has 1280 at least.
        stem_stride: 2 as published; 1 for small crops, at four times the multiplications.
        dropout: before the classifiers.
    """
    if stem_stride not in (1, 2):
        raise UsageError(f"stem_stride must be 1 or 2, not {stem_stride}")
    if width <= 0:
        raise UsageError(f"width must be above 0, not {width}")
    inputs = rounded(32 * width)
    body = nn.Sequential(_active(_conv(channels, inputs, 3, stem_stride)))
    for expansion, base, blocks, stride in PLAN:
        outputs = rounded(base * width)
        for i in range(blocks):
            body.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
            inputs = outputs
    last = rounded(1280 * max(1.0, width))
    body.append(_active(_conv(inputs, last, 1)))
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return PooledNetwork(body, last, heads, dropout)

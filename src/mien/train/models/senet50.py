"""SENet-50: the SE-ResNet-50 of VGGFace2, which Ngo & Yoon (2020) fine-tune, and a small one.

Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks", in the form and with the names of the public
VGGFace2 weights [found: cydonia999/VGGFace2-pytorch]: ``conv1, bn1, layer{1-4}.{i}.conv1-3, bn1-3,
conv4, conv5`` (the two layers of the squeeze-and-excitation gate) and ``downsample.0, .1``. Their
``fc`` is our one classifier; `mien.train.models.pretrained` renames it.

Where it differs from torchvision's ResNet-50: the max-pooling has no padding and counts a window
that reaches over the edge (ceil mode), and the stride of a block sits in its first 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from mien.train.models.blocks import LinearHeads, average, squeeze_and_excite
from mien.train.models.inputs import Input, Order, VGGFace2Input, first_channels, first_layer
from mien.train.models.registry import register

EXPANSION = 4
REDUCTION = 16


class SEBottleneck(nn.Module):
    """A bottleneck with a squeeze-and-excitation gate before the addition.

    ``y = BN3(W3 relu(BN2(W2 relu(BN1(W1 x)))))``, 1x1, 3x3 and 1x1; the gate is
    ``s = sigmoid(W5 relu(W4 mean(y)))`` (Hu et al. 2018, eq. 2 and 3) with a 16th of the channels
    in between, both with bias; the block gives ``relu(s * y + shortcut(x))``. (n, inputs, h, w)
    becomes (n, 4 * planes, h', w'), h' and w' divided by `stride` and rounded up.
    """

    def __init__(self, inputs: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.conv4 = nn.Conv2d(outputs, outputs // REDUCTION, 1)
        self.conv5 = nn.Conv2d(outputs // REDUCTION, outputs, 1)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, 4 * planes, h', w')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(squeeze_and_excite(y, self.conv4, self.conv5) + shortcut)


class SENet(nn.Module):
    """A stem, four stages of SE bottlenecks, global averaging and linear heads.

    Attributes:
        width: length of the features before the classifiers, four times the last planes.
    """

    def __init__(
        self,
        first: nn.Module,
        stem: Sequence[nn.Module],
        planes: Sequence[int],
        blocks: Sequence[int],
        heads: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.input = first
        self.conv1, self.bn1, self.maxpool = stem
        inputs = int(self.bn1.num_features)  # type: ignore[arg-type]
        stages = []
        for i in range(4):
            stages.append(_stage(inputs, planes[i], blocks[i], 1 if i == 0 else 2))
            inputs = planes[i] * EXPANSION
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.width = inputs
        self.heads = LinearHeads(inputs, heads)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> what the classifiers see, (n, width)."""
        x = self.maxpool(functional.relu(self.bn1(self.conv1(self.input(x)))))
        return average(self.layer4(self.layer3(self.layer2(self.layer1(x)))))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.features(x))
        return logits


def _stage(inputs: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (SEBottleneck(planes * EXPANSION, planes) for _ in range(blocks - 1))
    return nn.Sequential(SEBottleneck(inputs, planes, stride), *rest)


@register("Ngo & Yoon 2020 (SENet-50 of VGGFace2)", channels=3, size=224, classes=8)
def senet50(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    input: Input = "standardised",
    order: Order = "bgr",
) -> nn.Module:
    """SENet-50: 26,055,416 parameters with eight outputs, 3.86 G MAC at 224, 2048 features.

    Any input of 32 pixels or more: the public code pools 7x7 maps, which fixes 224; here the
    average is over whatever is left.

    Args:
        heads: outputs by head name.
        channels: 1 or 3; what crops have.
        input: what the network is given: see `mien.train.models.inputs`. Public weights need
            "pixels", or "restored" in `mien train`.
        order: channel order that the weights want: "bgr" for those of cydonia999, "rgb" for the
            official ones. Without effect on standardised input.
    """
    stem = (
        nn.Conv2d(first_channels(input, channels), 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.MaxPool2d(3, 2, 0, ceil_mode=True),
    )
    first = first_layer(input, VGGFace2Input(order))
    return SENet(first, stem, (64, 128, 256, 512), (3, 4, 6, 3), heads)


@register("mien, after Hu et al. 2018", channels=1, size=48, classes=8)
def senet_small(heads: Mapping[str, int], *, channels: int = 1, stem_stride: int = 1) -> nn.Module:
    """A SENet for crops of 48 to 64 pixels, a stand-in on the CPU: 966,492 parameters.

    Seven blocks of SENet-50's kind with a quarter of its planes, behind a 3x3 convolution with no
    pooling; 512 features, 85.1 M MAC at 48. ``stem_stride=2`` brings that down to a quarter. Any
    input of 16 pixels or more.
    """
    stem = (
        nn.Conv2d(channels, 32, 3, stem_stride, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.Identity(),
    )
    return SENet(nn.Identity(), stem, (16, 32, 64, 128), (1, 2, 2, 2), heads)

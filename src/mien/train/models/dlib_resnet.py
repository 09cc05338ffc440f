"""dlib's face recognition network (King 2017), to be fine-tuned: a narrow ResNet of 29 layers.

As in ``dnn_face_recognition_ex.cpp`` of dlib, after He et al. 2016, its levels in the order in
which a face passes them. It was trained on three million faces to tell people apart, and its
author gives the weights away (CC0): `mien.train.models.pretrained` loads them. Its last layer,
which makes 128 numbers of a person's face, is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.models.blocks import LinearHeads, average
from mien.train.models.inputs import Input, first_channels, first_layer, in_colour
from mien.train.models.registry import register

RGB_MEAN = (122.782, 117.001, 104.298)
"""Mean red, green and blue of the faces that the weights were trained on, in 0..255."""

LEVELS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))
"""Channels and blocks of each level; all but the first begin with a stride of two."""


class DlibInput(nn.Module):
    """RGB pixels in 0..255 less `RGB_MEAN`, divided by 256."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB pixels (n, 3, h, w), or grey ones (n, 1, h, w), to (n, 3, h, w)."""
        return (in_colour(x) - self.mean) / 256


class DlibBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights.

    ``relu(shortcut(x) + BN2(W2 relu(BN1(W1 x))))``. With a stride of two, W1 has no padding and the
    shortcut is the mean of 2x2 pixels; whichever of the two sums is smaller, in height, width or
    channels, is filled up with zeros at its end. (n, inputs, h, w) becomes (n, outputs, h', w'),
    h' and w' halved and rounded down.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1 if stride == 1 else 0, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h', w')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.stride == 1 else functional.avg_pool2d(x, self.stride)
        return functional.relu(_filled(shortcut, y) + _filled(y, shortcut))


class DlibResNet(nn.Module):
    """A stem, five levels of `DlibBlock`, and linear heads that see the last three of them.

    What tells people apart is what expressions do not change. The last level has lost most of them;
    those before still know, so their averages stand beside its own.

    Attributes:
        width: length of the features before the classifiers.
    """

    def __init__(
        self, first: nn.Module, channels: int, heads: Mapping[str, int], dropout: float
    ) -> None:
        super().__init__()
        self.input = first
        self.conv1 = nn.Conv2d(channels, LEVELS[0][0], 7, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(LEVELS[0][0])
        self.maxpool = nn.MaxPool2d(3, 2)
        levels: list[nn.Sequential] = []
        inputs = LEVELS[0][0]
        for outputs, blocks in LEVELS:
            levels.append(_level(inputs, outputs, blocks, 2 if levels else 1))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4, self.layer5 = levels
        self.width = sum(outputs for outputs, _ in LEVELS[2:])
        self.dropout = nn.Dropout(dropout)
        self.heads = LinearHeads(self.width, heads)

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> what the classifiers see, (n, width), before any dropout."""
        x = self.maxpool(functional.relu(self.bn1(self.conv1(self.input(x)))))
        third = self.layer3(self.layer2(self.layer1(x)))
        fourth = self.layer4(third)
        fifth = self.layer5(fourth)
        return torch.cat([average(maps) for maps in (third, fourth, fifth)], dim=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.dropout(self.features(x)))
        return logits


def _level(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (DlibBlock(outputs, outputs) for _ in range(blocks - 1))
    return nn.Sequential(DlibBlock(inputs, outputs, stride), *rest)


def _filled(x: Tensor, other: Tensor) -> Tensor:
    """`x` with zeros behind its channels, rows and columns, so that it is as large as `other`."""
    missing = [max(b - a, 0) for a, b in zip(x.shape[1:], other.shape[1:], strict=True)]
    if not any(missing):
        return x
    return functional.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))


@register("King 2017 (dlib), after He et al. 2016", channels=3, size=150, classes=8)
def dlib_resnet(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    input: Input = "standardised",
    dropout: float = 0.0,
) -> nn.Module:
    """The face recognition network of dlib with other classifiers. Any input from 103 pixels.

    The weights know faces of 150 pixels with a quarter of the face's height around it.

    Args:
        heads: outputs by head name.
        channels: 1 or 3; what crops have.
        input: what the network is given: see `mien.train.models.inputs`. Public weights need
            "pixels", or "restored" in `mien train`.
        dropout: the part of the features that is dropped in training.
    """
    first = first_layer(input, DlibInput())
    return DlibResNet(first, first_channels(input, channels), heads, dropout)

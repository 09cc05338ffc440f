"""EmoNet (Toisoul et al., Nature Machine Intelligence 2021): the teacher of Lee et al. 2023.

A face alignment network of two stacked hourglasses draws 68 landmark heatmaps; their sum weighs its
features, which a small convolutional network turns into expressions, valence and arousal. Written
from the published description, with the tensor names of the public checkpoint ``emonet_8.pth``
[found: face-analysis/emonet], so that `mien.train.models.pretrained` can load it. That checkpoint's
licence is CC BY-NC-ND 4.0: no commercial use, and no changed versions may be passed on. mien does
not ship it.

Public results, on a cleaned AffectNet test set that is not comparable with the usual validation
set: eight classes, accuracy 0.75, CCC 0.82 (valence) and 0.75 (arousal) [found].
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import UsageError
from mien.train.models.blocks import average
from mien.train.models.heads import JointHeads
from mien.train.models.inputs import Input, UnitInput, first_channels, first_layer
from mien.train.models.registry import register

STACKS = 2
DEPTH = 4
LANDMARKS = 68
WIDTH = 256
SMALLEST = 64
EMOTION_PART = ("conv1x1_input_emo_2", "emo_net_2", "emo_fc_2")
"""The parts above the landmark network: what is trained when that is frozen."""


class ConvBlock(nn.Module):
    """Three pre-activated 3x3 convolutions, all of whose results are kept.

    ``a = W1 relu(BN1(x)); b = W2 relu(BN2(a)); c = W3 relu(BN3(b)); out = [a, b, c] + shortcut(x)``
    with a half, a quarter and a quarter of the outputs. The shortcut is x itself, or
    ``W relu(BN(x))``, 1x1, where the channels differ. (n, inputs, h, w) -> (n, outputs, h, w).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, half, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, 1, 1, bias=False)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h, w)."""
        a = self.conv1(functional.relu(self.bn1(x)))
        b = self.conv2(functional.relu(self.bn2(a)))
        c = self.conv3(functional.relu(self.bn3(b)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.cat((a, b, c), dim=1) + shortcut


class Hourglass(nn.Module):
    """Down `DEPTH` times by two and up again, with a `ConvBlock` on each way at each level.

    ``level(x) = b1(x) + up(b3(inner(b2(maxpool(x)))))``, where inner is the next level and, at the
    bottom, one more block. (n, 256, h, w) -> the same shape; h and w of at least 16. Sides that are
    no multiple of 16, which the original refuses, are brought back to size by the nearest pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.depth = DEPTH
        for level in range(DEPTH, 0, -1):
            for branch in ("b1", "b2", "b3"):
                self.add_module(f"{branch}_{level}", ConvBlock(WIDTH, WIDTH))
        self.b2_plus_1 = ConvBlock(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 256, h, w) to (n, 256, h, w)."""
        return self._level(self.depth, x)

    def _level(self, level: int, x: Tensor) -> Tensor:
        down = self._block("b2", level)(functional.max_pool2d(x, 2))
        inner = self._level(level - 1, down) if level > 1 else self.b2_plus_1(down)
        up = functional.interpolate(self._block("b3", level)(inner), size=x.shape[-2:])
        out: Tensor = self._block("b1", level)(x) + up
        return out

    def _block(self, branch: str, level: int) -> nn.Module:
        return self.get_submodule(f"{branch}_{level}")


class EmoNet(nn.Module):
    """The landmark network, its attention, and the emotion network with one joint classifier.

    Attributes:
        width: length of the features before the classifier, 128.
        frozen: whether the landmark network is kept as it is, its BatchNorm statistics too.
    """

    def __init__(
        self, first: nn.Module, channels: int, heads: Mapping[str, int], frozen: bool
    ) -> None:
        super().__init__()
        self.width = WIDTH // 2
        self.frozen = frozen
        self.input = first
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = ConvBlock(64, 128)
        self.conv3 = ConvBlock(128, 128)
        self.conv4 = ConvBlock(128, WIDTH)
        for i in range(STACKS):
            self._add_stack(i)
        self.conv1x1_input_emo_2 = nn.Conv2d((STACKS + 1) * WIDTH, WIDTH, 1)
        self.emo_net_2 = nn.Sequential()
        for _ in range(4):
            self.emo_net_2.append(ConvBlock(WIDTH, WIDTH)).append(nn.MaxPool2d(2))
        self.emo_fc_2 = nn.Sequential(
            nn.Linear(WIDTH, self.width),
            nn.BatchNorm1d(self.width),
            nn.ReLU(),
            JointHeads(self.width, heads),
        )
        if frozen:
            for part in self._landmark_parts():
                part.requires_grad_(False)

    def _add_stack(self, i: int) -> None:
        self.add_module(f"m{i}", Hourglass())
        self.add_module(f"top_m_{i}", ConvBlock(WIDTH, WIDTH))
        self.add_module(f"conv_last{i}", nn.Conv2d(WIDTH, WIDTH, 1))
        self.add_module(f"bn_end{i}", nn.BatchNorm2d(WIDTH))
        self.add_module(f"l{i}", nn.Conv2d(WIDTH, LANDMARKS, 1))
        if i < STACKS - 1:
            self.add_module(f"bl{i}", nn.Conv2d(WIDTH, WIDTH, 1))
            self.add_module(f"al{i}", nn.Conv2d(LANDMARKS, WIDTH, 1))

    @property
    def heads(self) -> nn.Module:
        """The joint classifier: logits by head name out of features (n, 128)."""
        return self.emo_fc_2[3]

    def train(self, mode: bool = True) -> EmoNet:
        """As `nn.Module.train`; a frozen landmark network stays in eval mode."""
        super().train(mode)
        if self.frozen:
            for part in self._landmark_parts():
                part.eval()
        return self

    def landmarks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The landmark network's maps, unweighted, and its heatmaps.

        Args:
            x: crops (n, channels, h, w), both sides 64 or more.

        Returns:
            Maps (n, 768, h / 4, w / 4), the trunk's 256 and then each hourglass's 256, and
            heatmaps (n, 68, h / 4, w / 4) of the last hourglass.
        """
        if min(x.shape[-2:]) < SMALLEST:
            h, w = x.shape[-2:]
            raise UsageError(f"emonet needs crops of {SMALLEST} pixels or more, not {h}x{w}")
        x = functional.relu(self.bn1(self.conv1(self.input(x))))
        x = self.conv4(self.conv3(functional.max_pool2d(self.conv2(x), 2)))
        maps, previous = [x], x
        for i in range(STACKS):
            hourglass, top, conv, norm, to_heatmaps = self._parts(
                f"m{i}", f"top_m_{i}", f"conv_last{i}", f"bn_end{i}", f"l{i}"
            )
            y = functional.relu(norm(conv(top(hourglass(previous)))))
            heatmaps: Tensor = to_heatmaps(y)
            if i < STACKS - 1:
                back, heatmaps_back = self._parts(f"bl{i}", f"al{i}")
                y = back(y)
                previous = previous + y + heatmaps_back(heatmaps)
            maps.append(y)
        return torch.cat(maps, dim=1), heatmaps

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> what the classifier sees, (n, 128)."""
        y = self.conv1x1_input_emo_2(attend(*self.landmarks(x)))
        pooled = average(self.emo_net_2(y))
        features: Tensor = self.emo_fc_2[:3](pooled)
        return features

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.features(x))
        return logits

    def _parts(self, *names: str) -> list[nn.Module]:
        return [self.get_submodule(name) for name in names]

    def _landmark_parts(self) -> list[nn.Module]:
        return [part for name, part in self.named_children() if name not in EMOTION_PART]


def attend(maps: Tensor, heatmaps: Tensor) -> Tensor:
    """Weigh the hourglasses' maps by the sum of the heatmaps; the trunk's 256 stay as they are.

    Args:
        maps: (n, 768, h, w).
        heatmaps: (n, 68, h, w).

    Returns:
        (n, 768, h, w).
    """
    mask = heatmaps.sum(dim=1, keepdim=True)
    return torch.cat((maps[:, :WIDTH], maps[:, WIDTH:] * mask), dim=1)


@register("Toisoul et al. 2021, Lee et al. 2023 (teacher)", channels=3, size=256, classes=10)
def emonet(
    heads: Mapping[str, int],
    *,
    channels: int = 3,
    input: Input = "standardised",
    freeze: bool = False,
) -> nn.Module:
    """EmoNet: 13,963,410 parameters with eight expressions and affect, 16.94 G MAC at 256.

    The outputs come from one layer and are shared out among `heads` in their order. The public
    network's ten are ``{"expression": 8, "affect": 2}``, affect being valence and arousal, linear.

    Any input of 64 pixels or more; the original takes 256 only, and its 4x4 average is an average
    over whatever is left.

    Args:
        heads: outputs by head name.
        channels: 1 or 3; what crops have.
        input: what the network is given: see `mien.train.models.inputs`. Public weights need
            "pixels", or "restored" in `mien train`.
        freeze: keep the landmark network as it is, in eval mode, as the paper does with one that
            was trained on landmarks: 1,856,906 parameters are left to train. Only sensible with
            public weights, so it is off.
    """
    first = first_layer(input, UnitInput())
    return EmoNet(first, first_channels(input, channels), heads, freeze)

"""EfficientFormer-L3 (Li et al. 2022, arXiv 2206.01191): the larger student of Lee et al. 2023.

That Lee et al. mean L3 is inferred from their 3.9 G MAC. Convolutional blocks with pooling in place
of attention in three stages and the start of the fourth, then four blocks of true attention. The
names are those of timm's ``efficientformer_l3`` for everything but the classifiers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.blocks import LinearHeads
from mien.train.models.registry import register

WIDTHS = (64, 128, 320, 512)
DEPTHS = (4, 4, 12, 6)
ATTENTION_BLOCKS = 4
HEADS, KEY, VALUE = 8, 32, 128
MLP_RATIO = 4
LAYER_SCALE = 1e-5


class Attention(nn.Module):
    """Self-attention over a square grid of tokens with a learnt bias per offset.

    ``softmax(q k^T / sqrt(32) + b) v`` in eight heads, keys of 32 and values of 128 (section 3.2);
    b depends on how far two tokens lie apart, |rows| and |columns|. The table of biases is built
    for a grid of `side` x `side`; a smaller grid uses the part of the table it needs.
    """

    offsets: Tensor

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.qkv = nn.Linear(width, HEADS * (2 * KEY + VALUE))
        self.proj = nn.Linear(HEADS * VALUE, width)
        self.attention_biases = nn.Parameter(torch.zeros(HEADS, side * side))
        apart = (torch.arange(side)[:, None] - torch.arange(side)[None, :]).abs()
        # offsets[y, x, v, u]: where in the table the bias of the tokens (y, x) and (v, u) is.
        offsets = apart[:, None, :, None] * side + apart[None, :, None, :]
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (n, t, width) of a square grid, t at most side * side, to the same shape."""
        n, tokens, _ = x.shape
        side = math.isqrt(tokens)
        qkv = self.qkv(x).reshape(n, tokens, HEADS, 2 * KEY + VALUE).transpose(1, 2)
        q, k, v = qkv.split([KEY, KEY, VALUE], dim=3)
        at = self.offsets[:side, :side, :side, :side].reshape(tokens, tokens)
        weights = q @ k.transpose(2, 3) * KEY**-0.5 + self.attention_biases[:, at]
        mixed = weights.softmax(dim=3) @ v
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, HEADS * VALUE))
        return out


class LayerScale(nn.Module):
    """Multiply each channel by a learnt number that starts at 1e-5."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.gamma = nn.Parameter(torch.full((max(shape),), LAYER_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to the same shape."""
        return x * self.gamma.view(self.shape)


class Pooling(nn.Module):
    """A 3x3 average of the neighbours that there are, less the pixel itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        out: Tensor = self.pool(x) - x
        return out


class ConvMlp(nn.Module):
    """Two 1x1 convolutions, four times as wide between, BatchNorm behind each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width * MLP_RATIO, 1)
        self.norm1 = nn.BatchNorm2d(width * MLP_RATIO)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(width * MLP_RATIO, width, 1)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        out: Tensor = self.norm2(self.fc2(self.act(self.norm1(self.fc1(x)))))
        return out


class Mlp(nn.Module):
    """Two linear layers, four times as wide between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width * MLP_RATIO)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(width * MLP_RATIO, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (n, t, c) to the same shape."""
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class PoolingBlock(nn.Module):
    """``x += s1 pooling(x); x += s2 mlp(x)`` on maps (n, c, h, w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_mixer = Pooling()
        self.ls1 = LayerScale((1, width, 1, 1))
        self.mlp = ConvMlp(width)
        self.ls2 = LayerScale((1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        x = x + self.ls1(self.token_mixer(x))
        out: Tensor = x + self.ls2(self.mlp(x))
        return out


class AttentionBlock(nn.Module):
    """``x += s1 attention(LN(x)); x += s2 mlp(LN(x))`` on tokens (n, t, c)."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.token_mixer = Attention(width, side)
        self.ls1 = LayerScale((1, 1, width))
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale((1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t, c) to the same shape."""
        x = x + self.ls1(self.token_mixer(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class Tokens(nn.Module):
    """Maps (n, c, h, w) as tokens (n, h * w, c)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, h * w, c)."""
        return x.flatten(2).transpose(1, 2)


class Stem(nn.Sequential):
    """Two 3x3 convolutions of stride two: a quarter of the sides, rounded up."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width // 2, 3, 2, 1)
        self.norm1 = nn.BatchNorm2d(width // 2)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width // 2, width, 3, 2, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()


class Downsample(nn.Sequential):
    """A 3x3 convolution of stride two and BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.norm = nn.BatchNorm2d(outputs)


class Stage(nn.Sequential):
    """Halve the sides unless it is the first stage, then the blocks one behind the other."""

    def __init__(self, inputs: int, outputs: int, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.downsample = nn.Identity() if inputs == outputs else Downsample(inputs, outputs)
        self.blocks = nn.Sequential(*blocks)


class EfficientFormer(nn.Module):
    """The stem, four stages, a LayerNorm, the average over tokens and linear heads.

    Attributes:
        width: length of the features before the classifiers, 512.
        size: the largest side of a square input in pixels.
    """

    def __init__(self, channels: int, size: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.size = size
        self.width = WIDTHS[-1]
        self.stem = Stem(channels, WIDTHS[0])
        self.stages = nn.Sequential()
        for i, (outputs, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            attention = ATTENTION_BLOCKS if i == len(WIDTHS) - 1 else 0
            blocks: list[nn.Module] = [PoolingBlock(outputs) for _ in range(depth - attention)]
            if attention:
                side = math.ceil(size / 32)
                blocks += [Tokens(), *(AttentionBlock(outputs, side) for _ in range(attention))]
            self.stages.append(Stage(WIDTHS[max(0, i - 1)], outputs, blocks))
        self.norm = nn.LayerNorm(self.width)
        self.heads = LinearHeads(self.width, heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, h) -> what the classifiers see, (n, 512)."""
        h, w = x.shape[-2:]
        if h != w or h > self.size:
            raise UsageError(
                f"this efficientformer takes square crops of at most {self.size} pixels, not "
                f"{h}x{w}: build it with size={max(h, w)}"
            )
        return torch.mean(self.norm(self.stages(self.stem(x))), dim=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, h) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.features(x))
        return logits


# As published it has two heads of 1,000 classes, one for labels and one for a teacher's answers.
@register("Li et al. 2022, Lee et al. 2023 (student)", channels=3, size=224, classes=2000)
def efficientformer_l3(
    heads: Mapping[str, int], *, channels: int = 3, size: int = 224
) -> nn.Module:
    """EfficientFormer-L3: 31.4 M parameters with ImageNet's two heads of 1000, 3.9 G MAC at 224.

    Args:
        heads: outputs by head name.
        channels: what crops have.
        size: the largest side of the square crops. It sets the table of attention biases, 7x7
            offsets at 224; a smaller crop uses a part of it, a larger one is a `UsageError`.
    """
    if size < 1:
        raise UsageError(f"size must be above 0, not {size}")
    return EfficientFormer(channels, size, heads)

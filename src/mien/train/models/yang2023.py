"""Yang, Zhang & Zheng: plain networks of 3 to 6 convolutions for FER2013.

The paper tells that convolution, activation and 2x2 pooling alternate, that there are several fully
connected layers with dropout between them, and compares 3, 4, 5 and 6 layers [seed 002]; its figure
is lost. Its data preparation is that of a widely copied Chinese write-up of a course's homework,
whose network `FaceCNN` has three convolutions and is the one below [found: public code]; the
deeper ones carry it on [inferred]. Each block is a 3x3 convolution, BatchNorm, RReLU and pooling,
with 64, 128, 256, 512, 512 and 512 channels; the weights of the convolutions start from N(0, 0.04).
Then: dropout 0.2, 4096 units, dropout 0.5, 1024 units, 256 units, each with RReLU, and the classes.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.blocks import LinearHeads
from mien.train.models.registry import register

CHANNELS = (64, 128, 256, 512, 512, 512)
FC = (4096, 1024, 256)


class RandomSlope(nn.RReLU):
    """RReLU (Xu et al. 2015): in training, a negative number is multiplied by chance.

    In use the factor is the mean, 11/48. PyTorch's own layer gives the same, but in a form that its
    ONNX exporter does not know.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same."""
        if self.training:
            return super().forward(x)
        return nn.functional.leaky_relu(x, (self.lower + self.upper) / 2)


class PlainNetwork(nn.Module):
    """Convolutional blocks, fully connected layers, heads. It takes pictures of `size` only."""

    def __init__(
        self,
        heads: Mapping[str, int],
        pools: Sequence[bool],
        channels: int,
        size: int,
        fc: Sequence[int],
        dropout: tuple[float, float],
    ) -> None:
        super().__init__()
        side = size >> sum(pools)
        if side < 1 or not fc:
            raise UsageError(
                f"{len(pools)} convolutions halve the picture {sum(pools)} times and need a size of"
                f" {1 << sum(pools)} pixels or more and at least one fully connected layer;"
                f" size={size}, fc={tuple(fc)} will not do."
            )
        self.size = size
        blocks: list[nn.Module] = []
        inputs = channels
        for outputs, pool in zip(CHANNELS, pools, strict=False):
            blocks += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), RandomSlope()]
            blocks += [nn.MaxPool2d(2)] if pool else []
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        for block in blocks:
            if isinstance(block, nn.Conv2d):
                nn.init.normal_(block.weight, 0.0, 0.04)
        self.fc = _fully_connected(inputs * side * side, fc, dropout)
        self.width = fc[-1]
        self.heads = LinearHeads(self.width, heads)

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, size, size) -> the last fully connected layer, (n, width).

        Raises:
            UsageError: the pictures have another size than the network was built for.
        """
        h, w = x.shape[-2:]
        if (h, w) != (self.size, self.size):
            raise UsageError(
                f"this network was built for pictures of {self.size}x{self.size}, not {w}x{h}:"
                " its fully connected layers fix the size. Build it with"
                f" model.options size={max(h, w)}, or give it other crops."
            )
        features: Tensor = self.fc(self.blocks(x).flatten(1))
        return features

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, size, size) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.features(x))
        return logits


def _fully_connected(inputs: int, fc: Sequence[int], dropout: tuple[float, float]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, outputs in enumerate(fc):
        layers += [nn.Dropout(dropout[i])] if i < len(dropout) else []
        layers += [nn.Linear(inputs, outputs), RandomSlope()]
        inputs = outputs
    return nn.Sequential(*layers)


def _architecture(name: str, pools: Sequence[bool], about: str) -> Callable[..., nn.Module]:
    """Register the network with one convolution per entry of `pools` as `name`."""

    def builder(
        heads: Mapping[str, int],
        *,
        channels: int = 1,
        size: int = 48,
        fc: Sequence[int] = FC,
        dropout: tuple[float, float] = (0.2, 0.5),
    ) -> nn.Module:
        return PlainNetwork(heads, pools, channels, size, fc, dropout)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"""{about}

    Args:
        heads: outputs of each head.
        channels: of the input picture.
        size: its side in pixels, which the fully connected layers fix; another one is refused.
        fc: widths of the fully connected layers; the last is what `features` gives.
        dropout: before the first and the second fully connected layer.
    """
    return register("Yang et al. 2023")(builder)


#: Ninety-nine in a hundred parameters are in the fully connected layers. 0.128 G MAC at 48x48.
yang_cnn3 = _architecture(
    "yang_cnn3", (True,) * 3, "Three convolutions: 42,582,919 parameters with seven classes."
)
yang_cnn4 = _architecture(
    "yang_cnn4", (True,) * 4, "Four convolutions: 24,889,735 parameters with seven classes."
)
yang_cnn5 = _architecture(
    "yang_cnn5", (True,) * 5, "Five convolutions: 10,473,351 parameters with seven classes."
)
#: 48 pixels can be halved five times only (48, 24, 12, 6, 3, 1). The fifth block therefore does
#: not pool, so that the sixth still sees 3x3 maps and pools those [our choice; the paper's is not
#: known].
yang_cnn6 = _architecture(
    "yang_cnn6",
    (True, True, True, True, False, True),
    "Six convolutions: 12,834,183 parameters with seven classes.",
)

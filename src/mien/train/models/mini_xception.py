"""mini-Xception (Arriaga et al. 2017, arXiv 1710.07557), the ancestor of Tian et al. 2022."""

import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from mien.train.models.blocks import ConvHeads, ConvNorm, average
from mien.train.models.registry import register
from mien.train.models.xception import EntryBlock


class MiniXception(nn.Module):
    """A body that ends in maps, whose 3x3 convolutions to the classes are averaged."""

    width = 128

    def __init__(self, body: nn.Module, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.body = body
        self.heads = ConvHeads(self.width, heads)

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the last maps averaged, (n, 128).

        The heads see the maps themselves: a 3x3 convolution comes before their averaging.
        """
        return average(self.body(x))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.body(x))
        return logits


@register("Arriaga et al. 2017")
def mini_xception(heads: Mapping[str, int], *, channels: int = 1) -> nn.Module:
    """56,951 trainable parameters with seven classes, 58,423 as Keras counts; any 6 pixels or more.

    Layer for layer as the authors' code has it [found: oarriaga/face_classification
    src/models/cnn.py]: two unpadded convolutions of 8 channels, four of Xception's strided blocks
    with 16, 32, 64 and 128 channels and no ReLU before their first convolution or after the
    addition, and no fully connected layer. 5.52 M MAC at 48x48, 10.16 M at the 64x64 that
    the authors trained at. Their L2 penalty is a matter of the recipe, not of the network.
    """
    widths = (8, 16, 32, 64, 128)
    body = nn.Sequential(
        ConvNorm(channels, 8, 3),
        ConvNorm(8, 8, 3),
        *(
            EntryBlock(inputs, outputs, relu_first=False)
            for inputs, outputs in itertools.pairwise(widths)
        ),
    )
    return MiniXception(body, heads)

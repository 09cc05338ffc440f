"""First layers that give a network with public weights the pictures it was trained on.

`mien train`, exported files and the run-time classifier all hand a network standardised crops: each
crop's own mean taken off, divided by its own deviation (`mien.train.data.loader.standardise`). The
public SENet-50 and EmoNet have never seen such numbers. Their builders take an option `input`:

* "standardised" (default): the crops go into the first convolution as they come. For training from
  scratch. Public weights can be loaded, but their first layers then see numbers about 60 times
  smaller than the ones they know (SENet-50; for EmoNet about 4 times larger), and a frozen backbone
  makes nothing of them.
* "pixels": the network is given RGB pixels in 0..255, which this layer normalises as the weights
  need. Exact, but only for code that calls the network itself: `mien train` and `mien export`
  standardise, and would feed it wrong numbers.
* "restored": the network is given standardised crops, which this layer first brings back to the
  brightness and contrast of a typical face picture. What a crop's own brightness and contrast were
  is lost, everything else is as with "pixels". For fine-tuning public weights in `mien train`.

A grey crop (one channel) is repeated to three channels for "pixels" and "restored".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mien.errors import UsageError

Input = Literal["standardised", "pixels", "restored"]
Order = Literal["bgr", "rgb"]

VGGFACE2_BGR_MEAN = (91.4953, 103.8827, 131.0912)
"""Mean blue, green, red of VGGFace2 in 0..255, taken off by the weights of cydonia999 [found].

Those want the channels in the order blue, green, red, and no division by a deviation."""

VGGFACE2_RGB_MEAN = (131.0912, 103.8827, 91.4953)
"""The same mean as red, green, blue: for the official PyTorch export, which wants RGB [found]."""

TYPICAL_MEAN = 117.0
"""Mean grey level, 0..255, of face pictures: measured on 600 of AffectNet's validation set."""

TYPICAL_DEVIATION = 58.0
"""Mean of the standard deviations of the pixels of those pictures, each over all its channels."""


class VGGFace2Input(nn.Module):
    """RGB pixels in 0..255 less VGGFace2's mean colour, in the channel order of the weights.

    Args:
        order: "bgr" for the weights of cydonia999/VGGFace2-pytorch, "rgb" for the official ones.
    """

    mean: Tensor

    def __init__(self, order: Order = "bgr") -> None:
        super().__init__()
        if order not in ("bgr", "rgb"):
            raise UsageError(f"order must be bgr or rgb, not {order!r}")
        self.order = order
        mean = VGGFACE2_BGR_MEAN if order == "bgr" else VGGFACE2_RGB_MEAN
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB pixels (n, 3, h, w), or grey ones (n, 1, h, w), to (n, 3, h, w)."""
        x = in_colour(x)
        return (x.flip(1) if self.order == "bgr" else x) - self.mean


class UnitInput(nn.Module):
    """RGB pixels in 0..255 as RGB in 0..1: what EmoNet takes [found], and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB pixels (n, 3, h, w), or grey ones (n, 1, h, w), to (n, 3, h, w)."""
        return in_colour(x) / 255.0


class Restore(nn.Module):
    """Standardised crops as pixels of typical brightness and contrast, about 0..255.

    The inverse of `mien.train.data.loader.standardise` for a crop of mean `TYPICAL_MEAN` and
    deviation `TYPICAL_DEVIATION`; for others the same picture, brighter or darker. Nothing is
    clipped.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        return x * TYPICAL_DEVIATION + TYPICAL_MEAN


def first_layer(kind: Input, pixels: nn.Module) -> nn.Module:
    """The first layer for crops of `kind`, where `pixels` normalises RGB pixels in 0..255."""
    if kind == "standardised":
        return nn.Identity()
    if kind == "pixels":
        return pixels
    if kind == "restored":
        return nn.Sequential(Restore(), pixels)
    raise UsageError(f"input must be standardised, pixels or restored, not {kind!r}")


def first_channels(kind: Input, channels: int) -> int:
    """Channels that the first convolution sees for crops of `channels` channels."""
    if channels not in (1, 3):
        raise UsageError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
    return channels if kind == "standardised" else 3


def in_colour(x: Tensor) -> Tensor:
    """(n, 1, h, w) or (n, 3, h, w) -> (n, 3, h, w), grey repeated."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x

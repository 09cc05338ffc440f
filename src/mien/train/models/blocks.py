"""Pieces that several architectures share."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mien.errors import UsageError

#: What Keras adds to the variance in BatchNorm, ten times as much as PyTorch. Networks that were
#: published in Keras or TensorFlow keep it.
KERAS_EPS = 1e-3

Activation = Literal["relu", "silu", "relu6", "hardswish"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
}


def activate(name: str) -> nn.Module:
    """A new activation layer by name."""
    if name not in ACTIVATIONS:
        raise UsageError(f"no activation {name!r}. Known: {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]()


class _HalvingDepthwise(torch.autograd.Function):
    """A depthwise 3x3 convolution of stride two, with the backward pass of one of stride one.

    PyTorch's own is slow on CPUs: 44 ms for 64 maps of 40x28x28 where a stride of one takes 14, for
    four times the outputs. A stride of two is every other output of a stride of one, so the others'
    gradient is zero.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return nn.functional.conv2d(x, weight, None, 2, 1, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        spread = torch.zeros_like(x)
        spread[:, :, ::2, ::2] = gradient
        ones, wanted = [1, 1], [*ctx.needs_input_grad, False]
        to_x, to_weight, _ = torch.ops.aten.convolution_backward(
            spread, x, weight, None, ones, ones, ones, False, [0, 0], len(weight), wanted
        )
        return to_x, to_weight


class Depthwise(nn.Conv2d):
    """A depthwise 3x3 convolution without bias; trained with a stride of two, a quick one on CPUs.

    (n, channels, h, w) becomes (n, channels, h, w), or half of h and w, rounded up.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(channels, channels, 3, stride, 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the answer is that of the base class."""
        learning = self.training and torch.is_grad_enabled()
        if self.stride != (2, 2) or not learning or x.device.type != "cpu":
            return super().forward(x)
        weight: Tensor = self.weight
        if torch.is_autocast_enabled("cpu"):  # which does not look into a function of our own
            rounded = torch.get_autocast_dtype("cpu")
            x, weight = x.to(rounded), weight.to(rounded)
        out: Tensor = _HalvingDepthwise.apply(x, weight)  # type: ignore[no-untyped-call]
        return out


class Separable(nn.Sequential):
    """Depthwise 3x3 then pointwise 1x1, no bias and nothing between: Keras' SeparableConv2D."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            Depthwise(inputs, stride),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )


def plain(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution, no bias: what `Separable` stands in for."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def squeeze_and_excite(x: Tensor, down: nn.Conv2d, up: nn.Conv2d) -> Tensor:
    """Squeeze-and-excitation (Hu et al. 2018, eq. 2 and 3): channels weighted by their averages.

    ``x * sigmoid(up(relu(down(mean(x)))))``; maps (n, channels, h, w) keep their shape.
    """
    squeezed = torch.mean(x, dim=(2, 3), keepdim=True)
    return x * torch.sigmoid(up(nn.functional.relu(down(squeezed))))


class Gate(nn.Module):
    """`squeeze_and_excite` with an eighth of the channels in between and biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        return squeeze_and_excite(x, self.squeeze, self.excite)


class ConvNorm(nn.Sequential):
    """A convolution without bias, BatchNorm as in Keras, and an activation unless `act` is None."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        act: str | None = "relu",
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs, eps=KERAS_EPS),
        )
        if act is not None:
            self.append(activate(act))


class SamePool(nn.Module):
    """3x3 max-pooling of stride two with the padding that TensorFlow calls "same".

    (n, c, h, w) becomes half of h and w, rounded up. An odd side is padded by one on either end; an
    even one is padded behind only, where ``nn.MaxPool2d(3, 2, 1)`` pads in front and drops the last
    row. The sizes agree, the windows lie one pixel apart.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c, ceil(h / 2), ceil(w / 2))."""
        h, w = x.shape[-2:]
        return nn.functional.max_pool2d(x, 3, 2, (h % 2, w % 2), ceil_mode=True)


class PreActivatedUnit(nn.Module):
    """A pre-activated residual unit of two convolutions (He et al. 2016, v2), here separable ones.

    ``a = act(BN(x)); y = sep(act(BN(sep(a)))); out = shortcut + y``. The shortcut is x itself where
    the shapes agree, else a 1x1 projection of a; nothing follows the addition. (n, inputs, h, w)
    becomes (n, outputs, h, w), or half of h and w, rounded up, when `down` is set: "pool" puts
    mini-Xception's 3x3 max-pooling behind the second convolution, "stride" gives the first one (if
    separable, its depthwise part) a stride of two. `convolution` makes both: `Separable`, `plain`.
    With `gated`, y passes a `Gate` before the addition.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        down: Literal["no", "pool", "stride"] = "no",
        act: str = "relu",
        convolution: Callable[[int, int, int], nn.Module] = Separable,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.sep1 = convolution(inputs, outputs, 2 if down == "stride" else 1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.sep2 = convolution(outputs, outputs, 1)
        self.act = activate(act)
        self.pool = nn.MaxPool2d(3, 2, 1) if down == "pool" else nn.Identity()
        self.gate = Gate(outputs) if gated else nn.Identity()
        stride = 1 if down == "no" else 2
        projected = inputs != outputs or stride > 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if projected else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h', w')."""
        a = self.act(self.norm1(x))
        y = self.sep2(self.act(self.norm2(self.sep1(a))))
        shortcut = x if self.shortcut is None else self.shortcut(a)
        out: Tensor = shortcut + self.gate(self.pool(y))
        return out


def average(x: Tensor) -> Tensor:
    """Global averaging: (n, c, h, w) -> (n, c)."""
    return torch.mean(x, dim=(2, 3))


class LinearHeads(nn.ModuleDict):
    """One linear classifier per head over features, or over maps, which are averaged first."""

    def __init__(self, features: int, heads: Mapping[str, int]) -> None:
        super().__init__({name: nn.Linear(features, k) for name, k in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, features) or (n, features, h, w) -> logits (n, k) by head."""
        pooled = average(x) if x.ndim == 4 else x
        return {name: head(pooled) for name, head in self.items()}


class ConvHeads(nn.ModuleDict):
    """mini-Xception's head: a 3x3 convolution to the classes, then global averaging."""

    def __init__(self, features: int, heads: Mapping[str, int]) -> None:
        super().__init__({name: nn.Conv2d(features, k, 3, 1, 1) for name, k in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, features, h, w) -> logits (n, k) by head."""
        return {name: average(head(x)) for name, head in self.items()}


class PooledNetwork(nn.Module):
    """A body that ends in maps (n, width, h, w), global averaging, dropout, linear heads."""

    def __init__(
        self, body: nn.Module, width: int, heads: Mapping[str, int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.width = width
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.heads = LinearHeads(width, heads)

    def features(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> what the classifiers see, (n, width), before any dropout."""
        return average(self.body(x))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, channels, h, w) -> logits (n, k) by head name."""
        logits: dict[str, Tensor] = self.heads(self.dropout(self.features(x)))
        return logits

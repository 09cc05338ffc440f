"""Yu, "Research and Analysis of Facial Expression Recognition Based on Deep Neural Networks".

A modified Xception for CK+: residual blocks of depthwise separable convolutions with ReLU6. Stated
[seed 001]: a stem of two 3x3 convolutions with 32 and 64 channels; Residual1, Residual2, Residual1,
Residual2, Residual2, Residual1 and a SeparableConv2D with 128, 256, 728, 728, 728, 728, 728
channels and strides 2, 1, 2, 1, 1, 2, 1; BatchNorm behind every separable convolution; global
averaging and a 1x1 convolution to 7 classes. So Residual1 halves the picture and Residual2 does
not [inferred]. What the text leaves open is an option here.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.blocks import (
    KERAS_EPS,
    ConvNorm,
    Depthwise,
    PooledNetwork,
    SamePool,
    average,
)
from mien.train.models.registry import register

Order = Literal["depthwise_first", "pointwise_first"]
Relu6 = Literal["after_bn", "linear_bottleneck", "inside"]
Halving = Literal["pool", "stride"]

#: (outputs, stride) of the six residual blocks: Residual1 where the stride is 2, else Residual2.
BLOCKS = ((128, 2), (256, 1), (728, 2), (728, 1), (728, 1), (728, 2))


def separable(
    inputs: int, outputs: int, stride: int, order: Order, relu6: Relu6, last: bool
) -> list[nn.Module]:
    """A separable convolution with its BatchNorm and its ReLU6, wherever `relu6` puts that.

    ``last`` says that a block's addition comes next.
    """
    depth = outputs if order == "pointwise_first" else inputs
    depthwise = Depthwise(depth, stride)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    first: nn.Module = depthwise
    second: nn.Module = pointwise
    if order == "pointwise_first":
        first, second = pointwise, depthwise
    between: list[nn.Module] = [nn.ReLU6()] if relu6 == "inside" else []
    behind = relu6 == "after_bn" or (relu6 == "linear_bottleneck" and not last)
    norm = nn.BatchNorm2d(outputs, eps=KERAS_EPS)
    return [first, *between, second, norm, *([nn.ReLU6()] if behind else [])]


class ChannelAttention(nn.Module):
    """Squeeze and excitation (Hu et al. 2018, equations 2 to 4): a weight for each channel.

    ``x * sigmoid(W2 relu(W1 mean(x)))``, where W1 leaves a sixteenth of the channels and
    the weights lie between 0 and 1.
    """

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // reduction)
        self.excite = nn.Linear(width // reduction, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, width, h, w) to the same shape."""
        weights = self.excite(self.squeeze(average(x)).relu()).sigmoid()
        out: Tensor = x * weights[:, :, None, None]
        return out


class Residual(nn.Module):
    """Separable convolutions beside a shortcut: Residual1 with a stride of 2, Residual2 with 1.

    The shortcut is the input itself where the shapes agree, else a 1x1 convolution with BatchNorm.
    Nothing follows the addition, as in Xception.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        count: int,
        order: Order,
        relu6: Relu6,
        down: Halving,
        attention: bool,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(count):
            own = stride if i == 0 and down == "stride" else 1
            source = inputs if i == 0 else outputs
            layers += separable(source, outputs, own, order, relu6, i == count - 1)
        if stride == 2 and down == "pool":
            layers.append(SamePool())
        if attention:
            layers.append(ChannelAttention(outputs))
        self.branch = nn.Sequential(*layers)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else ConvNorm(inputs, outputs, 1, stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, ceil(h / stride), ceil(w / stride))."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        out: Tensor = shortcut + self.branch(x)
        return out


@register("Yu 2023")
def yu2023(
    heads: Mapping[str, int],
    *,
    channels: int = 1,
    order: Order = "depthwise_first",
    relu6: Relu6 = "after_bn",
    residual1: int = 2,
    residual2: int = 3,
    down: Halving = "pool",
    attention: bool = False,
) -> nn.Module:
    """6,553,007 trainable parameters with seven classes, 1.33 G MAC at 48x48; any input size.

    The head's 1x1 convolution after global averaging is a linear layer, which is what stands here.

    Args:
        heads: outputs of each head.
        channels: of the input picture; the paper does not say.
        order: of a separable convolution's halves. The text says "pointwise_first"; the Keras layer
            that it names, SeparableConv2D, is "depthwise_first".
        relu6: the text has one place without activation, "so the data is not corrupted", which its
            lost figure showed. "after_bn": there is a ReLU6 behind each BatchNorm and none between
            the two halves of a separable convolution. "linear_bottleneck": nor behind the last
            BatchNorm before an addition, as in MobileNetV2, which the text cites. "inside": between
            the two halves and not behind the BatchNorm that follows. The stem always has ReLU6;
            shortcuts never do.
        residual1: separable convolutions in Residual1; 2 as in Xception's entry flow.
        residual2: separable convolutions in Residual2; 3 as in Xception's middle flow.
        down: Residual1 halves by "pool", Xception's 3x3 max-pooling, or by "stride", that of its
            first depthwise convolution.
        attention: channel attention on each block's branch, which the author names as the next
            step and has not built.

    Raises:
        UsageError: an option that is not among those.
    """
    _check(order, Order, "order")
    _check(relu6, Relu6, "relu6")
    _check(down, Halving, "down")
    if residual1 < 1 or residual2 < 1:
        raise UsageError("yu2023: residual1 and residual2 must be at least 1")
    layers: list[nn.Module] = [
        ConvNorm(channels, 32, 3, 1, 1, "relu6"),
        ConvNorm(32, 64, 3, 1, 1, "relu6"),
    ]
    inputs = 64
    for outputs, stride in BLOCKS:
        count = residual1 if stride == 2 else residual2
        layers.append(
            Residual(inputs, outputs, stride, count, order, relu6, down, attention),
        )
        inputs = outputs
    layers += separable(inputs, 728, 1, order, relu6, last=False)
    return PooledNetwork(nn.Sequential(*layers), 728, heads)


def _check(value: str, choices: object, name: str) -> None:
    known = get_args(choices)
    if value not in known:
        raise UsageError(f"yu2023 has no {name}={value!r}. Known: {', '.join(known)}.")

"""The readings of Yu's network."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.models import build, count_parameters  # noqa: E402
from mien.train.models.yu2023 import ChannelAttention, Residual, separable  # noqa: E402


def described(layers):
    """One word a layer: d and p for depthwise and pointwise, b for BatchNorm, 6 for ReLU6."""
    words = []
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d):
            words.append("d" if layer.groups > 1 else "p")
        else:
            words.append({"BatchNorm2d": "b", "ReLU6": "6", "SamePool": "m"}[type(layer).__name__])
    return "".join(words)


@pytest.mark.parametrize(
    ("order", "relu6", "expected"),
    [
        ("depthwise_first", "after_bn", "dpb6dpb6m"),
        ("depthwise_first", "linear_bottleneck", "dpb6dpbm"),
        ("depthwise_first", "inside", "d6pbd6pbm"),
        ("pointwise_first", "after_bn", "pdb6pdb6m"),
        ("pointwise_first", "inside", "p6dbp6dbm"),
    ],
)
def test_where_the_activation_is(order, relu6, expected):
    block = Residual(4, 8, 2, 2, order, relu6, "pool", attention=False)
    assert described(block.branch) == expected


def test_the_first_of_the_last_convolutions_is_no_blocks_last():
    layers = separable(4, 8, 1, "depthwise_first", "linear_bottleneck", last=False)
    assert described(layers) == "dpb6"


def test_the_branch_is_bounded_or_it_is_not():
    torch.manual_seed(0)
    x = 50 * torch.randn(2, 4, 8, 8)
    bounded = Residual(4, 8, 1, 2, "depthwise_first", "after_bn", "pool", False).branch(x)
    linear = Residual(4, 8, 1, 2, "depthwise_first", "linear_bottleneck", "pool", False).branch(x)
    assert bounded.min() == 0
    assert bounded.max() <= 6
    assert linear.min() < -0.5


@pytest.mark.parametrize("down", ["pool", "stride"])
def test_residual1_halves(down):
    block = Residual(4, 8, 2, 2, "depthwise_first", "after_bn", down, False).eval()
    assert block(torch.zeros(1, 4, 9, 6)).shape == (1, 8, 5, 3)
    strides = [m.stride[0] for m in block.branch if isinstance(m, torch.nn.Conv2d)]
    assert strides == ([1, 1, 1, 1] if down == "pool" else [2, 1, 1, 1])


def test_the_shortcut_is_the_input_where_the_shapes_agree():
    assert Residual(8, 8, 1, 3, "depthwise_first", "after_bn", "pool", False).shortcut is None
    assert Residual(4, 8, 1, 3, "depthwise_first", "after_bn", "pool", False).shortcut is not None


def test_attention_weighs_whole_channels():
    layer = ChannelAttention(32)
    torch.nn.init.zeros_(layer.excite.weight)
    torch.nn.init.zeros_(layer.excite.bias)
    layer.excite.bias.data[0] = 1.0986123  # log 3: a weight of 3/4
    out = layer(torch.full((1, 32, 2, 2), 4.0))
    assert out[0, 0].flatten().tolist() == pytest.approx([3.0] * 4)
    assert out[0, 1:].unique().tolist() == [2.0]


def test_attention_looks_at_the_mean_of_the_picture():
    torch.manual_seed(0)
    layer = ChannelAttention(32)
    x = torch.randn(2, 32, 3, 5)
    hidden = torch.relu(x.mean(dim=(2, 3)) @ layer.squeeze.weight.T + layer.squeeze.bias)
    weights = torch.sigmoid(hidden @ layer.excite.weight.T + layer.excite.bias)
    assert torch.allclose(layer(x), x * weights[:, :, None, None], atol=1e-6)


def test_what_attention_costs():
    with torch.device("meta"):
        model = build("yu2023", {"ckplus": 7}, attention=True)
    # A sixteenth of 128, 256 and 728 channels is 8, 16 and 45 (728 four times).
    added = (2 * 128 * 8 + 8 + 128) + (2 * 256 * 16 + 16 + 256) + 4 * (2 * 728 * 45 + 45 + 728)
    assert count_parameters(model)[0] == 6_553_007 + added == 6_828_827


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "3x3"}, r"no order='3x3'\. Known: depthwise_first, pointwise_first"),
        ({"relu6": "no"}, r"no relu6='no'\. Known: after_bn, linear_bottleneck, inside"),
        ({"down": "up"}, r"no down='up'\. Known: pool, stride"),
        ({"residual2": 0}, "at least 1"),
    ],
)
def test_what_it_does_not_know(options, message):
    with pytest.raises(UsageError, match=message):
        build("yu2023", {"ckplus": 7}, **options)

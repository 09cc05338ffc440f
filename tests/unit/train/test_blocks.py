"""The pieces that several architectures share."""

import pytest

torch = pytest.importorskip("torch")

from mien.train.models.blocks import (  # noqa: E402
    ConvHeads,
    ConvNorm,
    Depthwise,
    Gate,
    LinearHeads,
    PooledNetwork,
    SamePool,
)


def test_pooling_pads_an_even_side_behind_only():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert SamePool()(x)[0, 0].tolist() == [[10.0, 11.0], [14.0, 15.0]]
    assert SamePool()(-x)[0, 0].tolist() == [[0.0, -2.0], [-8.0, -10.0]]


def test_pooling_pads_an_odd_side_on_both_ends():
    x = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert SamePool()(x)[0, 0].tolist() == [[6.0, 8.0, 9.0], [16.0, 18.0, 19.0], [21.0, 23.0, 24.0]]


def test_pooling_of_negative_numbers_never_gives_the_padding():
    assert SamePool()(torch.full((1, 1, 3, 4), -7.0)).unique().tolist() == [-7.0]


def test_the_norm_divides_as_in_keras():
    layer = ConvNorm(1, 1, 1).eval()
    torch.nn.init.constant_(layer[0].weight, 2.0)
    layer[1].running_var.fill_(0.008)  # sqrt(0.008 + 0.001) is 0.0948683
    out = layer(torch.tensor([[[[3.0, -3.0]]]]))
    assert out.flatten().tolist() == pytest.approx([6 / 0.0948683, 0.0], rel=1e-5)
    assert len(ConvNorm(1, 1, 1, act=None)) == 2


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_layer_answers_and_learns_as_pytorchs_own(stride, side):
    torch.manual_seed(0)
    ours = Depthwise(3, stride)
    plain = torch.nn.Conv2d(3, 3, 3, stride, 1, groups=3, bias=False)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, 3, side, side, requires_grad=True)
    passed = []
    for layer in (ours, plain):
        out = layer(x)
        weight = torch.arange(out.numel()).reshape(out.shape).cos()
        passed.append((out, *torch.autograd.grad((out * weight).sum(), (x, layer.weight))))
    for mine, theirs in zip(*passed, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_depthwise_layer_is_rounded_as_autocast_says():
    layer, x = Depthwise(3, 2), torch.randn(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        out, same = layer(x), layer.eval()(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, same)
    out.sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.abs().sum() > 0


def test_a_gate_weights_channels_by_their_averages():
    gate = Gate(8)
    with torch.no_grad():
        gate.squeeze.weight.fill_(1 / 8)  # the average of the eight averages
        gate.squeeze.bias.zero_()
        gate.excite.weight.copy_(torch.arange(8.0).reshape(8, 1, 1, 1))
        gate.excite.bias.fill_(-2.0)
    x = torch.ones(1, 8, 2, 2)
    x[:, :, 0, 0] = 5.0  # every channel's average is 2
    out = gate(x)
    assert out[0, :, 1, 1].tolist() == pytest.approx(
        torch.sigmoid(torch.arange(8) * 2 - 2).tolist()
    )
    assert torch.equal(out[:, :, 0, 0], 5 * out[:, :, 1, 1])


def test_linear_heads_take_maps_or_their_averages():
    torch.manual_seed(0)
    heads = LinearHeads(3, {"a": 2})
    maps = torch.randn(4, 3, 5, 5)
    expected = maps.mean(dim=(2, 3)) @ heads["a"].weight.T + heads["a"].bias
    assert torch.allclose(heads(maps)["a"], expected, atol=1e-6)
    assert torch.allclose(heads(maps.mean(dim=(2, 3)))["a"], expected, atol=1e-6)


def test_convolutional_heads_average_behind_the_convolution():
    heads = ConvHeads(1, {"a": 1})
    torch.nn.init.ones_(heads["a"].weight)
    torch.nn.init.constant_(heads["a"].bias, 0.5)
    # 2x2 ones under a padded 3x3 window: every output is 4, and their mean too.
    assert heads(torch.ones(1, 1, 2, 2))["a"].tolist() == [[4.5]]


def test_dropout_is_behind_the_features():
    network = PooledNetwork(torch.nn.Identity(), 3, {"a": 2}, dropout=1.0).train()
    maps = torch.arange(12.0).reshape(1, 3, 2, 2)
    assert network.features(maps).tolist() == [[1.5, 5.5, 9.5]]
    assert torch.equal(network(maps)["a"], network.heads["a"].bias[None])

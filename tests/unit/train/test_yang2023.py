"""Yang's plain networks."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.models.yang2023 import RandomSlope  # noqa: E402

LIGHT = {"fc": (32, 16)}


@pytest.mark.parametrize(
    ("name", "side", "channels"),
    [("yang_cnn3", 6, 256), ("yang_cnn4", 3, 512), ("yang_cnn5", 1, 512), ("yang_cnn6", 1, 512)],
)
def test_what_is_left_of_48_pixels(name, side, channels):
    model = build(name, {"a": 7}, **LIGHT).eval()
    with torch.no_grad():
        assert model.blocks(torch.zeros(1, 1, 48, 48)).shape == (1, channels, side, side)
    assert model.fc[1].in_features == channels * side * side


def test_the_sixth_convolution_still_sees_neighbours():
    model = build("yang_cnn6", {"a": 7}, **LIGHT)
    names = [type(layer).__name__[0] for layer in model.blocks]
    assert "".join(names) == "CBRM" * 4 + "CBR" + "CBRM"  # convolution, BN, slope, max-pooling


def test_a_picture_of_another_size_is_refused():
    model = build("yang_cnn3", {"a": 7}, **LIGHT)
    with pytest.raises(UsageError, match=r"pictures of 48x48, not 64x48.*size=64"):
        model(torch.zeros(2, 1, 48, 64))
    larger = build("yang_cnn3", {"a": 7}, size=64, **LIGHT).eval()
    with torch.no_grad():
        assert larger(torch.zeros(2, 1, 64, 64))["a"].shape == (2, 7)


def test_a_picture_that_cannot_be_halved_so_often_is_refused():
    with pytest.raises(UsageError, match=r"5 convolutions halve the picture 5 times.*32 pixels"):
        build("yang_cnn5", {"a": 7}, size=31, **LIGHT)
    with pytest.raises(UsageError, match="at least one fully connected layer"):
        build("yang_cnn3", {"a": 7}, fc=())


def test_the_fully_connected_part():
    with torch.device("meta"):
        model = build("yang_cnn3", {"a": 7})
    shown = [
        layer.p if isinstance(layer, torch.nn.Dropout) else getattr(layer, "out_features", "rrelu")
        for layer in model.fc
    ]
    assert shown == [0.2, 4096, "rrelu", 0.5, 1024, "rrelu", 256, "rrelu"]
    assert model.fc[1].in_features == 9216
    assert model.width == 256


def test_the_first_weights_of_the_convolutions():
    torch.manual_seed(0)
    model = build("yang_cnn3", {"a": 7}, **LIGHT)
    last = model.blocks[8].weight  # 294,912 numbers
    assert last.std().item() == pytest.approx(0.04, rel=0.01)
    assert abs(last.mean().item()) < 3e-4


def test_in_use_nothing_is_random():
    torch.manual_seed(0)
    model = build("yang_cnn3", {"a": 7}, **LIGHT)
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        assert not torch.equal(model(x)["a"], model(x)["a"])
        model.eval()
        assert torch.equal(model(x)["a"], model(x)["a"])


def test_the_slope_of_negative_numbers():
    torch.manual_seed(0)
    x = torch.tensor([-24.0, 2.0]).repeat(1000, 1)
    layer = RandomSlope()
    drawn = layer(x)
    assert drawn[:, 1].unique().tolist() == [2.0]
    assert -8 <= drawn[:, 0].min() < -7.9
    assert -3.1 < drawn[:, 0].max() <= -3
    # In use it is the mean of 1/8 and 1/3.
    assert layer.eval()(x)[0].tolist() == pytest.approx([-5.5, 2.0])
    assert torch.equal(layer(x), torch.nn.RReLU().eval()(x))

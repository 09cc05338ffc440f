"""MobileNetV2: one block against NumPy, and its published size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from network_in_numpy import conv, disturbed, norm, weights  # noqa: E402

from mien.errors import UsageError  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.models.mobilenet_v2 import InvertedResidual, rounded  # noqa: E402

HEADS = {"expression": 8, "affect": 2}


def relu6(x):
    return np.clip(x, 0, 6)


@pytest.mark.parametrize(("outputs", "stride"), [(8, 1), (8, 2), (12, 1)])
def test_one_block(outputs, stride):
    torch.manual_seed(0)
    block = disturbed(InvertedResidual(8, outputs, stride, 6))
    w = weights(block)
    x = np.random.default_rng(0).standard_normal((2, 8, 5, 7)) * 5
    y = relu6(norm(conv(x, w, "conv.0"), w, "conv.1"))
    y = relu6(norm(conv(y, w, "conv.3", stride, 1), w, "conv.4"))
    y = norm(conv(y, w, "conv.6"), w, "conv.7")
    assert y.max() > 0 > y.min()  # no activation behind the projection
    wanted = x + y if (outputs, stride) == (8, 1) else y
    with torch.no_grad():
        assert np.abs(block(torch.from_numpy(x)).numpy() - wanted).max() <= 1e-10


def test_the_published_size():
    with torch.device("meta"):
        model = models.build("mobilenet_v2", HEADS)
        assert models.count_parameters(model)[0] == 2_236_682
        assert models.count_macs(model, 3, 224) == 299_507_072
        assert model.width == 1280
        imagenet = models.build("mobilenet_v2", {"imagenet": 1000})
        assert models.count_parameters(imagenet)[0] == 3_504_872


def test_small_crops_and_other_widths():
    torch.manual_seed(0)
    model = models.build("mobilenet_v2", HEADS, channels=1, stem_stride=1, width=0.5)
    model.eval()
    with torch.no_grad():
        assert model.body[:-1](torch.zeros(1, 1, 48, 48)).shape == (1, 160, 3, 3)
        assert model.features(torch.zeros(1, 1, 48, 48)).shape == (1, 1280)
    with pytest.raises(UsageError, match="stem_stride must be 1 or 2, not 4"):
        models.build("mobilenet_v2", HEADS, stem_stride=4)
    with pytest.raises(UsageError, match="width must be above 0, not 0"):
        models.build("mobilenet_v2", HEADS, width=0)


def test_channels_are_multiples_of_eight():
    assert [rounded(c) for c in (3, 8, 11.2, 12, 16.8, 22.4, 24, 33.6)] == [
        8,
        8,
        16,  # 8 is more than a tenth below
        16,
        16,
        24,
        24,
        32,
    ]

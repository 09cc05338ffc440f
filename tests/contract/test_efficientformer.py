"""EfficientFormer: attention and blocks against NumPy, its size, its grid."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from network_in_numpy import disturbed, linear, weights  # noqa: E402

from mien.errors import UsageError  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.models.efficientformer import Attention, Pooling, PoolingBlock  # noqa: E402

HEADS = {"expression": 8, "affect": 2}


@pytest.mark.parametrize("side", [3, 2])
def test_attention_over_the_whole_grid_and_over_a_part(side):
    torch.manual_seed(0)
    attention = Attention(16, 3).double()
    torch.nn.init.normal_(attention.attention_biases)
    w = weights(attention)
    x = np.random.default_rng(0).standard_normal((2, side * side, 16))
    qkv = linear(x, w, "qkv")
    mixed = np.zeros((2, side * side, 8 * 128))
    cells = list(itertools.product(range(side), range(side)))
    for n, head in itertools.product(range(2), range(8)):
        q, k, v = np.split(qkv[n, :, head * 192 : (head + 1) * 192], [32, 64], axis=1)
        for i, (row, column) in enumerate(cells):
            scores = [
                q[i] @ k[j] / math.sqrt(32)
                + w["attention_biases"][head, abs(row - r) * 3 + abs(column - c)]
                for j, (r, c) in enumerate(cells)
            ]
            chances = np.exp(scores) / np.exp(scores).sum()
            mixed[n, i, head * 128 : (head + 1) * 128] = chances @ v
    with torch.no_grad():
        ours = attention(torch.from_numpy(x)).numpy()
    assert np.abs(ours - linear(mixed, w, "proj")).max() <= 1e-12


def test_pooling_takes_the_neighbours_that_there_are():
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    out = Pooling()(x)[0, 0]
    assert out[1, 1] == 0
    assert out[0, 0] == (1 + 2 + 4 + 5) / 4 - 1
    assert out[0, 1] == pytest.approx((1 + 2 + 3 + 4 + 5 + 6) / 6 - 2)


def test_a_block_starts_close_to_nothing_and_scales_its_two_halves():
    torch.manual_seed(0)
    block = disturbed(PoolingBlock(4))
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        assert 0 < (block(x) - x).abs().max() < 1e-3
        block.ls1.gamma.copy_(torch.tensor([1.0, 0, 0, 0]))
        block.ls2.gamma.zero_()
        out = block(x)
        assert torch.equal(out[:, 1:], x[:, 1:])
        assert (out[:, 0] - (x + block.token_mixer(x))[:, 0]).abs().max() <= 1e-12


def test_the_published_size():
    with torch.device("meta"):
        model = models.build("efficientformer_l3", {"class": 1000, "distilled": 1000})
        assert models.count_parameters(model)[0] == 31_406_000  # timm's card says 31.4 M
        assert round(models.count_macs(model, 3, 224) / 1e9, 1) == 3.9
        assert model.width == 512
        assert model.stages[3].blocks[3].token_mixer.attention_biases.shape == (8, 49)


def test_its_names_are_those_of_timm():
    with torch.device("meta"):
        names = models.build("efficientformer_l3", HEADS).state_dict()
    for name in (
        "stem.conv2.bias",
        "stem.norm1.running_mean",
        "stages.0.blocks.3.mlp.norm2.weight",
        "stages.1.downsample.conv.weight",
        "stages.2.blocks.11.ls2.gamma",
        "stages.3.blocks.1.mlp.fc1.weight",
        "stages.3.blocks.3.token_mixer.qkv.weight",
        "stages.3.blocks.6.token_mixer.attention_biases",
        "stages.3.blocks.6.mlp.fc2.bias",
        "norm.weight",
    ):
        assert name in names
    assert not any(name.startswith(("stages.3.blocks.2.", "stages.3.blocks.7")) for name in names)


def test_crops_up_to_the_size_it_was_built_for():
    torch.manual_seed(0)
    model = models.build("efficientformer_l3", HEADS, size=70).eval()
    assert model.stages[3].blocks[4].token_mixer.side == 3
    with torch.no_grad():
        for size in (70, 48, 32):
            assert model.features(torch.zeros(1, 3, size, size)).shape == (1, 512)
        for shape in ((71, 71), (64, 48)):
            with pytest.raises(UsageError, match=f"not {shape[0]}x{shape[1]}: build it with size="):
                model(torch.zeros(1, 3, *shape))
    with pytest.raises(UsageError, match="size must be above 0"):
        models.build("efficientformer_l3", HEADS, size=0)

"""EmoNet against a restatement in NumPy, its published size, and what a frozen part keeps."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from network_in_numpy import (  # noqa: E402
    conv,
    disturbed,
    linear,
    max_pool,
    norm,
    relu,
    weights,
)

from mien.errors import UsageError  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.models.emonet import ConvBlock, attend  # noqa: E402

HEADS = {"expression": 8, "affect": 2}


def block_in_numpy(x, w, name):
    """Three pre-activated 3x3 convolutions, each one's result kept, and the shortcut."""
    results, y = [], x
    for i in (1, 2, 3):
        y = conv(relu(norm(y, w, f"{name}bn{i}")), w, f"{name}conv{i}", pad=1)
        results.append(y)
    if name + "downsample.0.weight" in w:
        x = conv(relu(norm(x, w, name + "downsample.0")), w, name + "downsample.2")
    return np.concatenate(results, axis=1) + x


def doubled(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def hourglass_in_numpy(x, w, name, level=4):
    down = block_in_numpy(max_pool(x, 2, 2), w, f"{name}b2_{level}.")
    if level > 1:
        inner = hourglass_in_numpy(down, w, name, level - 1)
    else:
        inner = block_in_numpy(down, w, name + "b2_plus_1.")
    up = doubled(block_in_numpy(inner, w, f"{name}b3_{level}."))
    return block_in_numpy(x, w, f"{name}b1_{level}.") + up


def emonet_in_numpy(rgb, w):
    """The ten outputs (n, 10) of RGB pixels in 0..255, side a multiple of 64."""
    x = relu(norm(conv(rgb / 255, w, "conv1", 2, 3), w, "bn1"))
    x = max_pool(block_in_numpy(x, w, "conv2."), 2, 2)
    trunk = block_in_numpy(block_in_numpy(x, w, "conv3."), w, "conv4.")
    first = block_in_numpy(hourglass_in_numpy(trunk, w, "m0."), w, "top_m_0.")
    first = relu(norm(conv(first, w, "conv_last0"), w, "bn_end0"))
    back = conv(conv(first, w, "l0"), w, "al0")
    first = conv(first, w, "bl0")
    second = hourglass_in_numpy(trunk + first + back, w, "m1.")
    second = relu(norm(conv(block_in_numpy(second, w, "top_m_1."), w, "conv_last1"), w, "bn_end1"))
    mask = conv(second, w, "l1").sum(axis=1, keepdims=True)
    x = conv(np.concatenate([trunk, first * mask, second * mask], 1), w, "conv1x1_input_emo_2")
    for i in (0, 2, 4, 6):
        x = max_pool(block_in_numpy(x, w, f"emo_net_2.{i}."), 2, 2)
    x = relu(norm(linear(x.mean((2, 3)), w, "emo_fc_2.0"), w, "emo_fc_2.1"))
    return linear(x, w, "emo_fc_2.3")


@pytest.mark.parametrize("inputs", [8, 16])
def test_one_block(inputs):
    torch.manual_seed(0)
    block = disturbed(ConvBlock(inputs, 16))
    x = np.random.default_rng(0).standard_normal((2, inputs, 5, 4))
    with torch.no_grad():
        ours = block(torch.from_numpy(x)).numpy()
    wanted = block_in_numpy(x, weights(block), "")
    assert wanted.shape == (2, 16, 5, 4)
    assert np.abs(ours - wanted).max() <= 1e-12


def test_the_attention_by_hand():
    maps = torch.ones(1, 768, 1, 2)
    maps[:, 600] = 5.0
    heatmaps = torch.zeros(1, 68, 1, 2)
    heatmaps[0, 3] = torch.tensor([[0.25, 1.0]])
    heatmaps[0, 60] = torch.tensor([[0.5, -4.0]])
    out = attend(maps, heatmaps)
    assert out[0, :256].unique().tolist() == [1.0]  # the trunk is not weighed
    assert out[0, 256, 0].tolist() == [0.75, -3.0]
    assert out[0, 767, 0].tolist() == [0.75, -3.0]
    assert out[0, 600, 0].tolist() == [3.75, -15.0]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return disturbed(models.build("emonet", HEADS, input="pixels"))


def test_the_whole_network(network):
    rgb = np.random.default_rng(1).uniform(0, 255, (1, 3, 64, 64))
    with torch.no_grad():
        ours = network(torch.from_numpy(rgb))
    wanted = emonet_in_numpy(rgb, weights(network))
    assert np.abs(ours["expression"].numpy() - wanted[:, :8]).max() <= 1e-9
    assert np.abs(ours["affect"].numpy() - wanted[:, 8:]).max() <= 1e-9


def test_other_sizes(network):
    with torch.no_grad():
        maps, heatmaps = network.landmarks(torch.zeros(1, 3, 76, 68).double())
        assert network.features(torch.zeros(1, 3, 76, 68).double()).shape == (1, network.width)
    assert maps.shape == (1, 768, 19, 17)
    assert heatmaps.shape == (1, 68, 19, 17)
    with pytest.raises(UsageError, match="emonet needs crops of 64 pixels or more, not 64x63"):
        network(torch.zeros(1, 3, 64, 63).double())


def test_the_published_size():
    with torch.device("meta"):
        model = models.build("emonet", HEADS)
        assert models.count_parameters(model)[0] == 13_963_410
        assert models.count_macs(model, 3, 256) == 16_934_929_664
        assert len(model.state_dict()) == 682
        frozen = models.build("emonet", HEADS, freeze=True)
        assert models.count_parameters(frozen)[0] == 1_856_906


def test_the_names_of_the_public_file():
    with torch.device("meta"):
        names = models.build("emonet", HEADS, input="restored").state_dict()
    roots = {name.split(".")[0] for name in names}
    stacks = {f"{part}{i}" for i in (0, 1) for part in ("m", "top_m_", "conv_last", "bn_end", "l")}
    trunk = {"conv1", "bn1", "conv2", "conv3", "conv4", "bl0", "al0"}
    assert roots == stacks | trunk | {"conv1x1_input_emo_2", "emo_net_2", "emo_fc_2"}
    inner = {name.split(".")[1] for name in names if name.startswith("m1.")}
    levels = {f"{branch}_{level}" for branch in ("b1", "b2", "b3") for level in (1, 2, 3, 4)}
    assert inner == levels | {"b2_plus_1"}
    assert {n.split(".")[1] for n in names if n.startswith("emo_net_2")} == {"0", "2", "4", "6"}
    assert {n.split(".")[1] for n in names if n.startswith("emo_fc_2")} == {"0", "1", "3"}
    assert names["emo_fc_2.3.weight"].shape == (10, 128)


def test_a_frozen_landmark_network_stays_as_it_is():
    torch.manual_seed(0)
    model = models.build("emonet", HEADS, freeze=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert model.train() is model
    assert model.training and model.emo_net_2.training and not model.m0.training
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    out = model(torch.randn(2, 3, 64, 64))
    (out["expression"].square().mean() + out["affect"].square().mean()).backward()
    optimiser.step()
    after = model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    emotion = {n for n in after if n.startswith(("conv1x1_input_emo_2", "emo_net_2", "emo_fc_2"))}
    assert moved == emotion
    assert not model.eval().training


def test_without_freezing_its_statistics_move():
    torch.manual_seed(0)
    model = models.build("emonet", HEADS).train()
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    assert model.m1.b2_plus_1.bn1.num_batches_tracked == 1
    assert all(p.requires_grad for p in model.parameters())

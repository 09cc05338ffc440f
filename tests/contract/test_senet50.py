"""SENet-50 against a restatement in NumPy, and its published size."""

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
    sigmoid,
    weights,
)

from mien.errors import UsageError  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.models.senet50 import SEBottleneck  # noqa: E402

HEADS = {"affectnet": 8, "affect": 2}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def block_in_numpy(x, w, name, stride):
    """A bottleneck as Hu et al. draw it, the stride in the first 1x1 convolution."""
    y = relu(norm(conv(x, w, name + "conv1", stride), w, name + "bn1"))
    y = relu(norm(conv(y, w, name + "conv2", pad=1), w, name + "bn2"))
    y = norm(conv(y, w, name + "conv3"), w, name + "bn3")
    squeezed = y.mean((2, 3), keepdims=True)
    gate = sigmoid(conv(relu(conv(squeezed, w, name + "conv4")), w, name + "conv5"))
    if name + "downsample.0.weight" in w:
        x = norm(conv(x, w, name + "downsample.0", stride), w, name + "downsample.1")
    return relu(gate * y + x)


@pytest.mark.parametrize(("inputs", "stride"), [(32, 1), (32, 2), (16, 1), (16, 2)])
def test_one_bottleneck(inputs, stride):
    torch.manual_seed(0)
    block = disturbed(SEBottleneck(inputs, 8, stride))
    assert (block.downsample is None) == (inputs == 32 and stride == 1)
    x = pixels(2, inputs, 7, 6)
    with torch.no_grad():
        ours = block(torch.from_numpy(x)).numpy()
    assert ours.shape == (2, 32, -(-7 // stride), -(-6 // stride))
    assert np.abs(ours - block_in_numpy(x, weights(block), "", stride)).max() <= 1e-12


def test_the_pooling_counts_the_window_over_the_edge():
    x = torch.arange(36.0).view(1, 1, 6, 6)
    with torch.device("meta"):
        pool = models.build("senet50", HEADS).maxpool
    # Windows of rows 0-2, 2-4 and 4-5; padding of one would see row 1, 3 and 5 as its last.
    assert pool(x)[0, 0].tolist() == [[14, 16, 17], [26, 28, 29], [32, 34, 35]]
    assert np.array_equal(max_pool(x.numpy(), 3, 2), pool(x).numpy())


def test_the_whole_network():
    torch.manual_seed(0)
    model = disturbed(models.build("senet50", HEADS, input="pixels"))
    model.bn1.running_var.mul_(3e4)  # as pixels have it: no gate is stuck at 0 or 1
    rgb = np.random.default_rng(1).uniform(0, 255, (2, 3, 40, 40))
    w = weights(model)
    x = rgb[:, ::-1] - np.array([91.4953, 103.8827, 131.0912], np.float32)[:, None, None]
    x = max_pool(relu(norm(conv(x, w, "conv1", 2, 3), w, "bn1")), 3, 2)
    assert x.shape[2:] == (10, 10)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for i in range(blocks):
            stride = 2 if stage > 1 and i == 0 else 1
            x = block_in_numpy(x, w, f"layer{stage}.{i}.", stride)
    features = x.mean((2, 3))
    with torch.no_grad():
        ours = model.features(torch.from_numpy(rgb)).numpy()
        logits = model(torch.from_numpy(rgb))
    assert features.shape == (2, model.width) == (2, 2048)
    assert np.abs(ours - features).max() <= 1e-9 * np.abs(features).max()
    for head, k in HEADS.items():
        wanted = linear(features, w, f"heads.{head}")
        assert wanted.shape == (2, k)
        assert np.abs(logits[head].numpy() - wanted).max() <= 1e-9 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("classes", "parameters"), [(8, 26_055_416), (1000, 28_088_024), (8631, 43_723_943)]
)
def test_the_published_size(classes, parameters):
    with torch.device("meta"):
        model = models.build("senet50", {"identity": classes})
        assert models.count_parameters(model)[0] == parameters
        statistics = models.count_parameters(model)[1] - parameters
        counters = sum("num_batches" in name for name in model.state_dict())
        assert statistics + counters == 53_173
        assert len(model.state_dict()) == 384
        if classes == 8:
            assert models.count_macs(model, 3, 224) == 3_858_456_576


def test_the_small_one():
    model = models.build("senet_small", {"ferplus": 8})
    assert models.count_parameters(model)[0] == 966_492
    assert models.count_macs(model, 1, 48) == 85_099_008
    assert model.width == 512
    faster = models.build("senet_small", {"ferplus": 8}, stem_stride=2)
    assert models.count_macs(faster, 1, 64) * 4 == pytest.approx(
        models.count_macs(model, 1, 64), rel=2e-3
    )


def test_the_weights_start_as_he_et_al_say():
    torch.manual_seed(0)
    model = models.build("senet_small", {"ferplus": 8})
    for kernel in (model.layer4[0].conv2.weight, model.layer4[0].conv3.weight):
        wanted = (2 / (kernel.shape[0] * kernel.shape[2] * kernel.shape[3])) ** 0.5
        assert float(kernel.detach().std()) == pytest.approx(wanted, rel=0.02)
        assert abs(float(kernel.detach().mean())) < wanted * 0.02


def test_options_that_are_not_there():
    with pytest.raises(UsageError, match="input must be standardised, pixels or restored"):
        models.build("senet50", HEADS, input="raw")
    with pytest.raises(UsageError, match="order must be bgr or rgb, not 'rbg'"):
        models.build("senet50", HEADS, order="rbg")
    with pytest.raises(UsageError, match=r"channels must be 1 \(grey\) or 3 \(RGB\), not 4"):
        models.build("senet50", HEADS, channels=4)

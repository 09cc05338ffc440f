"""Xception and mini-Xception against an independent restatement of their blocks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.models import build  # noqa: E402
from mien.train.models.xception import EntryBlock, MiddleBlock  # noqa: E402


def convolved(x, depthwise, pointwise):
    """A separable convolution by loops: x (c, h, w), depthwise (c, 3, 3), pointwise (o, c)."""
    c, h, w = x.shape
    padded = np.zeros((c, h + 2, w + 2))
    padded[:, 1:-1, 1:-1] = x
    out = np.zeros_like(x)
    for i in range(h):
        for j in range(w):
            out[:, i, j] = (padded[:, i : i + 3, j : j + 3] * depthwise).sum(axis=(1, 2))
    return np.einsum("oc,chw->ohw", pointwise, out)


def normalised(x, norm):
    mean, var, gain, bias = (
        t.detach().double().numpy()[:, None, None]
        for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / np.sqrt(var + 1e-3) * gain + bias


def pooled(x):
    """TensorFlow's 3x3 maximum of stride two: all padding is behind on even sides."""
    c, h, w = x.shape
    out = np.zeros((c, (h + 1) // 2, (w + 1) // 2))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            top, left = 2 * i - h % 2, 2 * j - w % 2
            window = x[:, max(0, top) : top + 3, max(0, left) : left + 3]
            out[:, i, j] = window.max(axis=(1, 2))
    return out


def shaken(block):
    """The block in eval mode, with norms that are not the identity."""
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.uniform_(-0.5, 0.5)
    return block.eval()


def weights(separable):
    depthwise, pointwise = (layer.weight.detach().double().numpy() for layer in separable)
    return depthwise[:, 0], pointwise[:, :, 0, 0]


@pytest.mark.parametrize("relu_first", [True, False])
def test_the_entry_block(relu_first):
    torch.manual_seed(0)
    block = shaken(EntryBlock(2, 4, inner=3, relu_first=relu_first))
    x = torch.randn(1, 2, 5, 6)
    a = x[0].double().numpy()
    y = np.maximum(a, 0) if relu_first else a
    y = normalised(convolved(y, *weights(block.branch[1])), block.branch[2])
    y = normalised(convolved(np.maximum(y, 0), *weights(block.branch[4])), block.branch[5])
    projection = block.shortcut[0].weight.detach().double().numpy()[:, :, 0, 0]
    shortcut = np.einsum("oc,chw->ohw", projection, a[:, ::2, ::2])
    expected = normalised(shortcut, block.shortcut[1]) + pooled(y)
    with torch.no_grad():
        assert np.abs(block(x)[0].numpy() - expected).max() <= 1e-5


def test_the_middle_block():
    torch.manual_seed(0)
    block = shaken(MiddleBlock(2))
    x = torch.randn(1, 2, 3, 3)
    y = x[0].double().numpy()
    for i in range(3):
        separable, norm = block.branch[3 * i + 1], block.branch[3 * i + 2]
        y = normalised(convolved(np.maximum(y, 0), *weights(separable)), norm)
    with torch.no_grad():
        assert np.abs(block(x)[0].numpy() - (x[0].numpy() + y)).max() <= 1e-5


def sides(name, channels, size, **options):
    """The side of the maps behind each part of the body."""
    with torch.device("meta"):
        model = build(name, {"a": 7}, channels=channels, **options).eval()
        x = torch.zeros(2, channels, size, size)
    found = []
    with torch.no_grad():
        for part in model.body:
            x = part(x)
            found.append(x.shape[-1])
    return found


def test_the_maps_are_as_large_as_published():
    middle = [19] * 8
    exit_flow = [10] * 7
    assert sides("xception", 3, 299) == [149, 147, 74, 37, 19, *middle, *exit_flow]


@pytest.mark.parametrize(
    ("size", "stem_stride", "last"), [(48, 2, 2), (64, 2, 2), (48, 1, 3), (64, 1, 4), (7, 2, 1)]
)
def test_small_pictures(size, stem_stride, last):
    assert sides("xception", 1, size, stem_stride=stem_stride, middle=1)[-1] == last


def test_mini_xceptions_maps():
    assert sides("mini_xception", 1, 48) == [46, 44, 22, 11, 6, 3]
    assert sides("mini_xception", 1, 64) == [62, 60, 30, 15, 8, 4]

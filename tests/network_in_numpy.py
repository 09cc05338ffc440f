"""The layers of convolutional networks in plain NumPy, float64: to check networks against."""

import numpy as np
import torch

EPS = 1e-5


def disturbed(model, seed=0):
    """`model` in double precision and eval mode, no BatchNorm of which is at its start any more."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            n = module.num_features
            module.running_mean.copy_(torch.randn(n, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(n, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(n, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(n, generator=generator) * 0.1)
    return model.double().eval()


def weights(model):
    """The tensors of `model` as arrays by name."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def conv(x, w, name, stride=1, pad=0):
    """The convolution `name` of (n, c, h, w); depthwise where its weights have one channel."""
    kernel = w[name + ".weight"]
    side = kernel.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    if kernel.shape[1] == 1 < x.shape[1]:
        out = np.einsum("nchwij,cij->nchw", windows, kernel[:, 0])
    else:
        out = np.tensordot(windows, kernel, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return out + w[name + ".bias"][:, None, None] if name + ".bias" in w else out


def norm(x, w, name):
    """The BatchNorm `name` by its running statistics, channels on axis 1."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    mean, var, scale, bias = (
        w[f"{name}.{part}"].reshape(shape)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + EPS) * scale + bias


def linear(x, w, name):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def max_pool(x, side, stride):
    """Max-pooling without padding whose last windows may reach over the edge (ceil mode)."""
    rows = range(0, int(np.ceil((x.shape[2] - side) / stride)) * stride + 1, stride)
    columns = range(0, int(np.ceil((x.shape[3] - side) / stride)) * stride + 1, stride)
    return np.stack(
        [
            np.stack([x[:, :, r : r + side, c : c + side].max((2, 3)) for c in columns], axis=-1)
            for r in rows
        ],
        axis=-2,
    )

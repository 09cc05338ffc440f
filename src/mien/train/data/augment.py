"""Augmentation of whole batches of tensors.

Everything is drawn from one generator, so that a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class AugmentConfig:
    """How far training crops are moved about. Zero turns a part off."""

    flip: float = 0.5
    """Chance of mirroring left and right."""
    rotate: float = 12.0
    """Largest in-plane rotation, degrees either way."""
    shift: float = 0.08
    """Largest shift, as a part of the side."""
    scale: float = 0.12
    """Largest change of size, as a part of it."""
    brightness: float = 0.0
    """Largest change of brightness, as a part of the full range."""
    contrast: float = 0.0
    """Largest change of contrast, as a part of it."""
    gamma: float = 0.0
    """Largest logarithm of the exponent that bends the grey levels, either way."""
    blur: float = 0.0
    """Largest deviation of a Gaussian blur, pixels."""
    small: float = 0.0
    """Chance that a face is shown as if it had been seen a quarter to two thirds as large."""
    noise: float = 0.0
    """Largest deviation of Gaussian noise, grey levels of 255."""
    erase: float = 0.0
    """Chance of a grey rectangle over a tenth to a third of each side."""
    mixup: float = 0.0
    """Mixup's alpha: each face is averaged with another, in parts drawn of Beta(alpha, alpha)."""


def augment(x: Tensor, config: AugmentConfig, generator: Generator, size: int) -> Tensor:
    """Augmented copies, float (n, c, size, size), of crops `x`, float (n, c, h, w) in 0..255."""
    x = affine(x, config, generator, size)
    if config.blur:
        x = blur(x, config, generator)
    if config.small:
        x = shrink(x, config, generator)
    x = tone(x, config, generator)
    if config.gamma:
        x = bend(x, config, generator)
    if config.noise:
        x = noise(x, config, generator)
    return erase(x, config, generator) if config.erase else x


def affine(x: Tensor, config: AugmentConfig, generator: Generator, size: int) -> Tensor:
    """Mirror, rotate, scale and shift each crop by one bilinear resampling, borders replicated."""
    n, channels = x.shape[:2]
    turn, grow, dx, dy = _uniform((4, n), generator, x)
    angle = torch.deg2rad(turn * config.rotate)
    zoom = 1 + grow * config.scale
    mirror = 1 - 2 * (_uniform((n,), generator, x) < 2 * config.flip - 1).float()
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [
        torch.stack([mirror * cos, -sin, 2 * config.shift * dx], dim=1),
        torch.stack([mirror * sin, cos, 2 * config.shift * dy], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), [n, channels, size, size], align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "border", align_corners=False)


def tone(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Change each crop's contrast about its mean, then its brightness; kept within 0..255."""
    if not config.contrast and not config.brightness:
        return x
    gain, lift = _uniform((2, len(x), 1, 1, 1), generator, x)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + config.contrast * gain) + mean + 255 * config.brightness * lift
    return x.clamp(0, 255)


def blur(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Blur each crop with a Gaussian of its own, borders replicated; five pixels wide at most."""
    sigma = (1 + _uniform((len(x), 1, 1, 1), generator, x)) / 2 * config.blur
    one, two = (torch.exp(-d * d / (2 * sigma.clamp(min=1e-3) ** 2)) for d in (1, 2))
    whole = 1 + 2 * one + 2 * two
    for axis in (2, 3):
        n = x.shape[axis]
        y = F.pad(x, (2, 2, 0, 0) if axis == 3 else (0, 0, 2, 2), "replicate")
        a, b, c, d, e = (y.narrow(axis, i, n) for i in range(5))
        x = (c + one * (b + d) + two * (a + e)) / whole
    return x


def shrink(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Shrink some of the crops, all to one size, and enlarge them again: small faces, and blur."""
    n, side = len(x), x.shape[-1]
    chosen = (1 + _uniform((n,), generator, x)) / 2 < config.small
    part = 0.25 + 0.42 * float(torch.rand((), generator=generator))
    if not chosen.any():
        return x
    few = F.interpolate(
        x[chosen], (max(1, round(part * side)),) * 2, mode="bilinear", antialias=True
    )
    x = x.clone()
    x[chosen] = F.interpolate(few, (side, side), mode="bilinear", align_corners=False)
    return x


def bend(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Raise each crop's grey levels, as parts of 255, to a power of its own."""
    power = torch.exp(config.gamma * _uniform((len(x), 1, 1, 1), generator, x))
    return 255 * (x.clamp(0, 255) / 255) ** power


def noise(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Add Gaussian noise to each crop, of a deviation of its own; kept within 0..255."""
    sigma = (1 + _uniform((len(x), 1, 1, 1), generator, x)) / 2 * config.noise
    drawn = torch.randn(x.shape, generator=generator).to(x.device)
    return (x + sigma * drawn).clamp(0, 255)


def erase(x: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Lay a rectangle of the crop's own mean over some crops."""
    n, _, h, w = x.shape
    chance, height, width, top, left = (1 + _uniform((5, n, 1, 1), generator, x)) / 2
    height, width = (0.1 + 0.23 * height) * h, (0.1 + 0.23 * width) * w
    top, left = top * (h - height), left * (w - width)
    ys = torch.arange(h, device=x.device).view(1, h, 1)
    xs = torch.arange(w, device=x.device).view(1, 1, w)
    inside = (ys >= top) & (ys < top + height) & (xs >= left) & (xs < left + width)
    covered = (inside & (chance < config.erase)).unsqueeze(1)
    return torch.where(covered, x.mean(dim=(1, 2, 3), keepdim=True), x)


def _uniform(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    """Numbers in [-1, 1), drawn on the CPU so that every device sees the same."""
    return (torch.rand(shape, generator=generator) * 2 - 1).to(like.device)

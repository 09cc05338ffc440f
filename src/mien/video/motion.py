"""How face boxes move: a Kalman filter whose clock is seconds, not frames.

Four numbers are followed for each box, each by itself: the centre x and y, and the logarithms of
width and height. Each has a velocity that is pushed about at random and dies away (the integrated
Ornstein-Uhlenbeck process, Singer 1970): for a moment a face goes on as it went, later it is where
it stopped, and never flies off. The process is put into discrete steps exactly, so that what is
expected at a time does not depend on the number of steps on the way to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# Per x, y, log width, log height. Lengths are in sides of the face (root of the box's area).
_SPEED = np.array([2.0, 2.0, 0.3, 0.3])  # usual speed, standard deviation, per second
_PERSISTS = np.array([2.0, 2.0, 0.5, 0.5])  # seconds after which it has fallen to 1/e
_JITTER = np.array([0.04, 0.04, 0.05, 0.05])  # standard deviation of a detector's boxes


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is believed of n boxes at a moment."""

    mean: Doubles
    """(n, 4, 2): x, y (pixels), log width, log height, each with its change per second."""
    spread: Doubles
    """(n, 4, 2, 2): covariance of each; of x and y in sides of the face."""

    def __len__(self) -> int:
        """The number of boxes."""
        return len(self.mean)

    def pick(self, keep: NDArray[np.intp] | NDArray[np.bool_]) -> Estimate:
        """Those at the indices (or under the mask) `keep`."""
        return Estimate(self.mean[keep], self.spread[keep])

    def joined(self, other: Estimate) -> Estimate:
        """These boxes, and behind them the `other` ones."""
        mean = np.concatenate([self.mean, other.mean])
        return Estimate(mean, np.concatenate([self.spread, other.spread]))

    @property
    def boxes(self) -> Doubles:
        """(n, 4) x0 y0 x1 y1."""
        x, y, log_width, log_height = self.mean[:, :, 0].T
        half_width, half_height = np.exp(log_width) / 2, np.exp(log_height) / 2
        return np.column_stack([x - half_width, y - half_height, x + half_width, y + half_height])

    @property
    def doubt(self) -> Doubles:
        """(n,) standard deviation of where a detector will see the centre, in sides."""
        return np.asarray(np.sqrt(self.spread[:, 0, 0, 0] + _JITTER[0] ** 2))


def start(boxes: Doubles) -> Estimate:
    """What is believed of boxes (n, 4) seen for the first time: at rest, as far as is known."""
    mean = np.zeros((len(boxes), 4, 2))
    mean[:, :, 0] = _measured(boxes)
    spread = np.zeros((len(boxes), 4, 2, 2))
    spread[:, :, 0, 0] = _JITTER**2
    spread[:, :, 1, 1] = _SPEED**2
    return Estimate(mean, spread)


def advance(now: Estimate, seconds: float) -> Estimate:
    """What is to be expected `seconds` later, 0 or more."""
    a = seconds / _PERSISTS
    left = np.exp(-a)
    step = np.zeros((4, 2, 2))
    step[:, 0, 0] = 1
    step[:, 0, 1] = _PERSISTS * (1 - left)
    step[:, 1, 1] = left
    noise = np.empty((4, 2, 2))
    noise[:, 0, 0] = _PERSISTS**2 * (2 * a - 3 + 4 * left - left**2)
    noise[:, 0, 1] = noise[:, 1, 0] = _PERSISTS * (1 - left) ** 2
    noise[:, 1, 1] = 1 - left**2
    noise *= (_SPEED**2)[:, None, None]
    mean = (step @ now.mean[..., None])[..., 0]
    return Estimate(mean, step @ now.spread @ step.swapaxes(1, 2) + noise)


def correct(now: Estimate, boxes: Doubles, jitter: Doubles) -> Estimate:
    """What is believed once the boxes have been seen.

    Args:
        now: of n boxes, at the moment they are seen.
        boxes: (n, 4), where they are seen.
        jitter: (n,), how much more than usual a box may lie beside the truth; 1 is as usual.
    """
    noise = (_JITTER * jitter[:, None]) ** 2
    gain = now.spread[..., 0] / (now.spread[..., 0, 0] + noise)[..., None]
    off = _measured(boxes) - now.mean[..., 0]
    mean = now.mean + gain * off[..., None]
    spread = now.spread - gain[..., :, None] * now.spread[..., None, 0, :]
    return Estimate(mean, spread)


def _measured(boxes: Doubles) -> Doubles:
    """(n, 4): x, y, log width, log height; a box without area counts as a pixel wide."""
    sides = boxes[:, 2:] - boxes[:, :2]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.hstack([middles, np.log(np.maximum(sides, 1.0))])

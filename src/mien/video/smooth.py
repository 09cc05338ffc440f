"""Readings evened out over time, in seconds: the rate of the frames does not matter.

The raw readings are never changed; what is made here stands beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.video.reading import Reading

Doubles = NDArray[np.float64]

_GAP = 1.0
_KERNEL = 4.0  # standard deviations after which the Gaussian kernel ends
_TRACE = 1e-9  # seconds, or parts of one, that are only rounding


@dataclass(frozen=True, slots=True)
class _Level:
    t_sec: float
    probabilities: Doubles
    valence: float | None
    arousal: float | None


class Smoother:
    """Exponential smoothing of each face's readings, from those so far alone.

    A reading x that comes dt seconds after the one before moves the smoothed value s by
    (1 - exp(-dt / seconds)) (x - s). So after a step s has covered 63 % of it within `seconds`,
    whatever the frame rate. The first reading of a face is taken as it is.

    Args:
        seconds: the time constant; 0 smooths nothing.
        gap: after more seconds without a reading a face is begun anew.

    Raises:
        UsageError: a time below 0.
    """

    def __init__(self, seconds: float, *, gap: float = _GAP) -> None:
        _check(seconds=seconds, gap=gap)
        self._seconds, self._gap = seconds, gap
        self._levels: dict[int, _Level] = {}

    def update(self, reading: Reading) -> Reading:
        """The reading with smoothed values, its expression left open.

        Readings of all faces may come mixed, in the order of their times; faces not heard of for
        `gap` are forgotten, so that memory stays flat.

        Raises:
            UsageError: a reading is older than the one before of that face.
        """
        now = reading.t_sec
        _forget(self._levels, now, self._gap)
        last = self._levels.get(reading.face_id)
        probabilities = reading.probabilities.astype(np.float64)
        valence, arousal = reading.valence, reading.arousal
        if last is not None:
            weight = _weight(_since(last.t_sec, reading), self._seconds)
            probabilities = last.probabilities + weight * (probabilities - last.probabilities)
            valence = _towards(last.valence, valence, weight)
            arousal = _towards(last.arousal, arousal, weight)
        self._levels[reading.face_id] = _Level(now, probabilities, valence, arousal)
        return replace(
            reading,
            probabilities=probabilities.astype(np.float32),
            valence=valence,
            arousal=arousal,
            expression=None,
        )


@dataclass(frozen=True, slots=True)
class _Held:
    t_sec: float
    label: str
    rival: str | None = None
    since: float = 0.0


class LabelHold:
    """Each face's expression, which changes only when another one has led for a while.

    The expression of before stays until one and the same other label is the most probable of all,
    by `margin` over it, on every reading of `hold` seconds. The first label of a face is taken as
    it is.

    Args:
        margin: the lead in probability, 0 to 1.
        hold: for how many seconds; 0 changes at once.
        gap: after more seconds without a reading a face is begun anew.

    Raises:
        UsageError: a margin or a time out of range.
    """

    def __init__(self, margin: float = 0.1, hold: float = 0.2, *, gap: float = _GAP) -> None:
        _check(hold=hold, gap=gap)
        if not 0 <= margin <= 1:
            raise UsageError(f"margin must be from 0 to 1; got {margin}")
        self._margin, self._hold, self._gap = margin, hold, gap
        self._held: dict[int, _Held] = {}

    def update(self, reading: Reading) -> Reading:
        """The reading with its expression set. Mixed faces are welcome, as in `Smoother`.

        Raises:
            UsageError: a reading is older than the one before of that face.
        """
        _forget(self._held, reading.t_sec, self._gap)
        last = self._held.get(reading.face_id)
        held = self._after(last, reading)
        self._held[reading.face_id] = held
        return replace(reading, expression=held.label)

    def _after(self, last: _Held | None, reading: Reading) -> _Held:
        now = reading.t_sec
        top = reading.labels[int(reading.probabilities.argmax())]
        if last is None:
            return _Held(now, top)
        _since(last.t_sec, reading)
        lead = reading.probability(top) - reading.probability(last.label)
        if lead <= 0 or lead < self._margin - _TRACE:
            return _Held(now, last.label)
        since = last.since if top == last.rival else now
        if now - since >= self._hold - _TRACE:
            return _Held(now, top)
        return _Held(now, last.label, top, since)


def smooth_series(t: Doubles, values: Doubles, seconds: float, *, gap: float = _GAP) -> Doubles:
    """A whole series smoothed without delay, for what has been recorded: a Gaussian kernel.

    Every value counts for the time it stands for, half the way to its neighbours, so that uneven
    frames do no harm. Nothing is carried over a gap.

    Args:
        t: (n,) rising times in seconds.
        values: (n,) or (n, k).
        seconds: the kernel's standard deviation; 0 smooths nothing.
        gap: times further apart than this are smoothed apart.

    Returns:
        The smoothed values, of the shape of `values`, float64.

    Raises:
        UsageError: times that do not rise, other shapes, or a time below 0.
    """
    _check(seconds=seconds, gap=gap)
    t, values = np.asarray(t, np.float64), np.asarray(values, np.float64)
    if t.ndim != 1 or values.shape[:1] != t.shape or not (np.diff(t) > 0).all():
        raise UsageError("times must rise, and there must be a value, or a row of them, for each")
    if seconds == 0 or not len(t):
        return values.copy()
    breaks = np.flatnonzero(np.diff(t) > gap) + 1
    parts = zip(np.split(t, breaks), np.split(values, breaks), strict=True)
    return np.concatenate([_gaussian(when, what, seconds) for when, what in parts])


def _gaussian(t: Doubles, values: Doubles, seconds: float) -> Doubles:
    """`values` at the times `t` without gaps, smoothed."""
    if len(t) == 1:
        return values.copy()
    edges = np.concatenate([t[:1], (t[1:] + t[:-1]) / 2, t[-1:]])
    spans = np.diff(edges)
    first = np.searchsorted(t, t - _KERNEL * seconds)
    last = np.searchsorted(t, t + _KERNEL * seconds, side="right")
    smoothed = np.empty_like(values)
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        weights = spans[a:b] * np.exp(-0.5 * ((t[a:b] - t[i]) / seconds) ** 2)
        smoothed[i] = weights @ values[a:b] / weights.sum()
    return smoothed


def _check(**seconds: float) -> None:
    for name, value in seconds.items():
        if not 0 <= value < math.inf:
            raise UsageError(f"{name} must be 0 or more seconds; got {value}")


def _forget(known: dict[int, _Level] | dict[int, _Held], now: float, gap: float) -> None:
    for face_id in [i for i, last in known.items() if now - last.t_sec > gap + _TRACE]:
        del known[face_id]


def _since(before: float, reading: Reading) -> float:
    """Seconds since the reading before."""
    if not reading.t_sec >= before:
        raise UsageError(
            f"face {reading.face_id}: a reading at {reading.t_sec} s follows one at {before} s; "
            "readings must come in the order of their times"
        )
    return reading.t_sec - before


def _weight(seconds: float, constant: float) -> float:
    return -math.expm1(-seconds / constant) if constant > 0 else 1.0


def _towards(before: float | None, now: float | None, weight: float) -> float | None:
    """Part of the way from before to now; the latter itself where there is no before."""
    return now if before is None or now is None else before + weight * (now - before)

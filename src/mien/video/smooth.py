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

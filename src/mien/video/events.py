"""The spans of a video in which a person showed one expression, and how strongly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.video.reading import Reading

_FRAME = 1.0  # seconds a frame may last, where the video's frames do not usually last longer
_USUAL = 1.5  # and where they do, times the usual
_TRACE = 1e-9  # seconds that are only rounding


@dataclass(frozen=True, slots=True)
class Event:
    """A span of time in which a person showed one expression. Times are seconds."""

    face_id: int
    expression: str
    start: float
    end: float
    peak: float
    """The highest probability of the expression in the span."""
    peak_t: float
    peak_frame: int

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


@dataclass(slots=True)
class _Run:
    """Readings with one label in a row, and whatever short interruption was taken in."""

    label: str
    start: float
    end: float
    readings: list[Reading] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.end - self.start


def events(
    readings: Iterable[Reading],
    times: Iterable[float],
    *,
    shortest: float = 0.3,
    merge: float = 0.3,
) -> list[Event]:
    """The spans of one video, by start and then by person.

    A span runs from its first frame to the end of its last one, which is the time of the frame
    after that. (The last frame of all lasts as long as the one before it, and no frame longer than
    a second, unless the video's frames usually do: what is missing from a file is no expression.)
    Two spans of one expression become one if no more than `merge` seconds lie between, and no more
    than either of them lasts: other expressions, or frames without the person. A longer absence
    ends a span.

    Args:
        readings: of all people, with the expression they are to be known by.
        times: of all frames of the video, those without a face too.
        shortest: spans that are shorter, after merging, are left out; seconds.
        merge: the longest interruption to pass over; seconds.

    Raises:
        UsageError: a reading at a time that no frame has, two of one face on one frame, or
            `shortest` or `merge` below 0.
    """
    if not (shortest >= 0 and merge >= 0):
        raise UsageError(f"shortest and merge must be 0 or more; got {shortest} and {merge}")
    ends = _ends(times)
    found = []
    for own in _by_person(readings):
        runs = _merged(_runs(own, ends), merge)
        found += [e for e in map(_event, runs) if e and e.seconds >= shortest - _TRACE]
    return sorted(found, key=lambda e: (e.start, e.face_id))


def frame_lengths(starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many seconds each of the frames at the rising times `starts` (m,) counts for, (m,).

    Until the next one, but no longer than a second, or one and a half usual frames where these are
    longer: a hole in the file would otherwise count as seen. The last one counts like the one
    before it, and a single one for nothing.
    """
    steps = np.diff(starts)
    if not len(steps):
        return np.zeros(len(starts))
    longest = max(_FRAME, _USUAL * float(np.median(steps)))
    lengths: NDArray[np.float64] = np.minimum(np.append(steps, steps[-1]), longest)
    return lengths


def _ends(times: Iterable[float]) -> dict[float, tuple[int, float]]:
    """For the time of each frame, its number among them and when it ends."""
    starts = np.unique(np.fromiter(times, np.float64))
    ends = starts + frame_lengths(starts)
    told = zip(starts.tolist(), ends.tolist(), strict=True)
    return {start: (i, end) for i, (start, end) in enumerate(told)}


def _end(reading: Reading, ends: dict[float, tuple[int, float]]) -> tuple[int, float]:
    if reading.t_sec not in ends:
        raise UsageError(
            f"face {reading.face_id} is read at {reading.t_sec} s, but no frame is; "
            "give the times of all frames"
        )
    return ends[reading.t_sec]


def _by_person(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """The readings of each person, by id, in the order of time."""
    people: dict[int, list[Reading]] = {}
    for reading in readings:
        people.setdefault(reading.face_id, []).append(reading)
    for face_id in sorted(people):
        own = sorted(people[face_id], key=lambda r: r.t_sec)
        moments = [r.t_sec for r in own]
        if len(set(moments)) < len(moments):
            raise UsageError(f"face {face_id} is read twice on one frame")
        yield own


def _runs(own: Sequence[Reading], ends: dict[float, tuple[int, float]]) -> list[_Run]:
    """Readings of neighbouring frames with the same label, put together."""
    runs: list[_Run] = []
    before = -2
    for reading in own:
        number, end = _end(reading, ends)
        follows = number == before + 1 and reading.t_sec - runs[-1].end <= _TRACE
        if not (follows and reading.label == runs[-1].label):
            runs.append(_Run(reading.label, reading.t_sec, end))
        runs[-1].readings.append(reading)
        runs[-1].end, before = end, number
    return runs


def _merged(runs: Iterable[_Run], merge: float) -> list[_Run]:
    """The runs with short interruptions taken in."""
    kept: list[_Run] = []
    for run in runs:
        at = _partner(kept, run, merge)
        while at is not None:
            same = kept[at]
            same.readings += run.readings
            same.end = run.end
            del kept[at:]
            run = same
            at = _partner(kept, run, merge)
        kept.append(run)
    return kept


def _partner(kept: Sequence[_Run], run: _Run, merge: float) -> int | None:
    """Which earlier run goes on in `run`, or None."""
    for at in range(len(kept) - 1, -1, -1):
        other = kept[at]
        between = run.start - other.end
        if between > merge + _TRACE:
            return None
        if other.label == run.label and between <= min(other.seconds, run.seconds) + _TRACE:
            return at
    return None


def _event(run: _Run) -> Event | None:
    """The run as an event; None where the person was not seen on any of its frames."""
    seen = [reading for reading in run.readings if not reading.bridged]
    if not seen:
        return None
    best = max(seen, key=lambda r: r.probability(run.label))
    return Event(
        best.face_id,
        run.label,
        run.start,
        run.end,
        best.probability(run.label),
        best.t_sec,
        best.frame,
    )

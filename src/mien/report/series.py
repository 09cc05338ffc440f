"""One recording as plain arrays: who was seen when, and with which apparent expression.

A frame counts from its own time until the next one, with the limits of
`mien.video.events.frame_lengths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien.labels import EIGHT
from mien.video import events

Reals = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

LABELS = len(EIGHT)


@dataclass(frozen=True)
class Person:
    """The n rows of one face id, in the order of their frames.

    In a table of photos ids mean nothing from one photo to the next: all faces are one `Person`
    there, whose `face_id` is None.
    """

    face_id: int | None
    t: Reals
    """(n,) seconds of the source's clock; NaN for photos."""
    frame: Ints
    """(n,) frame numbers; for photos the number of the photo."""
    probabilities: Reals
    """(n, 8) as the model gave them, columns as in `mien.labels.EIGHT`."""
    smoothed: Reals | None
    """(n, 8), or None where the table has no smoothed values."""
    shown: Ints
    """(n,) the expression told, as an index into EIGHT: the smoothed one where there is one."""
    bridged: Bools
    """(n,) true where the row was filled in between two sightings."""
    boxes: Reals
    """(n, 4) x0 y0 x1 y1 in pixels; NaN where the table has none."""
    valence: Reals | None = None
    """(n,) in -1..1, smoothed where the table has that; NaN where unknown; None without a head."""
    arousal: Reals | None = None

    @property
    def values(self) -> Reals:
        """(n, 8): the smoothed probabilities where there are any, else the raw ones."""
        return self.probabilities if self.smoothed is None else self.smoothed

    @property
    def name(self) -> str:
        """How a page calls the person: a number, which identifies nobody."""
        return "All faces" if self.face_id is None else f"Person {self.face_id}"


@dataclass(frozen=True)
class Break:
    """A stretch of the source that could not be read. For photos the times are NaN."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True)
class Recording:
    """All that a table says of one video, or of a set of photos."""

    source: str
    model: str
    frame: Ints
    """(m,) the numbers of the frames that were read, rising."""
    t: Reals
    """(m,) their times, rising; NaN for photos."""
    persons: tuple[Person, ...]
    """By face id."""
    breaks: tuple[Break, ...] = ()
    lengths: Reals = field(default_factory=lambda: np.zeros(0))
    """(m,) how many seconds each frame counts for; 1 for a photo."""

    @cached_property
    def timed(self) -> bool:
        """Whether this is a video; photos have no times."""
        return bool(len(self.t)) and not np.isnan(self.t).any()

    @cached_property
    def start(self) -> float:
        """The first frame's time, seconds."""
        return float(self.t[0]) if self.timed else 0.0

    @cached_property
    def end(self) -> float:
        """When the last frame stops counting, seconds."""
        return float(self.t[-1] + self.lengths[-1]) if self.timed else 0.0

    @cached_property
    def duration(self) -> float:
        """Seconds from `start` to `end`; 0 for photos."""
        return self.end - self.start

    @cached_property
    def with_face(self) -> int:
        """How many frames (or photos) had a face that was seen, not bridged."""
        seen = [person.frame[~person.bridged] for person in self.persons]
        return len(np.unique(np.concatenate(seen))) if seen else 0

    def place(self, person: Person) -> Ints:
        """(n,) where each of the person's rows stands in `frame`."""
        return np.searchsorted(self.frame, person.frame)

    def row_lengths(self, person: Person) -> Reals:
        """(n,) the seconds (photos: ones) that each of the person's rows counts for."""
        return self.lengths[self.place(person)]


@dataclass(frozen=True)
class Shares:
    """The time of one person by expression, of the time that the person was seen."""

    seconds: Reals
    """(8,) seconds, or numbers of faces for photos."""
    seen: float
    """The denominator: seconds seen, bridged rows left out. The sum of `seconds`."""
    bridged: float
    """Seconds filled in; they are in no share."""

    @property
    def parts(self) -> Reals:
        """(8,) shares that sum to one; zeros for somebody never seen."""
        parts: Reals = self.seconds / (self.seen or 1.0)
        return parts


@dataclass(frozen=True)
class Columns:
    """Neighbouring frames put together, so that a long recording can be drawn."""

    start: Reals
    """(c,) seconds."""
    end: Reals
    """(c,) seconds."""
    of_frame: Ints
    """(m,) the column of each frame."""

    @property
    def width(self) -> float:
        """The usual width of a column in seconds."""
        return float(np.median(self.end - self.start)) if len(self.start) else 0.0


@dataclass(frozen=True)
class Bins:
    """A person's means by column. Columns in which the person was hardly there are left out."""

    column: Ints
    """(k,) which column, rising."""
    t: Reals
    """(k,) the time of the column's middle row."""
    frame: Ints
    """(k,) that row's frame."""
    probabilities: Reals
    """(k, 8) means of `Person.values`; rows sum to one."""
    shown: Ints
    """(k,) the expression told for most of the column's time."""
    raw: Ints
    """(k,) the expression that leads in the mean of the unsmoothed probabilities."""
    bridged: Bools
    """(k,) whether most of that time was filled in."""
    valence: Reals | None
    arousal: Reals | None


@dataclass(frozen=True)
class Span:
    """An unbroken stretch with one expression."""

    start: float
    end: float
    expression: int
    """An index into EIGHT."""
    bridged: bool


def frame_lengths(t: Reals) -> Reals:
    """How long each of the frames at the times `t` (m,) counts, in seconds.

    A photo (NaN) counts as one, a frame of a video as in `mien.video.events`.
    """
    return np.ones(len(t)) if np.isnan(t).any() else events.frame_lengths(t)


def shares(recording: Recording, person: Person) -> Shares:
    """The time of each expression, of the time that the person was seen."""
    lengths = recording.row_lengths(person)
    seen = np.where(person.bridged, 0.0, lengths)
    seconds: Reals = np.bincount(person.shown, seen, LABELS).astype(np.float64)
    return Shares(seconds, float(seconds.sum()), float(lengths.sum() - seen.sum()))


def columns(recording: Recording, limit: int) -> Columns:
    """At most `limit` columns over the whole recording; a column a frame where that is enough."""
    t, lengths = recording.t, recording.lengths
    if len(t) <= limit:
        return Columns(t, t + lengths, np.arange(len(t)))
    edges = np.linspace(recording.start, recording.end, limit + 1)
    rough = np.searchsorted(edges, t + 1e-9, side="right") - 1  # a rounded time is not early
    _, first, of_frame = np.unique(rough, return_index=True, return_inverse=True)
    last = np.append(first[1:], len(t)) - 1
    return Columns(t[first], t[last] + lengths[last], of_frame.astype(np.intp))


def bins(recording: Recording, person: Person, by: Columns) -> Bins:
    """The person's means by column, weighted by time.

    A column counts where the person was there for at least half of its frames' time.
    """
    place, lengths = recording.place(person), recording.row_lengths(person)
    column, count = by.of_frame[place], len(by.start)
    whole = np.bincount(by.of_frame, weights=recording.lengths, minlength=count)
    there = np.bincount(column, weights=lengths, minlength=count)
    kept = np.flatnonzero((there > 0) & (there >= 0.5 * whole))

    def mean(values: Reals) -> Reals:
        known = ~np.isnan(values)
        weights = np.where(known, lengths, 0.0)
        total = np.bincount(column, weights=weights * np.where(known, values, 0), minlength=count)
        weight = np.bincount(column, weights=weights, minlength=count)[kept]
        weight = np.where(weight > 0, weight, np.nan)
        means: Reals = total[kept] / weight
        return means

    told = np.bincount(column * LABELS + person.shown, lengths, count * LABELS)
    first = np.searchsorted(column, kept)
    middle = (first + np.searchsorted(column, kept, side="right") - 1) // 2
    raw = np.stack([mean(p) for p in person.probabilities.T], axis=1)
    return Bins(
        column=kept,
        t=person.t[middle],
        frame=person.frame[middle],
        probabilities=np.stack([mean(p) for p in person.values.T], axis=1),
        shown=told.reshape(count, LABELS)[kept].argmax(axis=1),
        raw=raw.argmax(axis=1),
        bridged=mean(person.bridged.astype(np.float64)) > 0.5 + 1e-6,
        valence=None if person.valence is None else mean(person.valence),
        arousal=None if person.arousal is None else mean(person.arousal),
    )


def stretches(found: Bins, by: Columns) -> list[slice]:
    """Slices of `found` whose columns follow each other without a gap in time."""
    if not len(found.column):
        return []
    start, end = by.start[found.column], by.end[found.column]
    apart = start[1:] > end[:-1] + 1e-6
    cuts = np.flatnonzero((np.diff(found.column) > 1) | apart) + 1
    edges = [0, *cuts.tolist(), len(found.column)]
    return [slice(a, b) for a, b in pairwise(edges)]


def spans(found: Bins, by: Columns, *, raw: bool = False) -> list[Span]:
    """Stretches of one expression (of the unsmoothed one where `raw`), in order."""
    told = found.raw if raw else found.shown
    return list(_spans(told, found, by))


def _spans(told: Ints, found: Bins, by: Columns) -> Iterator[Span]:
    start, end = by.start[found.column], by.end[found.column]
    for part in stretches(found, by):
        kind = 2 * told[part] + found.bridged[part]
        cuts = (np.flatnonzero(np.diff(kind)) + 1 + part.start).tolist()
        edges = [part.start, *cuts, part.stop]
        for a, b in pairwise(edges):
            yield Span(float(start[a]), float(end[b - 1]), int(told[a]), bool(found.bridged[a]))


def gaps(found: Bins, by: Columns, recording: Recording) -> list[tuple[float, float]]:
    """The stretches (start, end) in seconds in which the person was not there."""
    start, end = by.start[found.column], by.end[found.column]
    parts = stretches(found, by)
    there = [(float(start[p.start]), float(end[p.stop - 1])) for p in parts]
    edges = [recording.start, *(t for pair in there for t in pair), recording.end]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(a, b) for a, b in pairs if b > a + 1e-6]

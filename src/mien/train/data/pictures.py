"""Many picture files become one array of crops; what cannot be read is named in one error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UnreadableError
from mien.faces.crop import RECIPES, CropRecipe, cut, resize, to_grey
from mien.faces.detect import load_detector
from mien.io.images import read_image
from mien.types import Floats, Frame, Image

_SHOWN = 20

Locate = Callable[[Frame], Floats]
"""Where the face of a frame is: one box (4,) x0 y0 x1 y1 in pixels of the full picture.

It raises `UnreadableError` where there is none.
"""


def read_crops(
    root: Path,
    paths: Sequence[Path],
    size: int,
    *,
    colour: bool,
    boxes: Floats | Locate | None = None,
    recipe: CropRecipe = RECIPES["whole-v1"],
) -> Image:
    """The pictures at `paths` as crops (n, size, size), or (n, size, size, 3) with `colour`.

    Args:
        root: the data set's folder, which the error names.
        paths: the picture files.
        size: side of the crops in pixels.
        colour: RGB; otherwise grey.
        boxes: what to cut out: one box (x0, y0, x1, y1) a picture, (n, 4), in its pixels, or a
            function that finds it. None takes the pictures for crops: wide ones are cut to a
            centred square.
        recipe: how the crop lies around a box; by default the box is the crop.

    Raises:
        DataError: pictures that are missing or damaged; the first 20 of them are named.
    """

    def crop_of(i: int, frame: Frame) -> Image:
        box = boxes(frame) if callable(boxes) else None if boxes is None else boxes[i]
        return _square(frame.rgb, size) if box is None else _cut(frame, box, size, recipe)

    return _read(root, paths, size, colour, crop_of)[0]


def read_found(
    root: Path, paths: Sequence[Path], size: int, *, colour: bool, detector: str, recipe: CropRecipe
) -> tuple[Image, NDArray[np.bool_]]:
    """The best face that a detector finds in each of the pictures, cropped as at run time.

    Args:
        root: the data set's folder, which the error names.
        paths: the picture files.
        size: side of the crops in pixels.
        colour: RGB; otherwise grey.
        detector: a name that `mien.faces.detect.load_detector` knows.
        recipe: how the crop lies around the box.

    Returns:
        The crops of the m faces, as `read_crops` gives them, and in which of the n pictures one
        was found, (n,).

    Raises:
        DataError: pictures that are missing or damaged.
    """
    find = load_detector(detector, max_faces=1)

    def crop_of(i: int, frame: Frame) -> Image | None:
        faces = find(frame.rgb)
        if not len(faces):
            return None
        return _cut(frame, faces.boxes[0] / np.float32(frame.scale), size, recipe)

    crops, found = _read(root, paths, size, colour, crop_of)
    return crops[found], found


def _read(
    root: Path,
    paths: Sequence[Path],
    size: int,
    colour: bool,
    crop_of: Callable[[int, Frame], Image | None],
) -> tuple[Image, NDArray[np.bool_]]:
    """The crop of each picture, and for which of them `crop_of` gave one."""
    crops = np.zeros((len(paths), size, size, *((3,) if colour else ())), np.uint8)
    found, failed = np.zeros(len(paths), bool), []
    for i, path in enumerate(paths):
        try:
            crop = crop_of(i, read_image(path))
        except UnreadableError as error:
            failed.append(str(error))
            continue
        if crop is not None:
            crops[i], found[i] = crop if colour else to_grey(crop), True
    if failed:
        shown = "\n  ".join(failed[:_SHOWN])
        raise DataError(
            f"{root}: {len(failed)} of {len(paths)} pictures cannot be read; "
            f"copy the data set again, or leave them out:\n  {shown}"
        )
    return crops, found


def _cut(frame: Frame, box: Floats, size: int, recipe: CropRecipe) -> Image:
    one = np.asarray(box, np.float32)[None]
    crop: Image = cut(frame.rgb, one, size=size, recipe=recipe, scale=frame.scale)[0]
    return crop


def _square(rgb: Image, size: int) -> Image:
    h, w = rgb.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    crop: Image = resize(rgb[None, top : top + side, left : left + side], size)[0]
    return crop


def landmark_box(points: Floats) -> Floats:
    """EmoNet's square (4,) around landmarks (n, 2), usually the 68 of Sagonas et al. 2013.

    Its centre is that of the landmarks' bounding box, its side ``200 (w + h) / 220``, 0.909 times
    the sum of that box's sides [found: face-analysis/emonet].
    """
    low, high = points.min(axis=0), points.max(axis=0)
    half = 100 * (high - low).sum() / 220
    centre = (low + high) / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)

"""Any folder of faces, one sub-folder per expression, named by any spelling mien knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.errors import DataError, UnreadableError, UsageError
from mien.faces.crop import resize, to_grey
from mien.io.images import read_image
from mien.io.sources import expand
from mien.labels import EIGHT, canonical
from mien.train.data.rows import Rows, one_hot
from mien.types import Image

HEAD = "ferplus"


def read(root: Path, size: int, colour: bool = False) -> Rows:
    """Read ``root/<expression>/*`` as grey crops (n, size, size) with the eight-class head.

    The pictures are taken to be crops of faces already; wide ones are cut to a centred square.
    With `colour` they are RGB, (n, size, size, 3).

    Raises:
        DataError: no such folders, a folder whose name is no expression, or pictures that cannot
            be read (all of them are named).
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected {root}/<expression>/*.jpg")
    images, codes, names, failed = [], [], [], []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        code = _code(folder)
        for path in expand([folder]):
            try:
                images.append(_face(Path(str(path)), size, colour))
            except UnreadableError as error:
                failed.append(str(error))
                continue
            codes.append(code)
            names.append(str(Path(str(path)).relative_to(root)))
    if failed:
        shown = "\n  ".join(failed[:20])
        raise DataError(f"{root}: {len(failed)} pictures cannot be read:\n  {shown}")
    if not images:
        raise DataError(f"{root}: no pictures; expected {root}/<expression>/*.jpg")
    target = one_hot(np.array(codes, np.intp), len(EIGHT))
    return Rows(np.stack(images), {HEAD: target}, {HEAD: EIGHT}, tuple(names))


def _code(folder: Path) -> int:
    try:
        return EIGHT.index(canonical(folder.name))
    except UsageError as error:
        raise DataError(f"{folder}: {error}") from error


def _face(path: Path, size: int, colour: bool) -> Image:
    rgb = read_image(path).rgb
    h, w = rgb.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = rgb[top : top + side, left : left + side]
    crop: Image = resize(square[None], size)[0]
    return crop if colour else to_grey(crop)

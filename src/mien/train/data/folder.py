"""Any folder of faces, one sub-folder per expression, named by any spelling mien knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.errors import DataError, UsageError
from mien.io.sources import expand
from mien.labels import EIGHT, canonical
from mien.train.data.pictures import read_crops
from mien.train.data.rows import Rows, one_hot

HEAD = "ferplus"


def read(root: Path, size: int, colour: bool = False) -> Rows:
    """Read ``root/<expression>/*`` as grey crops (n, size, size) with the eight-class head.

    The pictures are taken to be crops of faces already; wide ones are cut to a centred square.
    With `colour` they are RGB, (n, size, size, 3). An empty folder is a class without faces.

    Raises:
        DataError: no such folders, a folder whose name is no expression, or pictures that cannot
            be read (the first 20 of them are named).
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected {root}/<expression>/*.jpg")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    codes, paths = [], []
    for folder, code in zip(folders, [_code(folder) for folder in folders], strict=True):
        found = [Path(path) for path in expand([folder]) if isinstance(path, str)]
        paths.extend(found)
        codes.extend([code] * len(found))
    if not paths:
        raise DataError(f"{root}: no pictures; expected {root}/<expression>/*.jpg")
    images = read_crops(root, paths, size, colour=colour)
    target = one_hot(np.array(codes, np.intp), len(EIGHT))
    names = tuple(str(path.relative_to(root)) for path in paths)
    return Rows(images, {HEAD: target}, {HEAD: EIGHT}, names)


def _code(folder: Path) -> int:
    try:
        return EIGHT.index(canonical(folder.name))
    except UsageError as error:
        raise DataError(f"{folder}: {error}") from error

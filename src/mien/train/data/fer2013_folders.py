"""FER2013 as folders of pictures, ``train/<class>/*`` and ``test/<class>/*``.

The copies differ in what they call test: Kaggle's hold PublicTest and PrivateTest together (7,178
faces), or PrivateTest alone. The pictures do not tell, so it is the split "test" here, and a copy
is never asked for "PrivateTest". "Training" is ``train``; "PublicTest" is ``validation`` or
``val`` where there is one, else ``test``: then a run is watched on faces that others test on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mien.errors import DataError
from mien.labels import SEVEN
from mien.train.data import folder
from mien.train.data.rows import Rows

#: The folders that may hold a split, the first that is there is taken.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
    "Training": ("train", "training"),
    "PublicTest": ("validation", "val", "valid", "test"),
}


def is_copy(root: Path) -> bool:
    """Whether `root` holds a folder of any split."""
    known = {name for names in FOLDERS.values() for name in names}
    return root.is_dir() and not known.isdisjoint(_folders(root))


def read(root: Path, split: str, size: int) -> Rows:
    """Read one split of the copy in `root` as grey crops (n, size, size), head ``fer2013`` alone.

    Args:
        root: the folder that holds ``train`` and the others, spelled in either case.
        split: a key of `FOLDERS`.
        size: side of the crops in pixels.

    Raises:
        DataError: no such split, a class that FER2013 does not have, pictures that cannot be read.
    """
    found = _folders(root)
    path = next((found[name] for name in FOLDERS.get(split, ()) if name in found), None)
    if path is None:
        there = ", ".join(sorted(p.name for p in found.values()))
        raise DataError(
            f"{root}: no split {split!r} among the folders {there}; "
            f"a folder copy can be asked for {', '.join(FOLDERS)}"
        )
    rows = folder.read(path, size)
    target = rows.targets[folder.HEAD]
    if target[:, len(SEVEN) :].any():
        raise DataError(f"{path}: FER2013 has no contempt; read such folders with reader: folder")
    seven = target[:, : len(SEVEN)].copy()
    return Rows(rows.images, {"fer2013": seven}, {"fer2013": SEVEN}, rows.names)


def _folders(root: Path) -> dict[str, Path]:
    return {p.name.lower(): p for p in root.iterdir() if p.is_dir()}

"""Where a data set lies: in a folder that holds several under their usual names, or by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mien.errors import DataError
from mien.train.data import fer2013
from mien.train.data.fer2013_folders import is_copy

DataSet = Literal["fer2013", "ckplus", "affectnet"]

#: The usual name of each set's folder.
USUAL: Mapping[DataSet, str] = {"fer2013": "fer2013", "ckplus": "CK+48", "affectnet": "affectnet"}

_EXPECTED: Mapping[DataSet, str] = {
    "fer2013": "fer2013/fer2013.csv",
    "ckplus": "CK+48/<expression>/*.png",
    "affectnet": "affectnet/val_set/images and affectnet/val_set/annotations",
}


def find(root: Path, name: DataSet) -> Path:
    """The folder of the data set `name`: in `root` under its usual name, or `root` itself.

    Raises:
        DataError: it is in neither.
    """
    for folder in (root / USUAL[name], root):
        if _is(folder, name):
            return folder
    raise DataError(
        f"{root}: this needs {name}, expected at {root / _EXPECTED[name]} (or --data at the set "
        "itself); docs/reproduce.md says how the sets are laid out"
    )


def at_home(root: Path, reader: str) -> Path:
    """The folder in `root` where a reader's set lies under its usual name; else `root` itself.

    So a folder of several sets can be named where one of them is read, and the set itself, too.
    """
    for name, usual in USUAL.items():
        if name == reader and _is(root / usual, name):
            return root / usual
    return root


def _is(folder: Path, name: DataSet) -> bool:
    if name == "fer2013":
        return any((folder / n).is_file() for n in fer2013.CSV_NAMES) or is_copy(folder)
    if name == "ckplus":
        marks = ("CK+48", "surprise", "cohn-kanade-images", "ckextended.csv")
        return any((folder / mark).exists() for mark in marks)
    return (folder / "val_set").is_dir() or (folder / "Manually_Annotated_file_lists").is_dir()

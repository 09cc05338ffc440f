"""FER2013 (Goodfellow et al. 2013), joined with FER+ votes where they lie beside it.

The forms people have are all read: Kaggle's ``fer2013.csv`` and ``icml_face_data.csv`` (the same
columns in another order, with spaces in front of their names), either gzipped, and the folder
copies ``train/<class>/*`` and ``test/<class>/*`` (see `mien.train.data.fer2013_folders`). In the
files 0-6 mean anger, disgust, fear, happiness, sadness, surprise, neutral; folders are mapped by
name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.labels import EIGHT, FER2013_CODES, SEVEN
from mien.train.data import fer2013_folders, ferplus
from mien.train.data.rows import Rows, one_hot
from mien.train.data.splits import check_fold
from mien.train.data.tables import csv_rows
from mien.types import Floats, Image

SIDE = 48
SPLITS = ("Training", "PublicTest", "PrivateTest")
CSV_NAMES = ("fer2013.csv", "fer2013.csv.gz", "icml_face_data.csv", "icml_face_data.csv.gz")
VOTES_NAMES = ("fer2013new.csv", "fer2013new.csv.gz")
LABELS = {"fer2013": SEVEN, "ferplus": EIGHT}


@dataclass(frozen=True)
class Table:
    """All rows of the CSV, in the file's order."""

    images: Image  # (n, 48, 48)
    codes: NDArray[np.intp]  # (n,) index into SEVEN
    usage: NDArray[np.str_]  # (n,) one of SPLITS
    votes: Floats | None  # (n, 10) FER+ counts


def read(
    root: Path,
    splits: Sequence[str],
    *,
    votes: ferplus.Rule = "crossentropy",
    relabel: float = 0.0,
    held_out: int = 0,
    fold: int = 0,
) -> list[Rows]:
    """Read the `splits` of FER2013 under `root`: `Rows` with the heads ``fer2013``, ``ferplus``.

    Args:
        root: the folder that holds one of `CSV_NAMES` (and ``fer2013new.csv`` for FER+ votes), or
            such a file itself; or a folder copy, which has no votes.
        splits: names out of `SPLITS`; a folder copy has "train", "test" and "validation", too.
        votes: how votes become training targets; the other splits always use "majority". A face
            that FER+ gives no target keeps its FER2013 label.
        relabel: this part of each training face's FER2013 target is what faces with its votes are
            usually labelled (`ferplus.usual_labels`), the rest is its own label.
        held_out: to train on PublicTest, too: of its faces, in the file's order, every so-manieth
            stays in "PublicTest", and the others join "Training". 0 leaves the splits as they are.
        fold: which of them stay, from 0, the first, to held_out - 1: for cross-validation.

    Raises:
        DataError: no such file, a row that is not as it should be, an empty split.
        UsageError: `held_out` of a folder copy, or a `held_out` or `fold` that is none.
    """
    check_fold(held_out, fold)
    if _find(root, CSV_NAMES) is None and fer2013_folders.is_copy(root):
        if held_out:
            raise UsageError(f"{root}: held_out divides the PublicTest of fer2013.csv, not folders")
        return [fer2013_folders.read(root, split, SIDE) for split in splits]
    table = read_csv(root)
    if held_out:
        table = replace(table, usage=_dealt(table.usage, held_out, fold))
    return [
        _split(table, split, votes, relabel) if split == "Training" else _split(table, split)
        for split in splits
    ]


def _dealt(usage: NDArray[np.str_], held_out: int, fold: int) -> NDArray[np.str_]:
    """The splits (n,) when PublicTest's faces are "Training", but for those of the `fold`."""
    faces = np.flatnonzero(usage == "PublicTest")
    dealt = usage.copy()
    dealt[faces[np.arange(len(faces)) % held_out != fold]] = "Training"
    return dealt


def _split(table: Table, split: str, rule: ferplus.Rule = "majority", relabel: float = 0.0) -> Rows:
    if split not in SPLITS:
        raise DataError(f"FER2013 has no split {split!r}; it has {', '.join(SPLITS)}")
    at = np.flatnonzero(table.usage == split)
    if not len(at):
        raise DataError(f"no rows of the split {split!r} in the FER2013 file")
    targets = {"fer2013": one_hot(table.codes[at], len(SEVEN))}
    if table.votes is not None:
        targets["ferplus"] = ferplus.targets(table.votes[at], rule)
    if relabel:
        if table.votes is None:
            raise DataError("relabel needs FER+ votes: put fer2013new.csv beside fer2013.csv")
        usual = ferplus.usual_labels(table.votes[at], table.codes[at], len(SEVEN))
        targets["fer2013"] = (1 - relabel) * targets["fer2013"] + relabel * usual
    names = tuple(f"row {i}" for i in at)
    return Rows(table.images[at], targets, {h: LABELS[h] for h in targets}, names)


def read_csv(root: Path) -> Table:
    """Read the CSV under `root`, or `root` itself, and the FER+ votes beside it, if any."""
    path = _find(root, CSV_NAMES)
    if path is None:
        raise DataError(f"{root}: expected one of {', '.join(CSV_NAMES)} or train/<class>/ there")
    images, codes, usage = [], [], []
    for line, emotion, pixels, split in records(path):
        images.append(read_pixels(path, line, pixels))
        codes.append(_code(path, line, emotion))
        usage.append(split)
    if not images:
        raise DataError(f"{path}: no rows below the header")
    votes_path = _find(path.parent, VOTES_NAMES)
    votes = None if votes_path is None else read_votes(votes_path, usage)
    return Table(np.stack(images), np.array(codes, np.intp), np.array(usage), votes)


def read_votes(path: Path, usage: Sequence[str]) -> Floats:
    """FER+ vote counts (n, 10), row by row those of the FER2013 file whose splits are `usage`."""
    rows = list(csv_rows(path))
    wanted = ["Usage", "Image name", *EIGHT, "unknown", "NF"]
    if not rows or [c.strip() for c in rows[0][1]] != wanted:
        raise DataError(f"{path}: expected the header {','.join(wanted)}")
    if len(rows) - 1 != len(usage):
        raise DataError(f"{path}: {len(rows) - 1} rows, but the faces beside it have {len(usage)}")
    votes = np.zeros((len(usage), ferplus.VOTES), np.float32)
    for i, ((line, row), split) in enumerate(zip(rows[1:], usage, strict=True)):
        if len(row) != len(wanted) or row[0] != split:
            raise DataError(f"{path}, line {line}: expected {split!r} and {len(wanted)} columns")
        if not all(cell.isdigit() for cell in row[2:]):
            raise DataError(f"{path}, line {line}: the votes are not whole numbers")
        votes[i] = [int(cell) for cell in row[2:]]
    return votes


def _find(root: Path, names: Sequence[str]) -> Path | None:
    if root.is_file():
        return root
    return next((root / name for name in names if (root / name).is_file()), None)


def records(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """The line, emotion, pixels and split of each row, whatever the order of the columns."""
    rows = csv_rows(path)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    missing = {"emotion", "pixels", "Usage"} - set(header)
    if missing:
        raise DataError(f"{path}: expected columns emotion, pixels, Usage; found {header[:5]}")
    at = [header.index(name) for name in ("emotion", "pixels", "Usage")]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} columns, expected {len(header)}")
        emotion, pixels, split = (row[i].strip() for i in at)
        if split not in SPLITS:
            raise DataError(f"{path}, line {line}: Usage is {split!r}, expected one of {SPLITS}")
        yield line, emotion, pixels, split


def read_pixels(path: Path, line: int, text: str) -> Image:
    """The picture (48, 48) of one row's pixels; `path` and `line` are named in errors."""
    try:
        with warnings.catch_warnings():  # NumPy before 2.4 only warns of what is not a number
            warnings.simplefilter("error", DeprecationWarning)
            values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise DataError(f"{path}, line {line}: pixels are not whole numbers ({error})") from error
    if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise DataError(f"{path}, line {line}: expected {SIDE * SIDE} pixels of 0-255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _code(path: Path, line: int, text: str) -> int:
    if text not in ("0", "1", "2", "3", "4", "5", "6"):
        raise DataError(f"{path}, line {line}: emotion is {text!r}, expected 0-6")
    return SEVEN.index(FER2013_CODES[int(text)])

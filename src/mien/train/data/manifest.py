"""Any pictures that a table lists: heads ``ferplus`` (or another name) and ``affect``.

A CSV or Parquet table with the columns ``path`` and ``label``, and where they are known
``valence``, ``arousal``, ``subject`` and ``split``. Paths are relative to the table. Labels are
expressions in any spelling that mien knows; an empty one means that it is unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError, MissingExtraError, UsageError
from mien.labels import EIGHT, canonical
from mien.train.data.pictures import read_crops
from mien.train.data.rows import AFFECT, AFFECT_LABELS, Rows, one_hot
from mien.train.data.splits import choose

NAMES = ("manifest.csv", "manifest.parquet")
REQUIRED = ("path", "label")
OPTIONAL = ("valence", "arousal", "subject", "split")


def read(
    root: Path,
    splits: Sequence[str],
    *,
    size: int = 48,
    colour: bool = False,
    head: str = "ferplus",
) -> list[Rows]:
    """Read the `splits` of the table `root`, or of ``manifest.csv`` or ``.parquet`` in it.

    The rows' head `head` has the labels of `mien.labels.EIGHT`; with columns ``valence`` and
    ``arousal`` they have the head ``affect`` (n, 2), too, NaN where a cell is empty.

    Args:
        root: the table, or its folder.
        splits: values of the column ``split``; without that column "all", "train-1/10",
            "test-1/10" and so on (`mien.train.data.splits`).
        size: side of the crops in pixels. The pictures are taken to be crops of faces already.
        colour: RGB; otherwise grey.
        head: what to call the classes' head.

    Raises:
        DataError: no such table or column, a cell that is not as it should be, pictures that
            cannot be read, no such split.
    """
    path = root if root.is_file() else next((root / n for n in NAMES if (root / n).is_file()), None)
    if path is None:
        raise DataError(f"{root}: expected {' or '.join(NAMES)} there, columns path and label")
    table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    if missing := [name for name in REQUIRED if name not in table]:
        raise DataError(f"{path}: no column {' and none '.join(missing)}; found {', '.join(table)}")
    if ("valence" in table) != ("arousal" in table):
        raise DataError(f"{path}: one of the columns valence and arousal without the other")
    if not table["path"]:
        raise DataError(f"{path}: no rows")
    if "split" not in table:
        whole = _rows(path, table, range(len(table["path"])), size, colour, head)
        return [choose(whole, split, head) for split in splits]
    return [
        _rows(path, table, _of_split(path, table, split), size, colour, head) for split in splits
    ]


def _of_split(path: Path, table: Mapping[str, list[str]], split: str) -> list[int]:
    at = [i for i, told in enumerate(table["split"]) if told == split]
    if not at:
        there = ", ".join(sorted(set(table["split"])))
        raise DataError(f"{path}: no rows of the split {split!r}; it has {there}")
    return at


def _rows(
    path: Path,
    table: Mapping[str, list[str]],
    at: Sequence[int],
    size: int,
    colour: bool,
    head: str,
) -> Rows:
    codes = np.array([_code(path, i, table["label"][i]) for i in at], np.intp)
    targets, labels = {head: one_hot(codes, len(EIGHT))}, {head: EIGHT}
    if "valence" in table:
        pairs = [[_affect(path, i, table[k][i]) for k in AFFECT_LABELS] for i in at]
        targets[AFFECT], labels[AFFECT] = np.array(pairs, np.float32), AFFECT_LABELS
    names = tuple(table["path"][i] for i in at)
    if empty := [i for i in at if not table["path"][i]]:
        raise DataError(f"{_where(path, empty[0])}: the path is empty")
    subjects = None
    if "subject" in table:
        subjects = tuple(table["subject"][i] for i in at)
        if not all(subjects):
            raise DataError(f"{_where(path, at[subjects.index('')])}: the subject is empty")
    files = [path.parent / name for name in names]
    images = read_crops(path.parent, files, size, colour=colour)
    return Rows(images, targets, labels, names, subjects)


def _csv(path: Path) -> dict[str, list[str]]:
    """The columns of the table, as text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} columns, expected {len(header)}")
    wanted = [name for name in header if name in REQUIRED + OPTIONAL]
    return {name: [row[header.index(name)].strip() for row in rows[1:]] for name in wanted}


def _parquet(path: Path) -> dict[str, list[str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError("reading Parquet manifests", "table") from error
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from error
    columns = {name.strip().lower(): name for name in table.column_names}
    wanted = [name for name in columns if name in REQUIRED + OPTIONAL]
    return {
        name: ["" if v is None else str(v).strip() for v in table[columns[name]].to_pylist()]
        for name in wanted
    }


def _where(path: Path, i: int) -> str:
    return f"{path}, row {i + 1}" if path.suffix == ".parquet" else f"{path}, line {i + 2}"


def _code(path: Path, i: int, text: str) -> int:
    if not text:
        return -1
    try:
        return EIGHT.index(canonical(text))
    except UsageError as error:
        raise DataError(f"{_where(path, i)}: {error}") from error


def _affect(path: Path, i: int, text: str) -> float:
    if not text:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if not abs(value) <= 1 and value == value:
        raise DataError(f"{_where(path, i)}: {text!r} is no valence or arousal, -1 to 1")
    return value

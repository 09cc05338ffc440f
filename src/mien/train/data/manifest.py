"""Any pictures that a table lists: heads ``ferplus`` (or another name) and ``affect``.

A CSV or Parquet table with the columns ``path`` and ``label``, and where they are known
``valence``, ``arousal``, ``subject`` and ``split``. Paths are relative to the table. Labels are
expressions in any spelling that mien knows; an empty one means that it is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError, MissingExtraError, UsageError
from mien.labels import EIGHT, canonical
from mien.train.data.pictures import read_crops
from mien.train.data.rows import AFFECT, AFFECT_LABELS, Rows, one_hot
from mien.train.data.splits import choose
from mien.train.data.tables import csv_rows

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
    if "split" not in table.columns:
        whole = _rows(table, range(len(table.lines)), size, colour, head)
        return [choose(whole, split, head) for split in splits]
    return [_rows(table, _of_split(table, split), size, colour, head) for split in splits]


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: Mapping[str, list[str]]
    """Those of `REQUIRED` and `OPTIONAL` that are there, as text."""
    lines: Sequence[int]
    """Where the file has each row."""

    def where(self, i: int) -> str:
        kind = "row" if self.path.suffix == ".parquet" else "line"
        return f"{self.path}, {kind} {self.lines[i]}"


def _csv(path: Path) -> _Table:
    rows = list(csv_rows(path))
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    wanted = _wanted(path, header)
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} columns, expected {len(header)}")
    columns = {name: [row[header.index(name)].strip() for _, row in rows[1:]] for name in wanted}
    return _filled(_Table(path, columns, [line for line, _ in rows[1:]]))


def _parquet(path: Path) -> _Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError("reading Parquet manifests", "table") from error
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from error
    named = {name.strip().lower(): name for name in table.column_names}
    columns = {
        name: ["" if v is None else str(v).strip() for v in table[named[name]].to_pylist()]
        for name in _wanted(path, list(named))
    }
    return _filled(_Table(path, columns, range(1, table.num_rows + 1)))


def _wanted(path: Path, header: Sequence[str]) -> list[str]:
    """The columns that are read, out of those that the table has."""
    if missing := [name for name in REQUIRED if name not in header]:
        there = f"found {', '.join(header)}" if any(header) else "the file is empty"
        raise DataError(f"{path}: no column {' and none '.join(missing)}; {there}")
    if ("valence" in header) != ("arousal" in header):
        raise DataError(f"{path}: one of the columns valence and arousal without the other")
    return [name for name in header if name in REQUIRED + OPTIONAL]


def _filled(table: _Table) -> _Table:
    """The table, if it has rows, and in each of them the cells that may not be empty."""
    if not table.lines:
        raise DataError(f"{table.path}: no rows")
    for name in ("path", "subject"):
        if "" in (cells := table.columns.get(name, [])):
            raise DataError(f"{table.where(cells.index(''))}: the {name} is empty")
    return table


def _of_split(table: _Table, split: str) -> list[int]:
    at = [i for i, told in enumerate(table.columns["split"]) if told == split]
    if not at:
        there = ", ".join(sorted(set(table.columns["split"])))
        raise DataError(f"{table.path}: no rows of the split {split!r}; it has {there}")
    return at


def _rows(table: _Table, at: Sequence[int], size: int, colour: bool, head: str) -> Rows:
    columns, folder = table.columns, table.path.parent
    codes = np.array([_code(columns["label"][i], table.where(i)) for i in at], np.intp)
    targets, labels = {head: one_hot(codes, len(EIGHT))}, {head: EIGHT}
    if "valence" in columns:
        pairs = [[_affect(columns[k][i], table.where(i)) for k in AFFECT_LABELS] for i in at]
        targets[AFFECT], labels[AFFECT] = np.array(pairs, np.float32), AFFECT_LABELS
    names = tuple(columns["path"][i] for i in at)
    subjects = tuple(columns["subject"][i] for i in at) if "subject" in columns else None
    images = read_crops(folder, [folder / name for name in names], size, colour=colour)
    return Rows(images, targets, labels, names, subjects)


def _code(text: str, where: str) -> int:
    if not text:
        return -1
    try:
        return EIGHT.index(canonical(text))
    except UsageError as error:
        raise DataError(f"{where}: {error}") from error


def _affect(text: str, where: str) -> float:
    if not text:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if not abs(value) <= 1 and value == value:
        raise DataError(f"{where}: {text!r} is no valence or arousal, -1 to 1")
    return value

"""The CSV tables of data sets, row by row."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mien.errors import DataError

_DAMAGED = (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error)


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, each with its line, counted from 1; empty lines are passed over.

    Args:
        path: UTF-8 text, gzipped if its name ends in ``.gz``.

    Raises:
        DataError: a file that is not there, is cut off, or holds no text.
    """
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except _DAMAGED as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error})") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")

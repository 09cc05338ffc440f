"""Observations become files or lines on stdout, one at a time.

A file is written beside its place, under its name with ``.part`` behind it, and moved there when
the sink is closed, so that a reader sees all of it or none; after a crash the part is left.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from mien.errors import MissingExtraError, UsageError
from mien.report.table import COLUMNS, INTEGER_COLUMNS, TEXT_COLUMNS, Row, legible, rows, to_dict
from mien.types import Observation

_PARQUET_ROWS = 4096  # rows held back before a group of them is written


class Sink(Protocol):
    """Takes observations one by one; what it has taken is complete after `close`."""

    def write(self, observation: Observation) -> None:
        """Add one observation."""

    def close(self) -> None:
        """Write what is left, and whatever ends the format."""

    def abandon(self) -> None:
        """Let go of the file after an error; what is in it is a part."""


class JsonlSink:
    """One JSON object a line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, observation: Observation) -> None:
        """Write a line."""
        self._file.write(_json(observation) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Do nothing: every line is complete."""

    def abandon(self) -> None:
        """Do nothing: nothing is held."""


class JsonSink:
    """A JSON list of objects."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._before = b"[\n"

    def write(self, observation: Observation) -> None:
        """Write an element of the list."""
        self._file.write(self._before + _json(observation))
        self._before = b",\n"

    def close(self) -> None:
        """End the list."""
        self._file.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")

    def abandon(self) -> None:
        """Do nothing: nothing is held."""


class CsvSink:
    """UTF-8 CSV with a header; what is not there is an empty field."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writer = csv.DictWriter(_Utf8(file), COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, observation: Observation) -> None:
        """Write a row a face, or one row where there is none."""
        self._writer.writerows(rows(observation))
        self._file.flush()

    def close(self) -> None:
        """Do nothing: every row is complete."""

    def abandon(self) -> None:
        """Do nothing: nothing is held."""


class ParquetSink:
    """Parquet by pyarrow (extra ``table``), a group of rows at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtraError("Parquet", "table") from error
        self._schema = pa.schema([(name, _arrow_type(pa, name)) for name in COLUMNS])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[Row] = []

    def write(self, observation: Observation) -> None:
        """Take the rows; full groups are written."""
        self._rows += [legible(row) for row in rows(observation)]
        if len(self._rows) >= _PARQUET_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last group and the footer."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Close the writer while the file is open: later, as it is deleted, it would complain."""
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


SINKS: dict[str, Callable[[IO[bytes]], Sink]] = {
    "json": JsonSink,
    "jsonl": JsonlSink,
    "csv": CsvSink,
    "parquet": ParquetSink,
}
"""Every sink by the name of its format, which is also its files' suffix."""


@contextlib.contextmanager
def open_sink(kind: str, path: Path | None = None) -> Iterator[Sink]:
    """A sink of the format `kind` into the file `path`, or onto stdout where `path` is None.

    Raises:
        UsageError: an unknown format, Parquet onto a terminal, or a path that cannot be written.
        MissingExtraError: the format needs a library that is not installed.
    """
    if kind not in SINKS:
        raise UsageError(f"no format {kind!r}. Known: {', '.join(SINKS)}")
    if path is None:
        if kind == "parquet" and sys.stdout.isatty():
            raise UsageError("Parquet is not for terminals: give --output FILE, or pipe it")
        yield from _written(kind, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with replacing(path) as file:
        yield from _written(kind, file)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file beside `path` that takes its place when the block ends without an error."""
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder")
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("wb")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    with file:
        yield file
    beside.replace(path)


def _written(kind: str, file: IO[bytes]) -> Iterator[Sink]:
    sink = SINKS[kind](file)
    whole = False
    try:
        yield sink
        whole = True
    finally:
        (sink.close if whole else sink.abandon)()


def _json(observation: Observation) -> bytes:
    r"""UTF-8; what is no text in a path becomes an escape of JSON's, such as ``\udcff``."""
    text = json.dumps(to_dict(observation), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


class _Utf8:
    """The text side of a binary file, as far as `csv` needs one. Undecodable path bytes survive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "surrogateescape"))


def _arrow_type(pa: Any, column: str) -> Any:
    if column in TEXT_COLUMNS:
        return pa.string()
    return pa.int64() if column in INTEGER_COLUMNS else pa.float64()

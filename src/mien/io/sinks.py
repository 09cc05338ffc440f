"""Observations become files or lines on stdout, one at a time.

A file is written beside its place, under its name with ``.part`` behind it, and moved there when
the sink is closed, so that a reader sees all of it or none; after a crash the part is left. A part
of a Parquet file cannot be read, so its rows lie in ``.parts`` until the file is whole, too.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from mien.errors import MissingExtraError, UsageError
from mien.report.table import COLUMNS, INTEGER_COLUMNS, TEXT_COLUMNS, Row, legible, rows, to_dict
from mien.types import Observation

_PARQUET_ROWS = 4096  # rows held back before a group of them is written
_SPOOL_SECONDS = 1.0  # and how long they are held back at the most where they are spooled


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

    def __init__(self, file: IO[bytes], columns: Sequence[str] = COLUMNS) -> None:
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

    def __init__(self, file: IO[bytes], columns: Sequence[str] = COLUMNS) -> None:
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

    def __init__(self, file: IO[bytes], columns: Sequence[str] = COLUMNS) -> None:
        self._file = file
        self._columns = columns
        self._writer = csv.DictWriter(_Utf8(file), columns, lineterminator="\n")
        self._writer.writeheader()

    def write(self, observation: Observation) -> None:
        """Write a row a face, or one row where there is none."""
        self._writer.writerows(rows(observation, self._columns))
        self._file.flush()

    def close(self) -> None:
        """Do nothing: every row is complete."""

    def abandon(self) -> None:
        """Do nothing: nothing is held."""


class ParquetSink:
    """Parquet by pyarrow (extra ``table``), a group of rows at a time.

    Until the sink is closed each group is a file of its own in the folder `spool` as well, if there
    is one: a killed process leaves these, and ``pandas.read_parquet(spool)`` reads them.
    """

    def __init__(
        self, file: IO[bytes], columns: Sequence[str] = COLUMNS, spool: Path | None = None
    ) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtraError("Parquet", "table") from error
        self._columns, self._spool = columns, spool
        self._schema = pa.schema([(name, _arrow_type(pa, name)) for name in columns])
        self._table, self._pq = pa.Table, pq
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[Row] = []
        self._groups, self._written = 0, time.monotonic()
        if spool is not None:
            shutil.rmtree(spool, ignore_errors=True)
            spool.mkdir(parents=True)

    def write(self, observation: Observation) -> None:
        """Take the rows; full groups are written, and what a second has brought where it spools."""
        self._rows += [legible(row) for row in rows(observation, self._columns)]
        due = self._spool is not None and time.monotonic() - self._written > _SPOOL_SECONDS
        if due or len(self._rows) >= _PARQUET_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last group and the footer."""
        self._flush()
        self._writer.close()
        if self._spool is not None:
            shutil.rmtree(self._spool)

    def abandon(self) -> None:
        """Close the writer while the file is open: later, as it is deleted, it would complain."""
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        group = self._table.from_pylist(self._rows, schema=self._schema)
        self._writer.write_table(group)
        if self._spool is not None:
            with replacing(self._spool / f"{self._groups:06}.parquet") as file:
                self._pq.write_table(group, file)
        self._rows, self._written = [], time.monotonic()
        self._groups += 1


SINKS: dict[str, Callable[[IO[bytes], Sequence[str]], Sink]] = {
    "json": JsonSink,
    "jsonl": JsonlSink,
    "csv": CsvSink,
    "parquet": ParquetSink,
}
"""Every sink by the name of its format, which is also its files' suffix."""


@contextlib.contextmanager
def open_sink(
    kind: str, path: Path | None = None, columns: Sequence[str] = COLUMNS
) -> Iterator[Sink]:
    """A sink of the format `kind` into the file `path`, or onto stdout where `path` is None.

    Args:
        kind: a name in `SINKS`.
        path: the file.
        columns: what a table has, `COLUMNS` or `mien.report.table.VIDEO_COLUMNS`.

    Raises:
        UsageError: an unknown format, Parquet onto a terminal, or a path that cannot be written.
        MissingExtraError: the format needs a library that is not installed.
    """
    if kind not in SINKS:
        raise UsageError(f"no format {kind!r}. Known: {', '.join(SINKS)}")
    if path is None:
        if kind == "parquet" and sys.stdout.isatty():
            raise UsageError("Parquet is not for terminals: give --output FILE, or pipe it")
        yield from _written(SINKS[kind](sys.stdout.buffer, columns))
        sys.stdout.buffer.flush()
        return
    with replacing(path) as file:
        if kind == "parquet":
            spool = path.with_name(path.name + ".parts")
            yield from _written(ParquetSink(file, columns, spool))
        else:
            yield from _written(SINKS[kind](file, columns))


def make_folder(folder: Path) -> None:
    """Make the folder that files are written to, and those it lies in.

    Raises:
        UsageError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise UsageError(f"cannot write into {folder}: {reason}") from error


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


def _written(sink: Sink) -> Iterator[Sink]:
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

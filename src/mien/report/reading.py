"""A table that mien wrote becomes a `Recording`: CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

import csv
import itertools
import json
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError, MissingExtraError, UsageError
from mien.labels import EIGHT
from mien.report.series import Break, Person, Reals, Recording, frame_lengths
from mien.report.table import legible

SUFFIXES = (".csv", ".jsonl", ".json", ".parquet")

_NEEDED = ("source", "status", *EIGHT)
_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")
_SMOOTH = tuple(f"smooth_{label}" for label in EIGHT)
_AFFECT = ("valence", "arousal", "smooth_valence", "smooth_arousal")
_NUMBERS = ("frame", "t_sec", "face_id", *_BOX, *EIGHT, *_SMOOTH, *_AFFECT)
_AT = {name: i for i, name in enumerate(_NUMBERS)}
_PARTS = (*EIGHT, *_SMOOTH)
_STATUS = ("ok", "bridged", "no_face", "unreadable")
_SHOWN, _ORDER = len(_NUMBERS), len(_NUMBERS) + 1
_WIDTH = len(_NUMBERS) + 3  # numbers, the expression told, the row's order, its line

_Cells = Mapping[str, Any]


def read_recording(path: Path, *, source: str | None = None) -> Recording:
    """Read the table `path` that `mien video` or `mien analyze` wrote.

    Args:
        path: a .csv, .jsonl, .json or .parquet file.
        source: the rows to take, by their column ``source``, where a table holds several videos.

    Raises:
        UsageError: an unknown suffix, or several videos in the table and none chosen.
        DataError: the file is not such a table, or a row is wrong; it names the file and the line.
        MissingExtraError: Parquet without pyarrow (extra ``table``).
    """
    rows = _Rows(path)
    for line, cells in _cells(path):
        if source is None or _text(cells, "source") == source:
            rows.add(line, cells)
    if not rows.lines:
        what = "no rows" if source is None else f"no row with the source {source!r}"
        raise DataError(f"{path}: the table has {what}; write one with `mien video FILE -o TABLE`")
    return rows.recording()


class _Rows:
    """Rows as they come, checked one by one and kept as packed numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.sources: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.faces = array("d")
        self.bridged: list[bool] = []
        self.frames: dict[int, float] = {}
        self.breaks: list[tuple[float, int, str]] = []  # time or NaN, rows before, why
        self.any_time = False

    def add(self, line: int, cells: _Cells) -> None:
        """Check the row on the line `line` and keep it."""
        where = f"{self.path}, line {line}"
        status = _text(cells, "status")
        if status not in _STATUS:
            raise DataError(f"{where}: status {status!r} is none of {', '.join(_STATUS)}")
        numbers = [_number(cells, name, where) for name in _NUMBERS]
        source = _text(cells, "source")
        self.lines += 1
        self.any_time |= not math.isnan(numbers[_AT["t_sec"]])
        new = source not in self.sources
        self.sources[source] += 1
        self.models[_text(cells, "model")] += 1
        if status == "unreadable":
            reason = _text(cells, "error") or "could not be read"
            self.breaks.append((numbers[_AT["t_sec"]], len(self.frames), reason))
            return
        self._frame(numbers, new, where)
        if status != "no_face":
            self._face(numbers, cells, where, line)
            self.bridged.append(status == "bridged")

    def _frame(self, numbers: list[float], new: bool, where: str) -> None:
        t = numbers[_AT["t_sec"]]
        if math.isnan(t):  # a photo is a frame of its own
            numbers[_AT["frame"]] = float(len(self.frames) - (0 if new else 1))
        frame = numbers[_AT["frame"]]
        if not frame.is_integer():
            raise DataError(f"{where}: a row with a time needs a whole number as its frame")
        before = self.frames.setdefault(int(frame), t)
        if not math.isnan(t) and before != t and not len(self.sources) > 1:
            raise DataError(f"{where}: frame {int(frame)} has two times, {before:g} and {t:g} s")

    def _face(self, numbers: list[float], cells: _Cells, where: str, line: int) -> None:
        given = [numbers[_AT[label]] for label in EIGHT]
        if all(math.isnan(p) for p in given):
            raise DataError(f"{where}: a face without probabilities")
        for name in _PARTS:
            part = numbers[_AT[name]]
            if not math.isnan(part) and not 0 <= part <= 1:
                raise DataError(f"{where}: {name} is {part:g}, not a probability from 0 to 1")
        if math.isnan(numbers[_AT["face_id"]]):
            raise DataError(f"{where}: a face without a face_id")
        told = _text(cells, "smooth_expression") or _text(cells, "expression")
        if told and told not in EIGHT:
            raise DataError(f"{where}: expression {told!r} is none of {', '.join(EIGHT)}")
        best = max(range(len(EIGHT)), key=lambda i: -1.0 if math.isnan(given[i]) else given[i])
        shown = EIGHT.index(told) if told else best
        self.faces.extend([*numbers, shown, len(self.frames), line])

    def recording(self) -> Recording:
        """Everything, put in order."""
        if self.any_time and len(self.sources) > 1:
            names = ", ".join(map(_written, self.sources))
            raise UsageError(f"{self.path} holds several videos; choose one by --source: {names}")
        if self.any_time and any(math.isnan(t) for t in self.frames.values()):
            raise DataError(f"{self.path}: some rows have a time and others have none")
        frame = np.array(sorted(self.frames), np.intp)
        t = np.array([self.frames[int(number)] for number in frame], np.float64)
        if self.any_time and bool(np.any(np.diff(t) <= 0)):
            late = int(frame[1 + int(np.argmax(np.diff(t) <= 0))])
            raise DataError(f"{self.path}: the times do not rise with the frames at frame {late}")
        first, *others = self.sources
        return Recording(
            source=f"{len(self.sources)} photos" if others else _written(first),
            model=self.models.most_common(1)[0][0],
            frame=frame,
            t=t,
            persons=self._persons(),
            breaks=tuple(self._breaks(t)),
            lengths=frame_lengths(t),
        )

    def _persons(self) -> tuple[Person, ...]:
        table = np.frombuffer(self.faces, np.float64).reshape(-1, _WIDTH)
        bridged = np.array(self.bridged, np.bool_)
        if not self.any_time:
            return (_person(None, table, bridged),) if len(table) else ()
        ids = table[:, _AT["face_id"]].astype(np.intp)
        found = []
        for face_id in np.unique(ids):
            mine = np.flatnonzero(ids == face_id)
            mine = mine[np.argsort(table[mine, _AT["frame"]], kind="stable")]
            person = _person(int(face_id), table[mine], bridged[mine])
            twice = np.flatnonzero(np.diff(person.frame) == 0)
            if len(twice):
                line = int(table[mine[twice[0] + 1], -1])
                raise DataError(
                    f"{self.path}, line {line}: face {face_id} is there twice in frame "
                    f"{person.frame[twice[0]]}"
                )
            found.append(person)
        return tuple(found)

    def _breaks(self, t: Reals) -> Iterator[Break]:
        for at, before, reason in self.breaks:
            if not self.any_time:
                yield Break(math.nan, math.nan, reason)
                continue
            start = at if not math.isnan(at) else float(t[before - 1]) if before else math.nan
            after = t[t > start] if not math.isnan(start) else t[:1]
            end = float(after[0]) if len(after) else start
            yield Break(end if math.isnan(start) else start, end, reason)


def _person(face_id: int | None, table: Reals, bridged: np.ndarray[Any, Any]) -> Person:
    """The rows `table` (n, _WIDTH) of one face id."""

    def block(names: tuple[str, ...]) -> Reals:
        return table[:, [_AT[name] for name in names]].copy()

    raw = np.nan_to_num(block(EIGHT))
    smooth = block(_SMOOTH)
    has_smooth = np.asarray(~np.isnan(smooth).all(axis=1))
    smooth = np.where(has_smooth[:, None], np.nan_to_num(smooth), raw)
    valence, arousal, *smoothed = block(_AFFECT).T
    if not np.isnan(smoothed).all():
        valence, arousal = (
            np.where(np.isnan(s), r, s) for s, r in zip(smoothed, (valence, arousal), strict=True)
        )
    affect = not (np.isnan(valence) | np.isnan(arousal)).all()
    return Person(
        face_id=face_id,
        t=table[:, _AT["t_sec"]].copy(),
        frame=table[:, _AT["frame"]].astype(np.intp),
        probabilities=raw,
        smoothed=smooth if has_smooth.any() else None,
        shown=table[:, _SHOWN].astype(np.intp),
        bridged=bridged,
        boxes=block(_BOX),
        valence=valence if affect else None,
        arousal=arousal if affect else None,
    )


def _written(source: str) -> str:
    """The source as text: bytes of a path that are none become escapes."""
    return str(legible({"source": source})["source"])


def _number(cells: _Cells, name: str, where: str) -> float:
    """The cell as a float; NaN where it is empty."""
    value = cells.get(name)
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {name} is {value!r}, not a number") from None
    if not math.isfinite(number):
        raise DataError(f"{where}: {name} is {value!r}; an unknown number is an empty cell")
    return number


def _text(cells: _Cells, name: str) -> str:
    value = cells.get(name)
    return "" if value is None else str(value)


def _cells(path: Path) -> Iterator[tuple[int, _Cells]]:
    """The rows of the file with their line numbers (objects are numbered from 1 in JSON lists)."""
    readers = {".csv": _csv, ".jsonl": _jsonl, ".json": _json, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: a table ends in {', '.join(SUFFIXES)}")
    try:
        yield from reader(path)
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _csv(path: Path) -> Iterator[tuple[int, _Cells]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            _check_columns(path, header)
            for cells in reader:
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, the header has "
                        f"{len(header)}; was the file cut off?"
                    )
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _jsonl(path: Path) -> Iterator[tuple[int, _Cells]]:
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                for cells in _flat(_parsed(path, line, text), f"{path}, line {line}"):
                    yield line, cells


def _json(path: Path) -> Iterator[tuple[int, _Cells]]:
    told = _parsed(path, 1, path.read_text("utf-8", "surrogateescape"))
    if not isinstance(told, list):
        raise DataError(f"{path}: a JSON table is a list of objects, as `mien analyze` writes it")
    for line, item in enumerate(told, 1):
        for cells in _flat(item, f"{path}, object {line}"):
            yield line, cells


def _parquet(path: Path) -> Iterator[tuple[int, _Cells]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet", "table") from error
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error
    with file:
        _check_columns(path, file.schema_arrow.names)
        batches = (batch.to_pylist() for batch in file.iter_batches(4096))
        yield from enumerate(itertools.chain.from_iterable(batches), 1)


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise DataError(
            f"{path}: not a table of mien's, the column {missing[0]!r} is missing. "
            "`mien video FILE --output TABLE.csv` writes one."
        )


def _parsed(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line + error.lineno - 1}: not JSON ({error})") from error


def _flat(told: Any, where: str) -> Iterator[_Cells]:
    """The rows of one JSON object: a picture with its faces, or a row as in the CSV table."""
    if not isinstance(told, dict) or "status" not in told or "source" not in told:
        raise DataError(f"{where}: not an object of mien's (no source and status)")
    faces = told.get("faces")
    if not faces:
        yield told
        return
    common = {name: value for name, value in told.items() if name != "faces"}
    for face in faces:
        try:
            box = dict(zip(_BOX, face.get("box", ()), strict=False))
            filled = {"status": "bridged"} if face.get("bridged") else {}
            smooth = dict(face.get("smoothed") or {})
            smooth |= smooth.pop("probabilities", {})
            behind = {f"smooth_{name}": value for name, value in smooth.items()}
            yield {**common, **face, **box, **face["probabilities"], **behind, **filled}
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{where}: a face without probabilities ({error!r})") from error

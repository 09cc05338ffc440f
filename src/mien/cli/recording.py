"""What the verbs for moving pictures share: tables, subtitles, a summary."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from mien.errors import UsageError
from mien.io.sinks import Sink, open_sink, replacing
from mien.io.subtitles import Span, write_srt, write_vtt
from mien.labels import EIGHT
from mien.report.moments import moments
from mien.report.series import Recording, shares
from mien.report.table import VIDEO_COLUMNS

STDOUT = Path("-")


def check_stdout(*paths: Path | None) -> None:
    """Raise a `UsageError` if more than one of the tables is to go to stdout."""
    if paths.count(STDOUT) > 1:
        raise UsageError("only one of --csv - and --jsonl - can go to stdout")


def open_table(kind: str, path: Path) -> AbstractContextManager[Sink]:
    """A sink for the frames of a video: csv, jsonl or parquet, into a file or, as ``-``, stdout."""
    return open_sink(kind, None if path == STDOUT else path, VIDEO_COLUMNS)


def write_subtitles(recording: Recording, path: Path) -> None:
    """Write who showed what when as SubRip, or as WebVTT where the name ends in ``.vtt``."""
    several = len(recording.persons) > 1
    spans = [
        Span(m.start, m.end, f"{m.face_id}: {m.expression}" if several else m.expression)
        for m in moments(recording)
    ]
    with replacing(path) as file:
        (write_vtt if path.suffix.lower() == ".vtt" else write_srt)(spans, file)


def summary(recording: Recording) -> str:
    """A line per person: for how long seen, and the commonest expressions by their share of it."""
    lines = [f"{'person':>6}  {'seen':>8}  expressions, parts of the time seen"]
    for person in recording.persons:
        told = shares(recording, person)
        parts = sorted(zip(told.seconds / max(told.seen, 1e-9), EIGHT, strict=True), reverse=True)
        listed = ", ".join(f"{name} {100 * part:.0f} %" for part, name in parts[:4] if part > 0.005)
        lines.append(f"{person.face_id!s:>6}  {told.seen:6.1f} s  {listed}")
    if not recording.persons:
        lines = ["no face was seen"]
    return "\n".join(lines) + "\n"

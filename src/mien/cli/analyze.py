"""`mien analyze`: photos in, expressions out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from mien.cli.batch import jobs_of, process
from mien.cli.flags import call
from mien.cli.tally import Tally
from mien.errors import UsageError
from mien.io.sources import expand
from mien.pipeline import Options
from mien.types import Observation

Format = Literal["table", "json", "jsonl", "csv", "parquet"]


def analyze(
    paths: tuple[str, ...],
    /,
    *,
    format: Format | None = None,
    output: Path | None = None,
    draw: Path | None = None,
    options: Options,
    jobs: int = 0,
    quiet: bool = False,
) -> int:
    """Read the apparent expression of every face in photos, and in the frames of videos.

    Exit status: 0 all inputs were read, 1 some could not be (the rest are reported), 2 usage.

    Args:
        paths: Photos, videos, folders (searched through), patterns such as 'holiday/*.jpg', or -
            for paths on stdin, one a line. `mien video` can do more with a video.
        format: How to tell it. By default the suffix of --output, else a table.
        output: The file to write instead of stdout.
        draw: A folder for annotated copies of the photos and videos.
        options: How the photos are analysed.
        jobs: Processes that read photos side by side; 0 is one a core for long lists.
        quiet: No progress and no summary on stderr.
    """
    if not paths:
        raise UsageError("which photos? Give paths, folders, patterns, or - for paths on stdin")
    work = jobs_of(expand(paths, videos=True), draw)
    tally = Tally()
    with closing(process(work, options, jobs, show=not quiet)) as results:
        _write(tally.over(results), _format(format, output), output)
    if not quiet:
        sys.stderr.write(tally.of_photos())
    return tally.status()


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(analyze, argv, prog="mien analyze", config=True)


def _format(format: Format | None, output: Path | None) -> Format:
    if format is not None:
        return format
    suffix = "" if output is None else output.suffix.lower().lstrip(".")
    known: dict[str, Format] = {f: f for f in ("json", "jsonl", "csv", "parquet")}
    if suffix and suffix not in (*known, "txt"):
        raise UsageError(f"which format is {output}? Say --format json, jsonl, csv or parquet")
    return known.get(suffix, "table")


def _write(results: Iterator[Observation], format: Format, output: Path | None) -> None:
    if format == "table":
        from mien.cli.terminal import print_table

        print_table(results, output)
        return
    from mien.io.sinks import open_sink

    with open_sink(format, output) as sink:
        for result in results:
            sink.write(result)

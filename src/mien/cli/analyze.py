"""`mien analyze`: photos in, expressions out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from mien.cli.batch import jobs_of, process
from mien.cli.flags import call
from mien.cli.main import FAILED, OK
from mien.errors import UsageError
from mien.io.images import MAX_PIXELS
from mien.io.sources import expand
from mien.pipeline import Options
from mien.runtime.classify import DEFAULT_MODEL
from mien.types import Observation

Format = Literal["table", "json", "jsonl", "csv", "parquet"]


def analyze(
    paths: tuple[str, ...],
    /,
    *,
    format: Format | None = None,
    output: Path | None = None,
    draw: Path | None = None,
    model: str = DEFAULT_MODEL,
    detector: str = "auto",
    min_face: float = 0.0,
    min_score: float | None = None,
    max_faces: int | None = None,
    max_side: int = 640,
    max_pixels: int = MAX_PIXELS,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    threads: int = 1,
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
        model: A bundled model (see `mien models`) or an .onnx file that `mien export` wrote.
        detector: The face detector: auto, yunet, libface, haar, or none (each photo is one face).
        min_face: Leave out faces with a side shorter than this, in pixels.
        min_score: Leave out faces that the detector is less sure of, 0 to 1.
        max_faces: Keep at most so many faces a photo, the surest ones.
        max_side: Look for faces in the photo shrunk to this long side; more finds smaller faces.
        max_pixels: Refuse photos with more pixels than this.
        device: Where the classifier runs.
        threads: CPU threads of the classifier.
        jobs: Processes that read photos side by side; 0 is one a core for long lists.
        quiet: No progress and no summary on stderr.
    """
    if not paths:
        raise UsageError("which photos? Give paths, folders, patterns, or - for paths on stdin")
    options = Options(
        model, detector, min_face, min_score, max_faces, max_side, max_pixels, device, threads
    )
    work = jobs_of(expand(paths, videos=True), draw)
    told = Tally()
    with closing(process(work, options, jobs, show=not quiet)) as results:
        _write(told.over(results), _format(format, output), output)
    if not quiet:
        sys.stderr.write(told.summary())
    return FAILED if told.failed else OK


class Tally:
    """Counts what went by and tells failures on stderr."""

    def __init__(self) -> None:
        self.photos = self.frames = self.faces = self.failed = 0

    def over(self, results: Iterator[Observation]) -> Iterator[Observation]:
        """Pass the results on."""
        for result in results:
            self.photos += result.t_sec is None
            self.frames += result.t_sec is not None
            self.faces += len(result.faces)
            if result.status == "unreadable":
                self.failed += 1
                sys.stderr.write(f"mien: {result.source}: {result.error}\n")
            yield result

    def summary(self) -> str:
        """One line: photos, frames of videos, faces, failures."""
        frames = f"{self.frames} frames, " if self.frames else ""
        line = f"{self.photos} photos, {frames}{self.faces} faces"
        return f"{line}, {self.failed} could not be read\n" if self.failed else f"{line}\n"


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(analyze, argv, prog="mien analyze")


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

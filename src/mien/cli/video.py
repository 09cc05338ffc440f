"""`mien video`: a video in, a table with times and ids out; and a clip, subtitles, a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from mien.cli.flags import Without, call
from mien.cli.interrupt import until_interrupted
from mien.cli.progress import Progress
from mien.cli.recording import STDOUT, check_stdout, open_table, summary, write_subtitles
from mien.cli.report import report as write_report
from mien.cli.tally import Tally
from mien.io.video import VideoInfo, probe, read_video
from mien.pipeline import Analyzer, Options, Result
from mien.report.annotated import AnnotatedClip, annotated_clip
from mien.report.reading import read_recording
from mien.stream import Motion, analyze_stream


@dataclass(frozen=True)
class Outputs:
    """The files that the verb can write."""

    csv: Path | None = None
    """A table, one row per face and frame, and one for a frame without a face; - is stdout."""
    jsonl: Path | None = None
    """The same as JSON, one object per frame; - is stdout."""
    parquet: Path | None = None
    """The same table as Parquet."""
    draw: Path | None = None
    """An annotated copy, H.264 mp4 with the sound kept."""
    report: Path | None = None
    """A report to open in a browser, in one HTML file."""
    srt: Path | None = None
    """Subtitles: .srt, or WebVTT where the name ends in .vtt."""

    def tables(self, folder: Path) -> list[tuple[str, Path]]:
        """The tables as (kind, path); one at least is a file, if need be a CSV in `folder`."""
        kinds = (("csv", self.csv), ("jsonl", self.jsonl), ("parquet", self.parquet))
        asked = [(kind, path) for kind, path in kinds if path]
        if all(path == STDOUT for _, path in asked):
            asked.append(("csv", folder / "table.csv"))
        return asked


@dataclass(frozen=True)
class Chosen:
    """The frames that are read, as `mien.io.video.read_video` chooses them."""

    every: int = 1
    """Read only every so-manieth frame."""
    fps: float | None = None
    """Read only so many frames a second."""
    start: float | None = None
    """Begin at this second of the video."""
    end: float | None = None
    """Stop before this second of the video."""

    def count(self, info: VideoInfo) -> int | None:
        """About how many frames there will be, or None where the file does not say."""
        if info.duration is None or info.fps is None:
            return None
        whole = info.start + info.duration
        seconds = min(whole, self.end or whole) - max(info.start, self.start or info.start)
        return max(1, round(seconds * min(self.fps or info.fps, info.fps) / self.every))


def video(
    file: Path,
    /,
    *,
    to: Outputs,
    chosen: Chosen,
    motion: Annotated[Motion, Without("hold", "at_once", "overlap")],
    options: Annotated[Options, Without("max_pixels")],
    no_faces: bool = False,
    blur: bool = False,
    one_thread: bool = False,
    quiet: bool = False,
) -> int:
    """Read the apparent expressions in a video: who looked how, when.

    Without --csv - or --jsonl - a summary goes to stdout. Ctrl-C ends the reading and leaves
    finished files. Exit status: 0 the whole video was read, 1 a part of it could not be (the table
    says where), 2 usage.

    Args:
        file: The video.
        to: What is written.
        chosen: Which frames are read.
        motion: How faces are followed and readings smoothed.
        options: How the frames are analysed.
        no_faces: The report shows no pictures of faces.
        blur: The report shows faces so coarsely that nobody can be told.
        one_thread: Do one thing after the other; the results are the same.
        quiet: No progress on stderr, no summary.
    """
    check_stdout(to.csv, to.jsonl, to.parquet)
    if not one_thread:
        # Reading, searching and classifying share the cores; libfacedetection takes all by itself.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    frames = read_video(file, **asdict(chosen))
    info = probe(file)
    analyzer = Analyzer(options)
    results = analyze_stream(frames, analyzer, replace(motion, overlap=not one_thread))
    clip = annotated_clip(to.draw, info, chosen.start) if to.draw else None
    bar = Progress("frames", sys.stderr.isatty() and not quiet, chosen.count(info))
    with TemporaryDirectory(prefix="mien-") as folder, until_interrupted() as stop:
        tables = to.tables(Path(folder))
        tally = _write(results, tables, clip, bar, stop)
        table = next(path for _, path in tables if path != STDOUT)
        if tally.frames:
            _tell(table, to)
            if to.report:
                write_report(
                    table, video=file, output=to.report, no_faces=no_faces, blur=blur,
                    model=options.model, quiet=True,
                )  # fmt: skip
    if not quiet:
        sys.stderr.write(tally.of_frames())
    return tally.status(interrupted=stop())


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(video, argv, prog="mien video", config=True)


def _write(
    results: Generator[Result, None, None],
    tables: Iterable[tuple[str, Path]],
    clip: AbstractContextManager[AnnotatedClip] | None,
    bar: Progress,
    stop: Callable[[], bool],
) -> Tally:
    """Write the results until they end, or are to stop; what went by."""
    tally = Tally()
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_table(kind, path)) for kind, path in tables]
        drawn = stack.enter_context(clip) if clip else None
        stack.enter_context(closing(results))
        stack.enter_context(bar)
        for result in results:
            tally.add(result)
            for sink in sinks:
                sink.write(result)
            if drawn:
                drawn.write(result, result.picture)
            bar.step()
            if stop():
                break
    return tally


def _tell(table: Path, to: Outputs) -> None:
    """The subtitles, and a summary on stdout unless a table goes there."""
    recording = read_recording(table)
    if to.srt:
        write_subtitles(recording, to.srt)
    if STDOUT not in (to.csv, to.jsonl, to.parquet):
        sys.stdout.write(summary(recording))

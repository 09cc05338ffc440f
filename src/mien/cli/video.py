"""`mien video`: a video in, a table with times and ids out; and a clip, subtitles, a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mien.cli.flags import call
from mien.cli.interrupt import until_interrupted
from mien.cli.progress import Progress
from mien.cli.recording import STDOUT, Told, check_stdout, open_table, summary, write_subtitles
from mien.cli.report import report as write_report
from mien.io.video import VideoInfo, probe, read_video
from mien.pipeline import Analyzer, Options
from mien.report.annotated import annotated_clip
from mien.report.reading import read_recording
from mien.runtime.classify import DEFAULT_MODEL
from mien.stream import Motion, analyze_stream


def video(
    file: Path,
    /,
    *,
    csv: Path | None = None,
    jsonl: Path | None = None,
    parquet: Path | None = None,
    draw: Path | None = None,
    report: Path | None = None,
    srt: Path | None = None,
    every: int = 1,
    fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    detect_every: int = 0,
    gap: float = 0.5,
    smooth: float = 0.3,
    model: str = DEFAULT_MODEL,
    detector: str = "auto",
    min_face: float = 0.0,
    min_score: float | None = None,
    max_faces: int | None = None,
    max_side: int = 640,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    threads: int = 1,
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
        csv: A table, one row per face and frame, and one for a frame without a face; - is stdout.
        jsonl: The same as JSON, one object per frame; - is stdout.
        parquet: The same table as Parquet.
        draw: An annotated copy, H.264 mp4 with the sound kept.
        report: A report to open in a browser, in one HTML file.
        srt: Subtitles: .srt, or WebVTT where the name ends in .vtt.
        every: Read only every so-manieth frame.
        fps: Read only so many frames a second.
        start: Begin at this second of the video.
        end: Stop before this second of the video.
        detect_every: Look for faces on every so-manieth frame; 0: as the motion asks for.
        gap: Bridge a face that is gone for no more seconds than this.
        smooth: Time constant of the smoothed readings, in seconds; 0 smooths nothing.
        model: A bundled model (see `mien models`) or an .onnx file that `mien export` wrote.
        detector: The face detector: auto, yunet, libface, haar, or none (each frame is one face).
        min_face: Leave out faces with a side shorter than this, in pixels.
        min_score: Leave out faces that the detector is less sure of, 0 to 1.
        max_faces: Keep at most so many faces a frame, the surest ones.
        max_side: Look for faces in the frame shrunk to this long side; more finds smaller faces.
        device: Where the classifier runs.
        threads: CPU threads of the classifier.
        no_faces: The report shows no pictures of faces.
        blur: The report shows faces so coarsely that nobody can be told.
        one_thread: Do one thing after the other; the results are the same.
        quiet: No progress on stderr, no summary.
    """
    tables = [(k, p) for k, p in (("csv", csv), ("jsonl", jsonl), ("parquet", parquet)) if p]
    check_stdout(csv, jsonl, parquet)
    options = Options(
        model, detector, min_face, min_score, max_faces, max_side, device=device, threads=threads
    )
    if not one_thread:
        # Reading, searching and classifying share the cores; libfacedetection takes all by itself.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    motion = Motion(detect_every, gap, smooth, overlap=not one_thread)
    frames = read_video(file, every=every, fps=fps, start=start, end=end)
    info = probe(file)
    told = Told()
    files = [path for _, path in tables if path != STDOUT]
    to_stdout = len(files) < len(tables)
    with TemporaryDirectory(prefix="mien-") as folder, until_interrupted() as stop:
        table = files[0] if files else Path(folder) / "table.csv"
        if not files:
            tables.append(("csv", table))
        with ExitStack() as stack:
            sinks = [stack.enter_context(open_table(kind, path)) for kind, path in tables]
            clip = stack.enter_context(annotated_clip(draw, info, start)) if draw else None
            stream = analyze_stream(frames, Analyzer(options), motion)
            results = stack.enter_context(closing(stream))
            total = frames_to_come(info, every, fps, start, end)
            progress = stack.enter_context(
                Progress("frames", sys.stderr.isatty() and not quiet, total)
            )
            for result in results:
                told.add(result)
                for sink in sinks:
                    sink.write(result)
                if clip:
                    clip.write(result, result.picture)
                progress.step()
                if stop():
                    break
        if told.frames:
            recording = read_recording(table)
            if srt:
                write_subtitles(recording, srt)
            if report:
                write_report(
                    table, video=file, output=report, no_faces=no_faces, blur=blur, model=model,
                    quiet=True,
                )  # fmt: skip
            if not to_stdout:
                sys.stdout.write(summary(recording))
    if not quiet:
        sys.stderr.write(told.summary())
    return told.status(interrupted=stop())


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(video, argv, prog="mien video")


def frames_to_come(
    info: VideoInfo, every: int, fps: float | None, start: float | None, end: float | None
) -> int | None:
    """About how many frames there will be, or None where the file does not say."""
    if info.duration is None or info.fps is None:
        return None
    whole = info.start + info.duration
    seconds = min(whole, end or whole) - max(info.start, start or info.start)
    return max(1, round(seconds * min(fps or info.fps, info.fps) / every))

"""Many photos side by side: reading, detecting and classifying overlap across processes.

A video among them is read where it stands, by the parent process and its threads.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.progress import Progress
from mien.errors import MienError, MissingExtraError, UnreadableError
from mien.io.sources import PHOTO_SUFFIXES, is_video
from mien.pipeline import Analyzer, Options, Result
from mien.types import Observation, Unreadable

if TYPE_CHECKING:
    from concurrent.futures import Future

# A second process pays for its start (about half a second) from roughly this many photos on.
_WORTH_PROCESSES = 24


@dataclass(frozen=True)
class Job:
    """One input and where its annotated copy goes, if anywhere."""

    source: str | Unreadable
    drawing: Path | None = None
    video: bool = False


def jobs_of(sources: Iterable[str | Unreadable], draw: Path | None) -> Iterator[Job]:
    """The jobs of `sources`; annotated copies are named after their photos, each name once."""
    used: set[str] = set()
    for source in sources:
        if isinstance(source, Unreadable):
            yield Job(source)
            continue
        video = Path(source).suffix.lower() not in PHOTO_SUFFIXES and is_video(source)
        if draw is None:
            yield Job(source, video=video)
            continue
        stem = Path(source).stem
        names = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
        name = next(n for n in names if n.lower() not in used)
        used.add(name.lower())
        yield Job(source, draw / (f"{name}.mp4" if video else f"{name}.jpg"), video)


def process(
    jobs: Iterable[Job], options: Options, workers: int, *, show: bool
) -> Generator[Observation, None, None]:
    """The observations of `jobs`, in order, without their pictures.

    Args:
        jobs: the inputs; taken only as far ahead as there is work for.
        options: how they are analysed.
        workers: processes; 0 is one a core for lists that are long enough to gain by it.
        show: progress on stderr, where that is a terminal.
    """
    coming = iter(jobs)
    first = list(itertools.islice(coming, _WORTH_PROCESSES))
    everything = itertools.chain(first, coming)
    if workers == 0:
        workers = (os.cpu_count() or 1) if len(first) == _WORTH_PROCESSES else 1
    with Progress("photos", show and sys.stderr.isatty()) as progress:
        results = _side_by_side(everything, options, workers) if workers > 1 else None
        for result in results or _one_by_one(everything, options):
            progress.step()
            yield result


def read_video_job(analyzer: Analyzer, job: Job) -> Iterator[Observation]:
    """The observations of a video's frames; its annotated copy is written where asked for."""
    from mien.io.video import probe, read_video
    from mien.report.annotated import annotated_clip
    from mien.stream import analyze_stream

    source = str(job.source)
    with ExitStack() as stack:
        try:
            frames = read_video(source)
            clip = None
            if job.drawing is not None:
                clip = stack.enter_context(annotated_clip(job.drawing, probe(source)))
        except (MissingExtraError, UnreadableError) as error:
            reason = error.reason if isinstance(error, UnreadableError) else str(error)
            yield replace(analyzer.observe(Unreadable(source, reason)), picture=None)
            return
        for result in stack.enter_context(closing(analyze_stream(frames, analyzer))):
            if clip:
                clip.write(result, result.picture)
            yield replace(result, picture=None)


def work(analyzer: Analyzer, job: Job) -> Observation:
    """Analyse one photo, and write its annotated copy where that is asked for."""
    result = analyzer(job.source, whole=job.drawing is not None)
    if job.drawing is not None and result.picture is not None:
        _save(result, job.drawing)
    return replace(result, picture=None)


def _one_by_one(jobs: Iterable[Job], options: Options) -> Iterator[Observation]:
    analyzer = Analyzer(options)
    for job in jobs:
        if job.video:
            yield from read_video_job(analyzer, job)
        else:
            yield work(analyzer, job)


def _side_by_side(jobs: Iterable[Job], options: Options, workers: int) -> Iterator[Observation]:
    from concurrent.futures import ProcessPoolExecutor  # as slow to import as a photo to read
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    analyzer = Analyzer(options)
    _ = analyzer.classifier  # what is wrong is told here, not by every worker
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (options,))
    waiting: deque[tuple[Job, Future[Observation] | None]] = deque()
    coming = iter(jobs)
    try:
        while True:
            for job in itertools.islice(coming, 4 * workers - len(waiting)):
                waiting.append((job, None if job.video else pool.submit(_work, job)))
            if not waiting:
                return
            job, coming_result = waiting.popleft()
            if coming_result is None:
                yield from read_video_job(analyzer, job)
            else:
                yield coming_result.result()
    except BrokenProcessPool as error:
        raise MienError(
            "a process that reads photos died, perhaps for want of memory: try --jobs 1"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_analyzer: Analyzer


def _start(options: Options) -> None:
    global _analyzer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    # libfacedetection starts a thread a core; with a process a core they would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _analyzer = Analyzer(options)


def _work(job: Job) -> Observation:
    return work(_analyzer, job)


def _save(result: Result, path: Path) -> None:
    from PIL import Image

    from mien.io.sinks import replacing

    with replacing(path) as file:
        Image.fromarray(result.draw()).save(file, "JPEG", quality=90)

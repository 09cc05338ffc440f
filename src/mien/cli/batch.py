"""Many photos side by side: reading, detecting and classifying overlap across processes."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.progress import Progress
from mien.errors import MienError
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


def jobs_of(sources: Iterable[str | Unreadable], draw: Path | None) -> Iterator[Job]:
    """The jobs of `sources`; annotated copies are named after their photos, each name once."""
    used: set[str] = set()
    for source in sources:
        if draw is None or isinstance(source, Unreadable):
            yield Job(source)
            continue
        stem = Path(source).stem
        names = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
        name = next(n for n in names if n.lower() not in used)
        used.add(name.lower())
        yield Job(source, draw / f"{name}.jpg")


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


def work(analyzer: Analyzer, job: Job) -> Observation:
    """Analyse one photo, and write its annotated copy where that is asked for."""
    result = analyzer(job.source, whole=job.drawing is not None)
    if job.drawing is not None and result.picture is not None:
        _save(result, job.drawing)
    return replace(result, picture=None)


def _one_by_one(jobs: Iterable[Job], options: Options) -> Iterator[Observation]:
    analyzer = Analyzer(options)
    for job in jobs:
        yield work(analyzer, job)


def _side_by_side(jobs: Iterable[Job], options: Options, workers: int) -> Iterator[Observation]:
    from concurrent.futures import ProcessPoolExecutor  # as slow to import as a photo to read
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    Analyzer(options)  # what is wrong with the options is told here, not by every worker
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (options,))
    waiting: deque[tuple[Job, Future[Observation]]] = deque()
    coming = iter(jobs)
    try:
        while True:
            for job in itertools.islice(coming, 4 * workers - len(waiting)):
                waiting.append((job, pool.submit(_work, job)))
            if not waiting:
                return
            yield waiting.popleft()[1].result()
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

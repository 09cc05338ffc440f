"""Videos that are read while their sender waits: upload, progress, table and report.

A video, its table and its report are all that the server ever writes, in a temporary folder of its
own. The video is deleted as soon as it has been read, the rest when its time is over, and all of it
when the server ends.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mien.errors import MienError, TooLargeError, UnreadableError
from mien.io.container import load_av
from mien.io.sinks import open_sink
from mien.io.video import probe, read_video
from mien.pipeline import Analyzer
from mien.report.page import write_page
from mien.report.reading import read_recording
from mien.report.table import SCHEMA, VIDEO_COLUMNS
from mien.serve.limits import Limits, RefusedError
from mien.serve.log import LOG
from mien.serve.pool import Pool
from mien.serve.upload import VideoAsk
from mien.stream import Motion, analyze_stream
from mien.types import Frame, Observation, Unreadable

State = Literal["uploading", "queued", "running", "done", "failed"]

FILES: dict[str, tuple[str, str]] = {
    "table.csv": ("text/csv; charset=utf-8", "mien.csv"),
    "table.jsonl": ("application/jsonl", "mien.jsonl"),
    "report.html": ("text/html; charset=utf-8", "mien.html"),
}
"""What a video becomes: the file, its type, and the name that a browser saves it under."""

# A playlist would name other files, so that only files with the pictures inside are opened.
_VIDEO = re.compile(
    rb".{4}(ftyp|moov|mdat|wide|free)|\x1aE\xdf\xa3|RIFF.{4}AVI |\x47.{187}\x47|\0\0\1\xba",
    re.DOTALL,
)


@dataclass
class Job:
    """One video."""

    id: str
    folder: Path
    ask: VideoAsk
    state: State = "uploading"
    frames: int = 0
    progress: float = 0.0
    reason: str | None = None
    ended: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def video(self) -> Path:
        """The uploaded file."""
        return self.folder / "video"


class Jobs:
    """The videos of a server. One is read at a time.

    Args:
        pool: the models; a video is read with the same.
        limits: how many, how long, and how large.
    """

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool, self._limits = pool, limits
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "mien-video")
        self._home: Path | None = None
        pool.metrics.gauge("mien_jobs", lambda: len(self._jobs))

    def begin(self, ask: VideoAsk) -> Job:
        """A place for a video that is about to be uploaded.

        Raises:
            RefusedError: 422 (an option), 501 (no PyAV) or 503 (too many videos).
        """
        self._pool.model(ask.model)
        try:
            load_av("reading videos")
        except MienError as error:
            raise RefusedError(501, str(error)) from error
        with self._lock:
            self._sweep()
            if len(self._jobs) >= self._limits.jobs:
                raise RefusedError(503, "too many videos are kept: try again later", retry_after=30)
            if self._home is None:
                self._home = Path(tempfile.mkdtemp(prefix="mien-serve-"))
            name = secrets.token_urlsafe(18)
            job = Job(name, self._home / name, ask)
            job.folder.mkdir(mode=0o700)
            self._jobs[name] = job
        return job

    def start(self, job: Job) -> None:
        """Have an uploaded video read.

        Raises:
            RefusedError: 415 or 422, the file is no video.
        """
        with job.video.open("rb") as file:
            head = file.read(256)
        if not _VIDEO.match(head):
            what = "not a video this server reads (MP4, MOV, MKV, WebM, AVI, MPEG)"
            raise RefusedError(415 if head else 422, what if head else "no video came")
        job.state = "queued"
        self._reader.submit(self._run, job)

    def get(self, name: str) -> Job:
        """A video by its id.

        Raises:
            RefusedError: 404, there is none, or none any more.
        """
        with self._lock:
            self._sweep()
            if name not in self._jobs or self._jobs[name].state == "uploading":
                raise RefusedError(
                    404, "no such video: it may have been deleted when its time was over"
                )
            return self._jobs[name]

    def file(self, name: str, file: str) -> Path:
        """A file that a video has become.

        Raises:
            RefusedError: 404, or 409 where it is not ready.
        """
        job = self.get(name)
        if file not in FILES:
            raise RefusedError(404, f"a video has no {file[:60]!r}; it has {', '.join(FILES)}")
        if job.state != "done":
            raise RefusedError(
                409, f"the video is {job.state}: {job.reason or 'ask again shortly'}"
            )
        return job.folder / file

    def drop(self, job: Job) -> None:
        """Stop and delete a video and all that came of it."""
        job.stop.set()
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete those whose time is over."""
        with self._lock:
            self._sweep()

    def close(self) -> None:
        """Stop and delete everything."""
        for job in list(self._jobs.values()):
            job.stop.set()
        self._reader.shutdown(wait=True, cancel_futures=True)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def told(self, job: Job) -> dict[str, Any]:
        """The JSON object of a `mien.serve.schema.JobRecord`."""
        left = None
        if job.ended is not None:
            left = round(max(0.0, self._limits.keep_sec - (time.monotonic() - job.ended)), 1)
        here = f"/v1/video/{job.id}"
        files = {name: f"{here}/{name}" for name in FILES if job.state == "done"}
        return {
            "schema": SCHEMA,
            "id": job.id,
            "status": job.state,
            "progress": round(job.progress, 4),
            "frames": job.frames,
            "reason": job.reason,
            "expires_sec": left,
            "links": {"self": here, **files},
        }

    def _sweep(self) -> None:
        now = time.monotonic()
        over = [
            job
            for job in self._jobs.values()
            if job.ended is not None and now - job.ended > self._limits.keep_sec
        ]
        for job in over:
            del self._jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)

    def _run(self, job: Job) -> None:
        job.state = "running"
        try:
            self._read(job)
            job.progress, job.state = 1.0, "done"
        except UnreadableError as error:
            job.reason, job.state = error.reason, "failed"
        except MienError as error:
            job.reason, job.state = str(error), "failed"
        except Exception:  # noqa: BLE001  the outermost layer: nobody else hears of it
            LOG.exception("fault", extra={"told": {"path": "/v1/video"}})
            job.reason, job.state = "a fault of the server", "failed"
        finally:
            job.video.unlink(missing_ok=True)
            job.ended = time.monotonic()

    def _read(self, job: Job) -> None:
        info = probe(job.video)
        if info.width * info.height > self._limits.pixels:
            raise TooLargeError(
                "video", f"{info.width} x {info.height} is over {self._limits.pixels:,} pixels"
            )
        model = self._pool.model(job.ask.model)
        options = model.analyzer.options
        least, most = self._pool.chosen(job.ask)
        chosen = replace(options, min_score=least, max_faces=most)
        deadline = time.monotonic() + self._limits.job_sec
        table = job.folder / "table.csv"
        with ExitStack() as stack:
            frames = stack.enter_context(read_video(job.video, fps=job.ask.fps, threads="NONE"))
            sinks = [
                stack.enter_context(open_sink("csv", table, VIDEO_COLUMNS)),
                stack.enter_context(open_sink("jsonl", job.folder / "table.jsonl", VIDEO_COLUMNS)),
            ]
            renamed = map(_renamed, frames)
            for told in analyze_stream(renamed, Analyzer(chosen), Motion(overlap=False)):
                self._check(job, deadline)
                for sink in sinks:
                    sink.write(told)
                _note(job, told, info.start, info.duration)
        write_page(read_recording(table), job.folder / "report.html", model_card=model.spec)

    def _check(self, job: Job, deadline: float) -> None:
        if job.stop.is_set():
            raise MienError("the video was deleted, or the server has ended")
        if time.monotonic() > deadline:
            raise MienError(
                f"the video took longer than {self._limits.job_sec:g} s: send a shorter one, or "
                "ask for fewer frames a second"
            )


def _renamed(frame: Frame | Unreadable) -> Frame | Unreadable:
    """Under a name that tells nothing of this machine's folders."""
    return replace(frame, source="video")


def _note(job: Job, told: Observation, start: float, duration: float | None) -> None:
    job.frames += 1
    if told.t_sec is not None and duration:
        job.progress = min(0.99, max(job.progress, (told.t_sec - start) / duration))

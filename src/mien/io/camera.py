"""The newest frame of a camera, a stream, or a file played in real time; older ones are dropped."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

from mien.errors import UnreadableError, UsageError
from mien.io.container import ToRgb
from mien.io.live import connect, place
from mien.types import Frame, Image, Unreadable

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Picture: TypeAlias = Union[Image, "VideoFrame"]

LiveSource: TypeAlias = int | str | os.PathLike[str] | Callable[[], Iterable[Image]]
"""A camera's number or device, a stream's URL, a file, or what gives pictures when it is called."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds before connecting anew; doubled each time


class Camera:
    """Live pictures, read by a thread that keeps the newest and forgets the others.

    However slow the reader of the frames is, each frame it gets is the newest there is. Use it in
    a ``with`` block, or iterate over it to the end; iterate once.

    `Frame.t_sec` is the time since the first frame arrived, by the machine's monotonic clock, when
    the frame arrived here; a source's own stamps are not used, as many give none or wrong ones.
    `Frame.index` counts all frames that arrived, so a step of more than one shows drops.

    A stream that is lost is connected to anew after 0.5, 1, 2, ... 8 seconds, up to `tries` times
    without a frame between them. Whatever ends the pictures before their time is the last thing
    yielded, as an `Unreadable`.

    Args:
        source: A camera's number or device, a stream's URL, a video file that is played in real
            time, or a function without arguments that connects and returns RGB pictures
            (h, w, 3) uint8, one after another.
        max_seconds: End so many seconds after the first frame.
        fps: Hand out no more frames than this a second.
        size: The width and height to ask of a camera; it may choose others.
        timeout: Seconds without a frame after which the source counts as lost.
        tries: How often to connect anew; by default 5 times to a URL and never to anything else.

    Raises:
        UsageError: a source or an argument that cannot be honoured.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        max_seconds: float | None = None,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
        timeout: float = 10.0,
        tries: int | None = None,
    ) -> None:
        if not all(value is None or value > 0 for value in (max_seconds, fps, timeout)):
            raise UsageError("max_seconds, fps and timeout must be above 0")
        self._stop = threading.Event()
        if callable(source):
            self.name, self._is_stream = "<frames>", False
            self._connect: Callable[[], Iterable[Picture]] = source
        else:
            where = place(source if isinstance(source, int) else os.fspath(source))
            self.name, self._is_stream = where.name, where.kind == "stream"
            self._connect = lambda: connect(where, timeout, size, self._stop)
        self._seconds = math.inf if max_seconds is None else max_seconds
        self._period = 0.0 if fps is None else 1 / fps
        self._timeout = timeout
        self._tries = tries if tries is not None else 5 if self._is_stream else 0
        self._news = threading.Condition()
        self._newest: tuple[int, float, Picture] | None = None
        self._first: float | None = None
        self._heard = 0.0
        self._count = self._dropped = self._reconnects = 0
        self._ended = False
        self._failure: str | None = None
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """How many frames arrived and were replaced by newer ones before they were asked for."""
        return self._dropped

    @property
    def reconnects(self) -> int:
        """How often a lost stream has been connected to anew."""
        return self._reconnects

    def start(self) -> None:
        """Connect, and read from now on; iterating does it by itself.

        Raises:
            UnreadableError: no such camera or stream; the reason says what to do.
            MissingExtraError: PyAV is not installed (extra ``video``).
        """
        if self._thread is not None or self._stop.is_set():
            return
        pictures = self._connect()
        self._heard = time.monotonic()
        self._thread = threading.Thread(
            target=self._read, args=(pictures,), name=self.name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Let go of the source; iterating ends."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2)

    def __enter__(self) -> Camera:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame | Unreadable]:
        """The newest frame that was not handed out before, each time one is asked for."""
        self.start()
        to_rgb: ToRgb | None = None
        try:
            due = 0.0
            while taken := self._take(due):
                index, t, picture = taken
                now = time.monotonic()
                due = (now if now > due + self._period else due) + self._period
                if isinstance(picture, np.ndarray):
                    rgb = picture
                else:
                    to_rgb = to_rgb or ToRgb()
                    rgb = to_rgb(picture)
                yield Frame(self.name, rgb, rgb.shape[1], rgb.shape[0], 1.0, index, t)
            if self._failure and not self._stop.is_set():
                yield Unreadable(self.name, self._failure)
        finally:
            self.close()

    def _take(self, due: float) -> tuple[int, float, Picture] | None:
        """The newest frame, at `due` or later; None after the last one."""
        with self._news:
            while not self._stop.is_set():
                now = time.monotonic()
                if now < due:
                    self._news.wait(due - now)
                elif self._newest is not None:
                    taken, self._newest = self._newest, None
                    return taken
                elif self._ended or self._is_over(now):
                    return None
                else:
                    self._news.wait(0.1)
        return None

    def _is_over(self, now: float) -> bool:
        """Whether the time is up, or a source has been silent for too long."""
        if self._first is not None and now - self._first >= self._seconds:
            return True
        if now - self._heard >= self._timeout and not self._tries:
            self._failure = self._failure or (
                f"no picture for {self._timeout:g} s: is another program using it, "
                "or has it been unplugged?"
            )
            return True
        return False

    def _read(self, pictures: Iterable[Picture]) -> None:
        """Read in the thread, and say when that is over, and why."""
        failure: str | None = "reading it stopped by an error of this program"
        try:
            failure = self._read_all(pictures)
        finally:
            with self._news:
                self._failure, self._ended = failure, True
                self._news.notify_all()

    def _read_all(self, pictures: Iterable[Picture]) -> str | None:
        """Read, connecting anew where that is allowed; why it ended, None if of its own."""
        failures = 0
        while True:
            count = self._count
            try:
                self._keep_newest(pictures)
                return None
            except (UnreadableError, OSError) as error:
                reason = error.reason if isinstance(error, UnreadableError) else str(error)
            failures = 1 if self._count > count else failures + 1
            if failures > self._tries:
                return reason + (f" (tried {self._tries} times anew)" if self._tries else "")
            if self._stop.wait(min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)):
                return None
            pictures = self._again()

    def _again(self) -> Iterator[Picture]:
        """A new connection, opened when its first picture is asked for."""
        self._reconnects += 1
        yield from self._connect()

    def _keep_newest(self, pictures: Iterable[Picture]) -> None:
        """Replace the newest frame until there are no more, the time is up or nobody listens."""
        source = iter(pictures)
        try:
            for picture in source:
                now = time.monotonic()
                with self._news:
                    if self._first is None:
                        self._first = now
                    t = now - self._first
                    if self._stop.is_set() or t >= self._seconds:
                        return
                    self._dropped += self._newest is not None
                    self._newest = self._count, t, picture
                    self._count += 1
                    self._heard = now
                    self._news.notify_all()
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

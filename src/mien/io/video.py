"""Video files become frames with true times: upright RGB, one after another, in flat memory.

Times are the container's own presentation times. Nothing is computed from a nominal frame rate
unless the container holds no times at all, and nothing is shifted, so a file whose first picture
is shown at 1.4 s has a first frame at 1.4 s.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import UnreadableError, UsageError
from mien.io.container import ToRgb, display_matrix, load_av, open_file, quarter_turns
from mien.io.decoding import Decoding, Shot, Threads, promised_end, rate_of, start_of
from mien.types import Frame, Unreadable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file says of itself; times are seconds, sizes are of the upright picture."""

    path: str
    width: int
    height: int
    fps: float | None  # average
    duration: float | None
    frames: int | None  # as the container counts them; None where it does not
    rotation: int  # degrees clockwise that turn the stored picture upright: 0, 90, 180, 270
    codec: str
    has_audio: bool
    start: float = 0.0  # the time of the first frame


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Open a video, decode its first frame, and say what there is to know before reading it.

    Raises:
        UnreadableError: not a video, or none that can be decoded.
        MissingExtraError: PyAV is not installed (extra ``video``).
    """
    name = os.fspath(path)
    container, stream = open_file(path)
    with container:
        first = _first(Decoding(name, container, stream, "NONE"))
        matrix = display_matrix(first.picture)
        turn = quarter_turns(matrix)
        size = first.picture.width, first.picture.height
        return VideoInfo(
            name,
            *(size[::-1] if turn in (90, 270) else size),
            fps=rate_of(stream),
            duration=_length(container, stream),
            frames=stream.frames or None,
            rotation=turn,
            codec=stream.codec.canonical_name,
            has_audio=bool(container.streams.audio),
            start=first.t,
        )


def read_video(
    path: str | os.PathLike[str],
    *,
    every: int = 1,
    fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    threads: Threads = "AUTO",
    thread_count: int = 0,
) -> Video:
    """Read a video file frame by frame, in order of presentation.

    The file is closed at its end, and by a ``with`` block or `Video.close` before that.

    `Frame.t_sec` is the container's own presentation time, whatever the frame rate does. Where it
    is missing the decoding time stands in, and where that is missing too (a bare H.264 stream)
    the time before plus one period of the nominal rate. `Frame.index` counts the frames that the
    decoder gives, from 0 at the start of the file, whichever of them are asked for: a start does
    not seek, it passes over frames without converting them. Frames are not deinterlaced, and
    pixels that are not square are not stretched. What `ToRgb` says of colours holds.

    After damage the frames up to the next key frame are left out, since they would be built on
    pictures that are not there, and an `Unreadable` says from when to when. One at the end says
    where a file broke off.

    Args:
        path: The file.
        every: Take the frames whose index is a multiple of this.
        fps: Take, for each point of a grid of this many a second that begins at the file's first
            frame, the frame nearest in time; no frame twice. Not together with `every`.
        start: Leave out frames before this second of the container's clock.
        end: Leave out frames at or after this second.
        threads: How the decoder uses threads. It changes nothing but the speed, and how many
            whole frames next to damaged ones are left out.
        thread_count: How many threads it uses; 0 for one a core.

    Returns:
        An iterator over frames, with an `Unreadable` for each stretch that cannot be decoded, for
        a file that ends early, for one that is no video (and nothing else), or for a span without
        frames.

    Raises:
        UsageError: an argument that cannot be honoured.
        MissingExtraError: PyAV is not installed (extra ``video``).
    """
    _check(every, fps, start, end)
    load_av("video files")
    name = os.fspath(path)
    return Video(name, _read(name, every, fps, start, end, threads, thread_count))


class Video:
    """An iterator over the frames of a video file that can be closed: what `read_video` gives."""

    def __init__(self, path: str, frames: Generator[Frame | Unreadable, None, None]) -> None:
        self.path = path
        self._frames = frames

    @property
    def info(self) -> VideoInfo:
        """What `probe` says of the file, which it may raise `UnreadableError` for."""
        return probe(self.path)

    def close(self) -> None:
        """Close the file; no more frames follow."""
        self._frames.close()

    def __iter__(self) -> Iterator[Frame | Unreadable]:
        return self

    def __next__(self) -> Frame | Unreadable:
        return next(self._frames)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _first(decoding: Decoding) -> Shot:
    """The first whole frame, behind damage if need be."""
    problem = Unreadable("", "")
    for shot in decoding.shots():
        if isinstance(shot, Shot):
            return shot
        problem = shot
    raise UnreadableError(problem.source, problem.reason)


def _check(every: int, fps: float | None, start: float | None, end: float | None) -> None:
    if every < 1:
        raise UsageError(f"every={every}: give 1 for all frames, 2 for every second one, ...")
    if fps is not None and not 0 < fps < math.inf:
        raise UsageError(f"fps={fps}: give a number of frames a second above 0")
    if fps is not None and every != 1:
        raise UsageError("every and fps both choose frames: give one of them")
    if start is not None and end is not None and not start < end:
        raise UsageError(f"start={start:g} is not before end={end:g} (seconds)")


def _read(
    name: str,
    every: int,
    fps: float | None,
    start: float | None,
    end: float | None,
    threads: Threads,
    thread_count: int,
) -> Generator[Frame | Unreadable, None, None]:
    try:
        container, stream = open_file(name)
    except UnreadableError as error:
        yield Unreadable(error.source, error.reason)
        return
    with container:
        decoding = Decoding(name, container, stream, threads, thread_count)
        shots = decoding.shots() if fps is None else _on_grid(decoding.shots(), fps)
        to_rgb = ToRgb()
        empty = True
        for shot in shots:
            if isinstance(shot, Unreadable):
                # Damage that ends before the span begins is nobody's concern.
                if start is None or decoding.ended or decoding.reached >= start:
                    yield shot
                    empty = False
                continue
            if end is not None and shot.t >= end:
                break
            if shot.index % every or (start is not None and shot.t < start):
                continue
            rgb = to_rgb(shot.picture)
            empty = False
            yield Frame(name, rgb, rgb.shape[1], rgb.shape[0], 1.0, shot.index, shot.t)
        if empty:
            yield Unreadable(name, _nothing(start, end, decoding))


def _nothing(start: float | None, end: float | None, decoding: Decoding) -> str:
    since = "the start" if start is None else f"{start:g} s"
    until = "the end" if end is None else f"{end:g} s"
    there = f"from {decoding.first_t:.3f} s "
    there += f"to {decoding.reached:.3f} s" if decoding.ended else "on"
    return f"no frame to take between {since} and {until}: its frames are {there}"


def _on_grid(shots: Iterator[Shot | Unreadable], fps: float) -> Iterator[Shot | Unreadable]:
    """The shots nearest to the points of a grid that begins at the first shot.

    A shot stands for the time from half way to the one before to half way to the one after. It
    is taken if a point of the grid lies in there; a point at the very border goes to the earlier.
    """
    origin: float | None = None
    held: Shot | None = None
    before = after = 0.0  # half the time to the neighbours of the held shot

    def wanted(shot: Shot) -> bool:
        point = math.ceil((shot.t - before - (origin or 0.0)) * fps + 1e-6)
        return point <= (shot.t + after - (origin or 0.0)) * fps + 1e-6

    for shot in itertools.chain(shots, [None]):
        gap = shot.t - held.t if isinstance(shot, Shot) and held else 0.0
        after = gap / 2 if gap > 0 else after
        if held and wanted(held):
            yield held
        if isinstance(shot, Unreadable):
            yield shot
        held = shot if isinstance(shot, Shot) else None
        if held and origin is None:
            origin, before = held.t, 1e-3 / fps
        else:
            before = after


def _length(container: InputContainer, stream: VideoStream) -> float | None:
    end = promised_end(container, stream)
    if end is not None:
        return end - start_of(stream)
    return container.duration / 1e6 if container.duration else None

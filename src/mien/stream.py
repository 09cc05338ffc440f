"""The stages joined for moving pictures: frames become observations that know who is who.

    frames -> faces on key frames -> ids -> crops of several frames -> scores -> gaps -> smoothing

Each stage is a generator over the one before; between some of them a thread reads ahead. What comes
out does not depend on that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mien.errors import UsageError
from mien.pipeline import Analyzer, Result, describe, options_of
from mien.types import Face, Frame, Smoothed, Unreadable
from mien.video.ahead import read_ahead
from mien.video.bridge import bridge
from mien.video.follow import Follower
from mien.video.keyframes import Seen, follow
from mien.video.reading import Reading, readings
from mien.video.smooth import LabelHold, Smoother

T = TypeVar("T")

_CROPS = 32  # crops read in one run of the network
_BYTES = 64 << 20  # pixels of the frames that are held back for that


@dataclass(frozen=True)
class Motion:
    """What can be done differently with moving pictures."""

    detect_every: int = 0
    """Look for faces on every so-manieth frame; 0: as often as the motion asks for."""
    gap: float = 0.5
    """A face gone for no more seconds than this is bridged between its two sightings."""
    smooth: float = 0.3
    """Time constant of the smoothed readings in seconds; 0 smooths nothing."""
    hold: float = 0.2
    """The smoothed expression changes once another one has led for so many seconds."""
    at_once: int = 16
    """Frames whose faces are read in one run of the network; 1 for live pictures."""
    overlap: bool = True
    """Read ahead in threads; the results are the same without."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.detect_every < 0:
            raise UsageError("detect_every must be 0 (by motion) or more frames")
        if not all(0 <= seconds < math.inf for seconds in (self.gap, self.smooth, self.hold)):
            raise UsageError("gap, smooth and hold are seconds, 0 or more")


def analyze_video(
    path: str | Path, *, motion: Motion = Motion(), **options: Any
) -> Iterator[Result]:
    """Read the expressions in a video file, frame by frame (extra ``video``).

    Args:
        path: the file.
        motion: what can be done differently with moving pictures.
        options: fields of `mien.Options`, such as ``max_faces=1``; and `every`, `fps`, `start`,
            `end` of `mien.io.video.read_video`, to read fewer frames.

    Returns:
        A `Result` a frame, read as they are asked for, with `t_sec` as the container has it and
        `face_id` telling people apart. Where the file is broken, one with the status "unreadable"
        that says so.
    """
    from mien.io.video import read_video

    chosen = {k: options.pop(k) for k in ("every", "fps", "start", "end") if k in options}
    frames = read_video(path, **chosen)
    return analyze_stream(frames, Analyzer(options_of(options)), motion)


def analyze_stream(
    frames: Iterable[Frame | Unreadable], analyzer: Analyzer, motion: Motion = Motion()
) -> Generator[Result, None, None]:
    """The observations of a stream of frames, one a frame and in its order.

    Args:
        frames: as `mien.io.video.read_video` or a camera gives them. One whose time is before that
            of an earlier one cannot be placed: it is left out, and told once a stretch.
        analyzer: the detector and the classifier.
        motion: what can be done differently with moving pictures.
    """
    with ExitStack() as stages:  # the last one is closed first

        def ahead(items: Iterable[T]) -> Iterable[T]:
            if not motion.overlap:
                return items
            return stages.enter_context(closing(read_ahead(items, _bytes)))

        coming = in_order(ahead(frames))
        seen = follow(coming, analyzer.find, Follower(), motion.detect_every, analyzer.find_near)
        told = bridge(read(ahead(seen), analyzer, motion.at_once), motion.gap)
        if motion.smooth:
            told = smooth(told, motion, lambda: analyzer.classifier.spec.answer.threshold)
        yield from told


def _bytes(item: object) -> int:
    frame = item.frame if isinstance(item, Seen) else item
    return frame.rgb.nbytes if isinstance(frame, Frame) else 0


def in_order(frames: Iterable[Frame | Unreadable]) -> Iterator[Frame | Unreadable]:
    """The frames whose times rise; an `Unreadable` stands for each stretch where they do not."""
    last, lost = -math.inf, False
    for item in frames:
        now = item.t_sec if isinstance(item, Frame) else None
        if now is None or now >= last:
            last, lost = last if now is None else now, False
            yield item
        elif not lost:
            lost = True
            assert isinstance(item, Frame)
            reason = f"the times run back from {last:.3f} s to {now:.3f} s: frames are left out"
            yield Unreadable(item.source, reason)


def read(seen: Iterable[Seen | Unreadable], analyzer: Analyzer, at_once: int) -> Iterator[Result]:
    """Read the expression of every face, those of several frames in one run of the network."""
    held: list[Seen | Unreadable] = []
    crops = held_bytes = 0
    for item in seen:
        held.append(item)
        if isinstance(item, Seen):
            crops += len(item.ids)
            held_bytes += item.frame.rgb.nbytes
        if crops >= _CROPS or len(held) >= at_once or held_bytes >= _BYTES:
            yield from _read(held, analyzer)
            held, crops, held_bytes = [], 0, 0
    yield from _read(held, analyzer)


def _read(held: list[Seen | Unreadable], analyzer: Analyzer) -> Iterator[Result]:
    seen = [item for item in held if isinstance(item, Seen)]
    crops = [analyzer.crops(item.frame, item.faces) for item in seen if item.ids]
    scores = analyzer.classifier(np.concatenate(crops)) if crops else None
    at = 0
    for item in held:
        if isinstance(item, Unreadable):
            yield analyzer.observe(item)
            continue
        faces: tuple[Face, ...] = ()
        if scores is not None and item.ids:
            end = at + len(item.ids)
            faces = describe(item.faces, scores.pick(slice(at, end)), item.ids)
            at = end
        yield analyzer.result(item.frame, faces)


def smooth(
    results: Iterable[Result], motion: Motion, threshold: Callable[[], float] = lambda: 0.0
) -> Iterator[Result]:
    """Put smoothed readings beside those of each face.

    Args:
        results: in the order of their times.
        motion: how much to smooth.
        threshold: gives the probability below which an expression is uncertain. It is asked only
            where there is a face, since a model may still be loading before.
    """
    smoother, hold = Smoother(motion.smooth), LabelHold(hold=motion.hold)
    for result in results:
        if result.t_sec is None or not result.faces:
            yield result
            continue
        found, _ = readings([result])
        least = threshold()
        evened = (hold.update(smoother.update(reading)) for reading in found)
        faces = (
            replace(face, smoothed=_smoothed(reading, least))
            for face, reading in zip(result.faces, evened, strict=True)
        )
        yield replace(result, faces=tuple(faces))


def _smoothed(reading: Reading, threshold: float) -> Smoothed:
    chances = dict(zip(reading.labels, reading.probabilities.tolist(), strict=True))
    label = reading.label
    part = chances[label]
    return Smoothed(label, part, chances, reading.valence, reading.arousal, part < threshold)

"""One pass of a decoder over a video stream: every whole frame, and words for those that are not.

After damage a decoder goes on with pictures built on ones that it does not have. They look like
faces smeared over each other, so the frames up to the next key frame are left out.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from mien.io.container import load_av, words
from mien.types import Unreadable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Threads: TypeAlias = Literal["AUTO", "FRAME", "SLICE", "NONE"]
"""How the decoder may use several threads, as PyAV calls it."""

_PATIENCE = 50  # failures of the file in a row after which it is not read on
_IN_DECODER = 100  # packets that may be in a decoder at once, at the most
_SLACK = 0.5  # seconds that may be missing at the end without a word


@dataclass(frozen=True, slots=True)
class Shot:
    """A decoded frame, not converted yet."""

    index: int
    t: float
    picture: VideoFrame


class Decoding:
    """One pass over a video stream: its shots, with an `Unreadable` wherever some are missing.

    Packets are numbered as they are decoded, and a frame is known by its time to be of a packet.
    It is whole if no packet failed between the last key frame and its own. A packet may turn out
    damaged only when its frame is shown, after frames that were built on it; so as many frames
    are held back as the decoder reorders.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: VideoStream,
        threads: Threads = "AUTO",
        thread_count: int = 0,
    ) -> None:
        stream.thread_type = threads
        stream.thread_count = thread_count
        self._name, self._container, self._stream = name, container, stream
        self._errors: type[Exception] = load_av("video files").error.FFmpegError
        self._by_frames = threads in ("AUTO", "FRAME")
        self._rate = rate_of(stream)
        self._sent = 0  # the number of the packet that went to the decoder last
        self._numbers: dict[int, int] = {}  # of the packets in the decoder, by their times
        self._failed: list[int] = []  # the packets known to be damaged, since the last key frame
        self._damage: str | None = None
        self._covered = -math.inf
        self._last = (-1, -math.inf)  # index and time of the last whole frame
        self._since: tuple[int, float] | None = None  # of the last before the first left out
        self.first_t: float | None = None  # of the first whole frame
        self.reached = -math.inf  # the time of the last frame that was decoded and let out
        self.ended = False

    def shots(self) -> Iterator[Shot | Unreadable]:
        """Every frame that is whole; what is not, in words, where it would have been."""
        held: deque[tuple[range, Shot]] = deque()
        t = None
        for index, frame in enumerate(self._pictures()):
            t = self._time(frame, t)
            order = self._number(frame)
            if frame.is_corrupt:
                self._fail("the decoder found damaged data", order)
            held.append((order, Shot(index, t, frame)))
            if len(held) > self._stream.codec_context.reorder_depth:
                yield from self._let_out(*held.popleft())
        for order, shot in held:
            yield from self._let_out(order, shot)
        self.ended = True
        if reason := self._damage or self._early():
            yield Unreadable(self._name, self._broke_off(reason))
        elif self.first_t is None:
            yield Unreadable(self._name, "no frames in it: the file holds a header and no pictures")

    def _let_out(self, order: range, shot: Shot) -> Iterator[Shot | Unreadable]:
        """The shot, if it is whole, and before it what is to say of a stretch that it ends."""
        self.reached = shot.t
        if shot.picture.key_frame and not set(order) & set(self._failed):
            self._failed = [failed for failed in self._failed if failed > order[0]]
        if any(failed <= order[-1] for failed in self._failed):
            self._since = self._since or self._last
            return
        if self._damage and not self._failed:
            yield self._mended(shot.t)
        self._advance(shot)
        yield shot

    def _pictures(self) -> Iterator[VideoFrame]:
        """Decoded frames, whole or not; failures are noted."""
        for packet in self._packets():
            self._sent += 1
            if packet is not None and packet.pts is not None:
                self._numbers[packet.pts] = self._sent
                if len(self._numbers) > _IN_DECODER:
                    del self._numbers[next(iter(self._numbers))]
            try:
                frames = self._stream.decode(packet)
            except self._errors as error:
                self._fail(words(error), range(self._sent - self._late(), self._sent + 1))
            else:
                yield from frames

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The packets up to the empty one that flushes the decoder (None after failures)."""
        failures = 0
        while failures < _PATIENCE:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except self._errors as error:
                failures += 1
                self._sent += 1  # for the packet that is lost
                self._fail(words(error), range(self._sent, self._sent + 1))
        yield None

    def _late(self) -> int:
        """How many packets ago one failed that is told of now: decoders may work on several."""
        threads = self._stream.codec_context.thread_count if self._by_frames else 1
        return max(threads, 1) - 1

    def _number(self, frame: VideoFrame) -> range:
        """The number of the frame's packet; where its time does not tell, those it can be."""
        number = None if frame.pts is None else self._numbers.pop(frame.pts, None)
        if number is not None:
            return range(number, number + 1)
        delay = self._late() + self._stream.codec_context.reorder_depth
        return range(self._sent - delay, self._sent + 1)

    def _fail(self, damage: str, packets: range) -> None:
        self._damage = self._damage or damage
        self._failed += packets

    def _mended(self, t: float) -> Unreadable:
        index, last = self._since or self._last
        since = "the start" if index < 0 else f"{last:.3f} s (frame {index})"
        reason = f"damaged between {since} and {t:.3f} s, left out: {self._damage}"
        self._damage = self._since = None
        return Unreadable(self._name, reason)

    def _advance(self, shot: Shot) -> None:
        if self.first_t is None:
            self.first_t = shot.t
        self._last = shot.index, shot.t
        shown = float(shot.picture.duration * (self._stream.time_base or 0))
        self._covered = max(self._covered, shot.t + (shown or 1 / (self._rate or 25)))

    def _time(self, frame: VideoFrame, before: float | None) -> float:
        stamp = frame.dts if frame.pts is None else frame.pts
        base = self._stream.time_base
        if stamp is not None and base is not None:
            return stamp * base.numerator / base.denominator
        return 0.0 if before is None else before + 1 / (self._rate or 25)

    def _early(self) -> str | None:
        """What to say if the header promises more than came."""
        end = promised_end(self._container, self._stream)
        slack = max(_SLACK, 3 / (self._rate or 25))
        if end is None or self.first_t is None or self._covered >= end - slack:
            return None
        return f"the file ends early; its header promises pictures up to {end:.3f} s"

    def _broke_off(self, reason: str) -> str:
        if self.first_t is None:
            return f"no frame of it can be decoded: {reason}"
        total = self._stream.frames
        end = promised_end(self._container, self._stream)
        if not total and end is not None and self._rate:
            total = round((end - start_of(self._stream)) * self._rate)
        index, t = self._last
        about = f" of about {total}" if total > index else ""
        return f"broke off after {t:.3f} s (frame {index}{about}): {reason}"


def rate_of(stream: VideoStream) -> float | None:
    """The average number of frames a second, as far as the container tells."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def start_of(stream: VideoStream) -> float:
    """The second at which the stream begins, by the header; 0 where that does not say."""
    return float((stream.start_time or 0) * (stream.time_base or 0))


def promised_end(container: InputContainer, stream: VideoStream) -> float | None:
    """When the last picture ends, by the header; None where that says nothing of the pictures."""
    if stream.duration and stream.time_base:
        return start_of(stream) + float(stream.duration * stream.time_base)
    tag = re.match(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if tag:  # Matroska
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds
    if container.duration and len(container.streams) == 1:
        return (container.start_time or 0) / 1e6 + container.duration / 1e6
    return None

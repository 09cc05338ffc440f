"""Pictures become an H.264 clip that browsers play, at their own times, with the sound of a source.

As with other files mien writes, the clip is written beside its place, with ``.part`` behind its
name, and moved there when it is whole.
"""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mien.errors import MienError, UnreadableError, UsageError
from mien.io.container import load_av, words
from mien.io.sound import Sound
from mien.types import Image

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
"""The H.264 encoders that are looked for, best first."""

_TICK = Fraction(1, 90_000)  # of the clip's clock


class ClipWriter:
    """Writes one clip: MP4, H.264, yuv420p, its index at the front.

    The clip has the clock of the times it is given, less `offset`: frames may come at any rate
    and the first may come late. The last one is shown as long as the one before it. Sound from
    `sound` is copied where MP4 can hold its codec and else made AAC; it is cut where the last
    frame ends. Odd sizes are padded by one row or column, see `note`.

    Args:
        path: The file to write, normally ``.mp4``.
        width: Of the pictures. One of another size is scaled to this.
        height: Of the pictures.
        sound: A file whose first sound track goes along; one without any is no error.
        offset: The second of the source at which the clip begins, if only a part is written.
        quality: x264's constant rate factor, 0 (lossless) to 51; other encoders use their own.

    Raises:
        UsageError: a path that cannot be written, or sizes and a quality that make no sense.
        MienError: this PyAV has no H.264 encoder.
        MissingExtraError: PyAV is not installed (extra ``video``).
        UnreadableError: `sound` cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        *,
        sound: str | os.PathLike[str] | None = None,
        offset: float = 0.0,
        quality: int = 20,
    ) -> None:
        self._av = load_av("annotated clips")
        if width < 1 or height < 1 or not 0 <= quality <= 51:
            raise UsageError(f"a clip of {width} x {height} pixels, quality {quality} of 0 to 51")
        self.path = Path(path)
        self._beside = self.path.with_name(self.path.name + ".part")
        self._offset, self._end = offset, 0
        self._held: tuple[int, VideoFrame] | None = None
        self._gap = round(Fraction(1, 25) / _TICK)
        self._durations: dict[int, int] = {}
        self._closed = False
        encoder = h264_encoder()
        self._out = self._open()
        self._video = self._add_video(encoder, width, height, quality)
        self._padded = _padded(width, height)
        self._sound = None if sound is None else self._open_sound(sound)
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    @property
    def note(self) -> str | None:
        """What the clip has that its source had not, or lacks: padding, sound that broke off."""
        problem = self._sound.problem if self._sound else None
        return "; ".join(part for part in (self._padded, problem) if part) or None

    def write(self, rgb: Image, t_sec: float) -> None:
        """Add a picture (h, w, 3) RGB uint8 that is shown from the second `t_sec` on.

        Raises:
            UsageError: a time that is before the last one. One at the same time, by the clip's
                clock of 90 kHz, is put a tick behind it.
            MienError: the disk is full, or the encoder failed.
        """
        stamp = round((t_sec - self._offset) / _TICK)
        if self._held is not None:
            before, held = self._held
            if stamp < before:
                raise UsageError(
                    f"{self.path}: a frame at {t_sec:.6f} s after one at "
                    f"{float(before * _TICK) + self._offset:.6f} s: write them in order"
                )
            stamp = max(stamp, before + 1)
            self._gap = stamp - before
            self._encode(before, held)
        picture = self._av.VideoFrame.from_ndarray(self._fit(rgb), format="rgb24")
        self._held = stamp, self._reformatter.reformat(picture, format="yuv420p", threads=1)

    def close(self) -> None:
        """Write what is left, end the file and move it to its place.

        Raises:
            UsageError: nothing was written to it.
            MienError: the disk is full, or the encoder failed.
        """
        if self._closed:
            return
        if self._held is None:
            self.abandon()
            raise UsageError(f"{self.path}: no clip, since no picture was written to it")
        self._encode(*self._held)
        with self._failures():
            self._mux(self._video.encode(None))
            if self._sound:
                self._sound.copy_until(self._end * _TICK, last=True)
            self._release()
        self._beside.replace(self.path)

    def abandon(self) -> None:
        """Let go of the file after an error; what was written can be played as ``.part``."""
        if not self._closed:
            with contextlib.suppress(self._av.error.FFmpegError):
                self._mux(self._video.encode(None))
            with contextlib.suppress(self._av.error.FFmpegError):
                self._release()

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _release(self) -> None:
        self._closed = True
        self._held = None
        try:
            if self._sound:
                self._sound.close()
        finally:
            self._out.close()

    def _open(self) -> OutputContainer:
        if self.path.is_dir():
            raise UsageError(f"cannot write {self.path}: it is a folder")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            opened = self._av.open(
                f"file:{self._beside}", "w", format="mp4", options={"movflags": "+faststart"}
            )
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {words(error)}") from error
        return cast("OutputContainer", opened)

    def _open_sound(self, path: str | os.PathLike[str]) -> Sound:
        try:
            return Sound(path, self._out, self._offset)
        except UnreadableError:
            self._out.close()
            self._beside.unlink(missing_ok=True)
            raise

    def _add_video(self, encoder: str, width: int, height: int, quality: int) -> VideoStream:
        options = {"crf": str(quality), "preset": "veryfast"} if encoder == "libx264" else {}
        video = cast("VideoStream", self._out.add_stream(encoder, options=options))
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = _TICK
        video.codec_context.gop_size = 50
        # With frames that refer to later ones, MP4's length is wrong where the rate varies.
        video.codec_context.max_b_frames = 0
        return video

    def _encode(self, stamp: int, frame: VideoFrame) -> None:
        """Encode a frame whose duration is known, and the sound up to its end."""
        frame.pts, frame.time_base = stamp, _TICK
        self._durations[stamp] = self._gap
        self._end = stamp + self._gap
        with self._failures():
            self._mux(self._video.encode(frame))
            if self._sound:
                self._sound.copy_until(self._end * _TICK)

    def _fit(self, rgb: Image) -> Image:
        """The picture at the clip's size: padded by its last row or column, or scaled."""
        height, width = rgb.shape[:2]
        down, right = self._video.height - height, self._video.width - width
        if down in (0, height % 2) and right in (0, width % 2):
            return np.ascontiguousarray(np.pad(rgb, ((0, down), (0, right), (0, 0)), mode="edge"))
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        scaled = picture.reformat(width=self._video.width, height=self._video.height)
        return cast(Image, scaled.to_ndarray())

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, self._gap)
            self._out.mux(packet)

    @contextlib.contextmanager
    def _failures(self) -> Any:
        try:
            yield
        except self._av.error.FFmpegError as error:
            raise MienError(f"cannot write {self._beside}: {words(error)}") from error


def h264_encoder() -> str:
    """The name of the best H.264 encoder that this PyAV has.

    Raises:
        MienError: it has none.
    """
    av = load_av("annotated clips")
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise MienError(
        "this PyAV was built without an H.264 encoder, and other clips would not play in browsers: "
        "install its wheel (pip install --force-reinstall --only-binary av av)"
    )


def _padded(width: int, height: int) -> str | None:
    if width % 2 == 0 and height % 2 == 0:
        return None
    even = f"{width + width % 2} x {height + height % 2}"
    return f"{width} x {height} is padded to {even}, since browsers play even sizes alone"

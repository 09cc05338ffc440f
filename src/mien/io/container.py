"""Video files opened by PyAV (extra ``video``), and their pictures made upright RGB."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingExtraError, UnreadableError
from mien.io.images import why_not_opened
from mien.types import Image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FORMATS = "MP4, MOV, MKV, WebM, AVI, MPEG-TS"

_PICTURE_FORMATS = re.compile(r"image2.*|.*_pipe|tty|ico")
_PHOTO = re.compile(rb".{4}ftyp(hei|hev|mif1|msf1|avi[fs])", re.DOTALL)
_PLAYLIST = re.compile(rb"#EXTM3U|ffconcat|v=0\r?\n")
_MP4 = re.compile(rb".{4}(ftyp|moov|mdat|wide|free)", re.DOTALL)

_PROTOCOLS = "file,crypto,data"  # what a file may lead to: never the network


def load_av(feature: str) -> ModuleType:
    """PyAV, for `feature`, which the error names.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(feature, "video") from error
    return av


def open_file(path: str | os.PathLike[str]) -> tuple[InputContainer, VideoStream]:
    """Open a video file and choose the video stream that a player would show.

    Covers of music files are no video, and neither are photos, which FFmpeg would open as well.
    Playlists are refused, and whatever else a file refers to, nothing of the network is opened.

    Raises:
        UnreadableError: no file, or no video in it; the reason says what it is and what to do.
        MissingExtraError: PyAV is not installed.
    """
    av = load_av("video files")
    name = os.fspath(path)
    head = _head(name)
    try:
        container = cast(
            "InputContainer",
            av.open(f"file:{name}", container_options={"protocol_whitelist": _PROTOCOLS}),
        )
    except UnicodeEncodeError as error:
        raise UnreadableError(name, "its name is not valid text: rename the file") from error
    except av.error.FFmpegError as error:
        raise UnreadableError(name, _why_not_opened(error, head)) from error
    try:
        return container, _choose(container, name, head)
    except UnreadableError:
        container.close()
        raise


def words(error: Exception) -> str:
    """What FFmpeg said, in a few words."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


class ToRgb:
    """Turns decoded frames into upright RGB arrays; keep one per video, it keeps its tables."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._matrices: dict[int, tuple[int, int, int, int]] = {}

    def __call__(self, frame: VideoFrame) -> Image:
        """The picture (h, w, 3) uint8, contiguous and read-only.

        Any pixel format becomes 8-bit RGB by FFmpeg's scaler with the frame's own colour matrix
        and range (high dynamic range is not tone-mapped). The display matrix is applied to the
        nearest quarter turn, mirrored where it says so. Pixels that are not square stay as they
        are stored.
        """
        flat = self._reformatter.reformat(frame, format="rgb24", threads=1)
        # PyAV ties a frame whose side data is asked for into a circle of references, so that its
        # pixels stay until the next garbage collection: ask once, unless the rotation changes.
        if frame.rotation not in self._matrices:
            self._matrices[frame.rotation] = display_matrix(frame)
        rgb = np.ascontiguousarray(upright(flat.to_ndarray(), self._matrices[frame.rotation]))
        rgb.setflags(write=False)
        return cast(Image, rgb)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of a frame's display matrix that turns and mirrors; else 1, 0, 0, 1.

    As in FFmpeg's ``libavutil/display.h``: a pixel at (p, q) is shown at (a p + c q, b p + d q).
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return 1, 0, 0, 1
    values = np.frombuffer(bytes(cast("SideData", found)), np.int32)
    return int(values[0]), int(values[1]), int(values[3]), int(values[4])


def upright(rgb: NDArray[np.generic], matrix: tuple[int, int, int, int]) -> NDArray[np.generic]:
    """The picture (h, w, 3) as the display matrix (a, b, c, d) shows it, by quarter turns."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, a, d = rgb.transpose(1, 0, 2), c, b
    if a < 0:
        rgb = rgb[:, ::-1]
    return rgb[::-1] if d < 0 else rgb


def quarter_turns(matrix: tuple[int, int, int, int]) -> int:
    """How far clockwise the display matrix turns the picture: 0, 90, 180 or 270 degrees.

    >>> quarter_turns((0, 65536, -65536, 0))
    90
    """
    a, b, _, _ = matrix
    return round(float(np.degrees(np.arctan2(b, a))) / 90) % 4 * 90


def _head(name: str) -> bytes:
    """The first bytes of a file that is there and not empty."""
    if re.match(r"[a-z]+://", name):
        raise UnreadableError(name, "a web address: live streams are read as cameras are")
    try:
        kind = Path(name).stat()
        if stat.S_ISDIR(kind.st_mode):
            raise UnreadableError(name, "a folder, not a video")
        if not stat.S_ISREG(kind.st_mode):
            return b""
        with Path(name).open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError) as error:
        raise UnreadableError(name, why_not_opened(error)) from error
    if not head:
        raise UnreadableError(name, "the file is empty")
    if _PLAYLIST.match(head):
        raise UnreadableError(name, "a playlist, not a video: give the files that it names")
    return head


def _choose(container: InputContainer, name: str, head: bytes) -> VideoStream:
    from av.stream import Disposition

    if _PICTURE_FORMATS.fullmatch(container.format.name) or _PHOTO.match(head):
        raise UnreadableError(name, "a picture or a text, not a video")
    stream = cast("VideoStream | None", container.streams.best("video"))
    if stream is None or stream.disposition & Disposition.attached_pic:
        others = sorted({str(s.type) for s in container.streams if s is not stream})
        raise UnreadableError(name, f"no video in it, only {' and '.join(others) or 'a picture'}")
    if stream.codec_context is None:
        raise UnreadableError(
            name, "a video codec that this FFmpeg cannot decode: convert the file to H.264 MP4"
        )
    return stream


def _why_not_opened(error: Exception, head: bytes) -> str:
    if isinstance(error, OSError):
        return why_not_opened(error)
    if _MP4.match(head) and not _PHOTO.match(head):
        return (
            "its index is missing or damaged: the recording or the copy was not finished; "
            "copy the file again, or repair it with the program that recorded it"
        )
    return f"not a video mien can read ({FORMATS}): {words(error)}"

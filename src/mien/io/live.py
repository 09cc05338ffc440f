"""Connections to what is filmed now: a camera of this machine, a stream, a file played as if live.

Only Linux cameras (V4L2) have been tried; macOS (AVFoundation) and Windows (DirectShow) are opened
as FFmpeg documents it.
"""

from __future__ import annotations

import errno
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from mien.errors import UnreadableError, UsageError
from mien.io.container import load_av, open_file, words

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,data"


@dataclass(frozen=True, slots=True)
class Place:
    """Where live pictures come from, and what to call it (no password of a URL is in the name)."""

    kind: Literal["camera", "stream", "file"]
    address: str
    name: str
    number: int | None = None


def place(source: int | str) -> Place:
    """Tell a camera (``0``, ``/dev/video0``, ``video=NAME``), a stream's URL and a file apart.

    Raises:
        UsageError: none of them.
    """
    text = str(source)
    if re.fullmatch(r"\d+", text):
        return Place("camera", text, f"camera:{int(text)}", int(text))
    if text.startswith(("/dev/", "video=")):
        return Place("camera", text, text)
    if re.match(r"[a-z][a-z0-9+]*://", text):
        return Place("stream", text, re.sub(r"(?<=://)[^/@]*@", "", text))
    if Path(text).is_file():
        return Place("file", text, text)
    raise UsageError(
        f"no camera, stream or file {text!r}: give a camera's number such as 0, its device, "
        "the URL of a stream (rtsp://, http://, udp://) or a video file"
    )


def connect(
    where: Place, timeout: float, size: tuple[int, int] | None, stop: threading.Event
) -> Iterator[VideoFrame]:
    """Open a place at once, and give its frames as they come, or a file's at their times.

    Frames that cannot be decoded are passed over. The end of a stream without a length is an
    error, since somebody ended it; so is `timeout` seconds without data where FFmpeg can tell.
    Pauses end early when `stop` is set.

    Raises:
        UnreadableError: it cannot be opened, or later on, it is lost.
        MissingExtraError: PyAV is not installed.
    """
    if where.kind == "file":
        container, stream = open_file(where.address)
    else:
        camera = where.kind == "camera"
        container = _open_camera(where, size) if camera else _open_stream(where, timeout)
        stream = _first_video(container, where.name)
    stream.thread_type = "SLICE"  # frame threads would hold frames back
    return _frames(where, container, stream, stop)


def _frames(
    where: Place, container: InputContainer, stream: VideoStream, stop: threading.Event
) -> Iterator[VideoFrame]:
    errors = load_av("cameras").error
    paced = _Pace(stream, stop) if where.kind == "file" else None
    endless = where.kind != "file" and not container.duration
    with container:
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except errors.InvalidDataError:
                    continue
                for frame in frames:
                    if paced:
                        paced.wait(frame)
                    yield frame
        except errors.FFmpegError as error:
            raise UnreadableError(where.name, f"the connection was lost: {words(error)}") from error
    if endless:
        raise UnreadableError(where.name, "the connection was lost: it sends no more pictures")


class _Pace:
    """Waits until it is time for a frame of a file, as a player does."""

    def __init__(self, stream: VideoStream, stop: threading.Event) -> None:
        self._base = float(stream.time_base or 0)
        self._period = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        self._stop = stop
        self._began: float | None = None
        self._first = self._last = 0.0

    def wait(self, frame: VideoFrame) -> None:
        """Return when the frame is due, or when told to stop."""
        t = self._last + self._period if frame.pts is None else frame.pts * self._base
        if self._began is None:
            self._began, self._first = time.monotonic(), t
        self._last = t
        self._stop.wait(max(0.0, self._began + t - self._first - time.monotonic()))


def _open_stream(where: Place, timeout: float) -> InputContainer:
    av = load_av("cameras and streams")
    options = {"fflags": "nobuffer", "flags": "low_delay", "protocol_whitelist": _PROTOCOLS}
    if where.address.startswith("rtsp://"):
        options["rtsp_transport"] = "tcp"
    try:
        return cast(
            "InputContainer", av.open(where.address, options=options, timeout=(timeout, timeout))
        )
    except av.error.FFmpegError as error:
        raise UnreadableError(
            where.name,
            f"cannot be reached: {words(error)}; check the address, the network and the password",
        ) from error


def _open_camera(where: Place, size: tuple[int, int] | None) -> InputContainer:
    av = load_av("cameras")
    options = {"video_size": f"{size[0]}x{size[1]}"} if size else {}
    if sys.platform == "darwin":
        options["framerate"] = "30"  # its default of 29.97 is refused by most cameras
        device, system = f"{where.address}:none", "avfoundation"
    elif sys.platform == "win32":
        device, system = _windows_name(av, where), "dshow"
    else:
        device = where.address if where.number is None else f"/dev/video{where.number}"
        system = "v4l2"
        if not Path(device).exists():
            raise UnreadableError(where.name, f"no such camera: {_cameras_here()}")
    try:
        return cast("InputContainer", av.open(device, format=system, options=options))
    except av.error.FFmpegError as error:
        raise UnreadableError(where.name, _why_no_camera(error, device)) from error
    except ValueError as error:  # this FFmpeg was built without the system's cameras
        raise UnreadableError(
            where.name, f"PyAV was built without {system}, which reads cameras: {error}"
        ) from error


def _cameras_here() -> str:
    found = sorted(str(path) for path in Path("/dev").glob("video[0-9]*"))
    if found:
        return f"there are {', '.join(found)}; give the number of one of them"
    return (
        "this machine has none; plug one in, or where this is a container, pass it in with "
        "--device=/dev/video0; recordings and rtsp:// or http:// streams work without"
    )


def _why_no_camera(error: Exception, device: str) -> str:
    if isinstance(error, PermissionError):
        if sys.platform == "linux":
            return (
                f"not allowed to open {device}: add yourself to the group that may "
                "(sudo usermod -aG video $USER), then log out and in"
            )
        return "not allowed: let this program use the camera in the system's privacy settings"
    if getattr(error, "errno", None) == errno.EBUSY:
        return f"{device} is in use: close the other program that shows the camera"
    return (
        f"{device} gives no pictures ({words(error)}): try another number, since one camera may "
        "have several, and check that the system lets this program use cameras"
    )


def _windows_name(av: Any, where: Place) -> str:
    if where.number is None:
        return where.address
    found = [
        device.description
        for device in av.device.enumerate_input_devices("dshow")
        if "video" in device.media_types
    ]
    if where.number >= len(found):
        raise UnreadableError(
            where.name, f"no such camera: there are {', '.join(found) or 'none'}, counted from 0"
        )
    return f"video={found[where.number]}"


def _first_video(container: InputContainer, name: str) -> VideoStream:
    stream = cast("VideoStream | None", container.streams.best("video"))
    if stream is None or stream.codec_context is None:
        container.close()
        raise UnreadableError(name, "it sends no pictures that this FFmpeg can decode")
    return stream

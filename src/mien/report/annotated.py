"""An annotated copy of a video, as a sink for its results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.io.clip import ClipWriter
from mien.io.video import VideoInfo
from mien.report.draw import annotate
from mien.types import Image, Observation


class AnnotatedClip:
    """Draws the faces of each frame on it and adds it to an H.264 clip with the video's sound."""

    def __init__(self, path: Path, info: VideoInfo, begin: float | None = None) -> None:
        offset = info.start if begin is None else max(begin, info.start)
        self._clip = ClipWriter(path, info.width, info.height, sound=info.path, offset=offset)
        self._empty = True

    @property
    def note(self) -> str | None:
        """What the clip has that its source had not, or lacks."""
        return self._clip.note

    def write(self, observation: Observation, picture: Image | None) -> None:
        """Add the frame `picture` (h, w, 3) that `observation` is of; without one, nothing."""
        if picture is not None and observation.t_sec is not None:
            self._clip.write(annotate(picture, observation), observation.t_sec)
            self._empty = False

    def close(self) -> None:
        """End the clip; without a single frame there is none."""
        if self._empty:
            self._clip.abandon()
        else:
            self._clip.close()

    def abandon(self) -> None:
        """Let go of the file after an error."""
        self._clip.abandon()


@contextmanager
def annotated_clip(
    path: Path, info: VideoInfo, begin: float | None = None
) -> Iterator[AnnotatedClip]:
    """An `AnnotatedClip` that is whole when the block ends without an error."""
    clip = AnnotatedClip(path, info, begin)
    whole = False
    try:
        yield clip
        whole = True
    finally:
        (clip.close if whole else clip.abandon)()

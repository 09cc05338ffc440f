"""The sound of one file goes into another: copied where browsers play it, else made AAC."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from mien.errors import UnreadableError
from mien.io.container import load_av, words

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

COPIED = frozenset({"aac", "mp3", "opus"})
"""The codecs whose packets are put in an MP4 file as they are: browsers play these in it."""


class Sound:
    """Feeds the first sound track of a file into a clip, as far as the pictures have come.

    Args:
        path: The file; one without sound feeds nothing.
        clip: The MP4 file to feed, before anything is written to it.
        offset: Seconds of the file before which its sound is left out; the clip's time 0.

    Raises:
        UnreadableError: the file cannot be opened.
    """

    def __init__(
        self, path: str | os.PathLike[str], clip: OutputContainer, offset: float = 0.0
    ) -> None:
        self._av = load_av("annotated clips")
        self._clip, self._offset = clip, Fraction(offset)
        try:
            self._source = cast("InputContainer", self._av.open(f"file:{os.fspath(path)}"))
        except (self._av.error.FFmpegError, UnicodeEncodeError) as error:
            raise UnreadableError(os.fspath(path), f"has no sound: {words(error)}") from error
        found = cast("AudioStream | None", self._source.streams.best("audio"))
        self.copied = found is not None and found.codec.canonical_name in COPIED
        self.problem: str | None = None
        self._track: Any = None
        self._waiting: tuple[Fraction, Any] | None = None
        self._pieces: Iterator[tuple[Fraction, Any]] = iter(())
        if found is not None and self.copied:
            self._track = clip.add_stream_from_template(found)
            self._pieces = self._shifted(self._source.demux(found))
        elif found is not None:
            self._track = clip.add_stream("aac", rate=min(found.rate, 48_000))
            self._track.codec_context.layout = "mono" if found.channels == 1 else "stereo"
            self._pieces = self._shifted(self._decoded(found))

    def copy_until(self, end: Fraction, *, last: bool = False) -> None:
        """Put in the clip all that starts before its time `end`; with `last`, nothing will follow.

        Raises:
            FFmpegError: the clip cannot be written. Where the sound cannot be read any further it
                ends, and `problem` says why.
        """
        while piece := self._waiting or next(self._pieces, None):
            if piece[0] >= end:
                self._waiting = piece
                break
            self._waiting = None
            self._put(piece[1])
        if last and self._track is not None and not self.copied:
            self._clip.mux(self._track.encode(None))

    def close(self) -> None:
        """Close the source; the clip stays open."""
        self._source.close()

    def _put(self, piece: Any) -> None:
        if self.copied:
            piece.stream = self._track
            self._clip.mux(piece)
        else:
            self._clip.mux(self._track.encode(piece))

    def _shifted(self, pieces: Iterator[Any]) -> Iterator[tuple[Fraction, Any]]:
        """Packets or frames on the clip's clock, with their times; none from before its start."""
        while True:
            try:
                piece = next(pieces, None)
            except self._av.error.FFmpegError as error:
                self.problem = f"the sound broke off: {words(error)}"
                return
            if piece is None:
                return
            if piece.pts is None:
                continue
            base = piece.time_base
            shift = round(self._offset / base)
            piece.pts -= shift
            if piece.dts is not None:
                piece.dts -= shift
            if not self._offset or (piece.pts + (piece.duration or 0)) * base > 0:
                yield piece.pts * base, piece

    def _decoded(self, track: AudioStream) -> Iterator[Any]:
        """The frames of the track; packets that cannot be decoded are passed over."""
        for packet in self._source.demux(track):
            try:
                frames = packet.decode()
            except self._av.error.InvalidDataError:
                continue
            yield from frames

"""What went by, counted, for the line at the end and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from mien.cli.main import FAILED, INTERRUPTED, OK
from mien.types import Observation


class Tally:
    """Counts what went by, and tells on stderr what could not be read."""

    def __init__(self) -> None:
        self.photos = self.frames = self.faces = self.failed = 0
        self.people: set[int] = set()
        """The ids of the faces of frames; those of photos mean nobody."""

    def add(self, result: Observation) -> None:
        """Count one photo or frame. A stretch of a video that cannot be read has no time."""
        if result.status == "unreadable":
            self.failed += 1
            sys.stderr.write(f"mien: {result.source}: {result.error}\n")
        self.faces += len(result.faces)
        if result.t_sec is None:
            self.photos += 1
            return
        self.frames += 1
        self.people |= {face.face_id for face in result.faces}

    def over(self, results: Iterator[Observation]) -> Iterator[Observation]:
        """Count the results and pass them on."""
        for result in results:
            self.add(result)
            yield result

    def of_photos(self) -> str:
        """One line: photos, frames of videos, faces, failures."""
        frames = f"{self.frames} frames, " if self.frames else ""
        return f"{self.photos} photos, {frames}{self.faces} faces{self._failures('')}\n"

    def of_frames(self) -> str:
        """One line: frames, faces, people, stretches that could not be read."""
        people = f"{len(self.people)} people{self._failures('stretches ')}"
        return f"{self.frames} frames, {self.faces} faces, {people}\n"

    def status(self, *, interrupted: bool = False) -> int:
        """The exit status; an interruption is told on stderr."""
        if interrupted:
            sys.stderr.write("mien: stopped; what was read until then has been written\n")
            return INTERRUPTED
        return FAILED if self.failed else OK

    def _failures(self, what: str) -> str:
        return f", {self.failed} {what}could not be read" if self.failed else ""

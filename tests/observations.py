"""Observations to test with: one of every status, with names that are hard to write."""

import os

from mien.labels import EIGHT
from mien.types import Face, Observation

UNDECODABLE = os.fsdecode(b"caf\xe9 \xff.jpg") if os.name == "posix" else "caf\udce9 \udcff.jpg"
"""The name of a file whose bytes are not UTF-8, as Python's file functions give it."""


def face(expression="happiness", box=(10, 20, 110, 140), probability=0.93, face_id=0, **more):
    """A face whose other labels share what `probability` leaves."""
    rest = (1 - probability) / 7
    shares = {label: probability if label == expression else rest for label in EIGHT}
    box = tuple(float(v) for v in box)
    return Face(face_id, box, 0.98765, expression, probability, shares, **more)


def ok(source="photo.jpg", *faces, width=800, height=600, **more):
    """An observation with faces."""
    return Observation(source, "ok", width, height, "tiny", faces or (face(),), **more)


def no_face(source="street.png"):
    """A picture that was read, without a face."""
    return Observation(source, "no_face", 320, 240, "tiny")


def unreadable(source="broken.jpg", error="the file is empty"):
    """A picture that could not be read."""
    return Observation(source, "unreadable", 0, 0, "tiny", error=error)


def one_of_each():
    """Every status, and every kind of name."""
    two = (face(valence=0.71239, arousal=-0.3), face("anger", (1.26, 2, 3, 4), 0.5, 1))
    return [
        ok("photo.jpg"),
        ok("zwei, „Gesichter“ \n 日本 \U0001f600.jpg", *two, frame=12, t_sec=0.48),
        no_face("a\tb;c 'd'.png"),
        unreadable("broken.jpg", 'it said "no", twice'),
        unreadable(UNDECODABLE, "no such file"),
        ok(UNDECODABLE, face("fear", valence=0.0, arousal=0.0)),
    ]

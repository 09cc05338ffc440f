"""What happened when: stretches of one expression, their peaks, and the faces at the peaks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from PIL import Image as Pillow

from mien.faces.crop import cut, recipe
from mien.labels import EIGHT
from mien.report.series import Person, Recording
from mien.types import Floats, Frame, Image, Unreadable
from mien.video.events import Event, events
from mien.video.reading import Reading

SIZE = 96
"""The side of a thumbnail in pixels."""
SHORTEST = 0.3
"""Seconds: a shorter stretch is in the plots and in no list."""
MOST_FACES = 60
"""Thumbnails in a page at the most; those with the highest peaks."""
_BLUR = 7  # pixels a side that are left of a blurred face

Where = tuple[int, int]
"""A face id and a frame number."""


def moments(recording: Recording, *, shortest: float = SHORTEST) -> list[Event]:
    """The stretches of one expression of every person, by start; none for photos.

    They are the events of `mien.video.events`, of the expression that the table tells.
    """
    if not recording.timed:
        return []
    readings = (r for person in recording.persons for r in _readings(person))
    return events(readings, recording.t.tolist(), shortest=shortest)


def _readings(person: Person) -> Iterator[Reading]:
    values = person.values.astype(np.float32)
    rows = zip(person.t.tolist(), person.frame.tolist(), values, strict=True)
    for (t, frame, row), bridged, shown in zip(
        rows, person.bridged.tolist(), person.shown.tolist(), strict=True
    ):
        face_id = person.face_id or 0
        yield Reading(t, frame, face_id, row, bridged=bridged, expression=EIGHT[shown])


def peaks(found: Iterable[Event], most: int = MOST_FACES) -> list[Event]:
    """The moments whose faces a page shows, by start.

    Round by round the highest peak of every person and expression, so that rare ones are there.
    """
    ranks: dict[tuple[int, str], int] = {}
    ranked = []
    for moment in sorted(found, key=lambda m: -m.peak):
        kind = (moment.face_id, moment.expression)
        ranks[kind] = ranks.get(kind, -1) + 1
        ranked.append((ranks[kind], -moment.peak, moment.start, moment.face_id, moment))
    chosen = [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:4])[:most]]
    return sorted(chosen, key=lambda m: (m.start, m.face_id))


def cut_faces(
    frames: Iterable[Frame | Unreadable], recording: Recording, found: Iterable[Event]
) -> dict[Where, Image]:
    """The faces at the peaks of `found`, (SIZE, SIZE, 3) RGB, cut from the video's frames.

    Stops after the last frame that is needed. A frame that the video does not give, or a row
    without a box, has no picture.
    """
    wanted: dict[int, list[int]] = {}
    for moment in found:
        wanted.setdefault(moment.peak_frame, []).append(moment.face_id)
    last = max(wanted, default=-1)
    out: dict[Where, Image] = {}
    for frame in frames if wanted else ():
        if isinstance(frame, Unreadable):
            continue
        for face_id in wanted.get(frame.index, ()):
            box = _box(recording, face_id, frame.index)
            if not np.isnan(box).any():
                out[face_id, frame.index] = cut(
                    frame.rgb, box[None], size=SIZE, recipe=recipe("square-v2"), scale=frame.scale
                )[0]
        if frame.index >= last:
            break
    return out


def _box(recording: Recording, face_id: int, frame: int) -> Floats:
    person = next(p for p in recording.persons if p.face_id == face_id)
    at = int(np.searchsorted(person.frame, frame))
    box: Floats = person.boxes[at].astype(np.float32)
    return box


def data_uris(faces: Mapping[Where, Image], *, blur: bool = False) -> dict[Where, str]:
    """Each picture (h, w, 3) RGB uint8 as a small JPEG in a ``data:`` address.

    With `blur` so few pixels are kept that a face cannot be told from another.
    """
    return {where: _data_uri(rgb, blur) for where, rgb in faces.items()}


def _data_uri(rgb: Image, blur: bool) -> str:
    picture = Pillow.fromarray(rgb).convert("RGB")
    if blur:
        picture = picture.resize((_BLUR, _BLUR), Pillow.Resampling.BOX)
    picture = picture.resize((SIZE, SIZE), Pillow.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")

"""The numbers that a page's script draws with: small JSON, whole per cents, columns of frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.labels import EIGHT
from mien.report.axes import LEFT, RIGHT, STEPS
from mien.report.crowd import ROW, crowd_counts, top_of
from mien.report.plots import LANE, STACK
from mien.report.series import Columns, Person, Reals, Recording, bins, columns
from mien.video.events import Event

FINEST = 2000
"""Columns of a recording at the most, so that an hour stays small."""
POINTS = 12_000
"""Points of all people together, about; many people get fewer columns each."""


def payload(recording: Recording, people: Sequence[Person], faces: Sequence[Event]) -> str:
    """The JSON text, safe inside a script element.

    Args:
        recording: the whole.
        people: those that are shown one by one.
        faces: the moments of which the page has a picture.
    """
    by = columns(recording, max(200, min(FINEST, POINTS // max(1, len(people)))))
    counts = crowd_counts(recording, by)
    told = {
        "layout": {
            "left": LEFT,
            "right": RIGHT,
            "lane": LANE,
            "stack": STACK,
            "row": ROW,
            "steps": STEPS,
        },
        "labels": EIGHT,
        "start": recording.start,
        "end": recording.end,
        "from": _rounded(by.start, 3),
        "to": _rounded(by.end, 3),
        "people": [_person(recording, person, by) for person in people],
        "crowd": np.rint(100 * counts.T).astype(int).tolist(),
        "top": top_of(counts),
        "faces": [
            {
                "id": m.face_id,
                "key": f"{m.face_id}-{m.peak_frame}",
                "start": round(m.start, 3),
                "end": round(m.end, 3),
                "t": round(m.peak_t, 3),
                "frame": m.peak_frame,
            }
            for m in faces
        ],
    }
    text = json.dumps(told, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _person(recording: Recording, person: Person, by: Columns) -> dict[str, Any]:
    found = bins(recording, person, by)
    return {
        "id": person.face_id,
        "name": person.name,
        "c": found.column.tolist(),
        "f": found.frame.tolist(),
        "s": found.shown.tolist(),
        "r": None if person.smoothed is None else found.raw.tolist(),
        "b": found.bridged.astype(int).tolist(),
        "p": np.rint(100 * found.probabilities.T).astype(int).tolist(),
        "v": None if found.valence is None else _rounded(found.valence, 2),
        "a": None if found.arousal is None else _rounded(found.arousal, 2),
    }


def _rounded(values: Reals, decimals: int) -> list[float | None]:
    """Rounded numbers; what is unknown is null."""
    return [None if np.isnan(v) else round(float(v), decimals) for v in values]

"""Annotated copies of pictures: a box and a legible label on every face."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from mien.labels import COLOURS
from mien.report.table import marked
from mien.types import Face, Image, Observation, Smoothed

Box = tuple[float, float, float, float]


def annotate(rgb: Image, observation: Observation) -> Image:
    """A copy of the picture `rgb` (h, w, 3) with the faces of `observation` drawn on it.

    `rgb` may be smaller than the picture that was analysed; boxes are scaled to fit. Lines and
    letters grow with the picture, and labels are moved so that they stay inside it and do not
    cover each other where there is room. On a frame of a video labels begin with the face's id
    and tell the smoothed reading where there is one; a bridged face has a thin box.
    """
    picture = Pillow.fromarray(rgb)
    scale = rgb.shape[1] / max(1, observation.width)
    unit = max(picture.size) / 1000
    line = max(2, round(3 * unit))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(14, round(28 * unit)))
    taken: list[Box] = []
    for face in observation.faces:
        box = _scaled(face.box, scale)
        shown = face.smoothed or face
        colour = COLOURS[shown.expression]
        draw.rectangle(box, outline="black", width=3 if face.bridged else line + 2)
        draw.rectangle(box, outline=colour, width=1 if face.bridged else line)
        number = "" if observation.t_sec is None else f"{face.face_id}: "
        text = number + caption(shown)
        taken.append(_label(draw, text, colour, box, font, picture.size, taken))
    return np.array(picture)


def caption(face: Face | Smoothed) -> str:
    """The words on a face's label, such as ``happiness 93 %`` or, uncertain, ``fear? 31 %``."""
    return f"{marked(face)} {100 * face.probability:.0f} %"


def _label(
    draw: ImageDraw.ImageDraw,
    text: str,
    colour: str,
    box: Box,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
    taken: list[Box],
) -> Box:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(2.0, (bottom - top) / 4)
    place = _place(box, (right - left + 2 * pad, bottom - top + 2 * pad), size, taken)
    draw.rectangle(place, fill=colour, outline="black")
    at = (place[0] + pad - left, place[1] + pad - top)
    draw.text(at, text, fill=_ink(colour), font=font)
    return place


def _place(box: Box, label: tuple[float, float], size: tuple[int, int], taken: list[Box]) -> Box:
    """Above the box, else below, else inside it: the first that is free; else above."""
    width, height = label
    x = min(max(0.0, box[0]), max(0.0, size[0] - width))
    choices = [box[1] - height, box[3], box[1], box[3] - height]
    places = [(x, y, x + width, y + height) for y in choices if 0 <= y <= size[1] - height]
    free = [p for p in places if not any(_meet(p, t) for t in taken)]
    y = min(max(0.0, choices[0]), max(0.0, size[1] - height))
    return [*free, *places, (x, y, x + width, y + height)][0]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ink(colour: str) -> str:
    """Black or white, whichever reads better on `colour`."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "black" if 0.299 * r + 0.587 * g + 0.114 * b > 120 else "white"


def _scaled(box: Box, scale: float) -> Box:
    return (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)

"""The drawings of `mien.report.shapes` as pixels, by Pillow: what PNG files are made of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image as Pillow
from PIL import ImageColor, ImageDraw, ImageFont

from mien.labels import COLOURS
from mien.report.shapes import (
    PAPER,
    SHADE,
    TEXTURES,
    TILE,
    Area,
    Dot,
    Drawing,
    Label,
    Line,
    Points,
    Rect,
    Shape,
)
from mien.types import Image

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def to_pixels(drawing: Drawing, *, scale: int = 2) -> Image:
    """The drawing as (scale * height, scale * width, 3) RGB uint8."""
    size = (round(drawing.width * scale), round(drawing.height * scale))
    page = Pillow.new("RGB", size, PAPER)
    if drawing.field:
        x, y, w, h = (round(v * scale) for v in drawing.box)
        field = _Sheet(page.crop((x, y, x + w, y + h)), scale)
        for shape in drawing.field:
            field.paint(shape)
        page.paste(field.page, (x, y))
    sheet = _Sheet(page, scale)
    for shape in drawing.shapes:
        sheet.paint(shape)
    return np.asarray(sheet.page)


class _Sheet:
    """A picture that shapes are painted on, `unit` pixels to each of theirs."""

    def __init__(self, page: Pillow.Image, unit: int) -> None:
        self.page, self._unit = page, unit
        self._draw = ImageDraw.Draw(page)
        self._fills: dict[str, Pillow.Image] = {}

    def paint(self, shape: Shape) -> None:
        """Put the shape upon what is there."""
        unit = self._unit
        match shape:
            case Rect(x, y, w, h, fill):
                self._fill(((x, y), (x + w, y), (x + w, y + h), (x, y + h)), fill)
            case Area(points, fill):
                self._fill(points, fill)
            case Dot(x, y, r, fill):
                edge = [(x - r) * unit, (y - r) * unit, (x + r) * unit, (y + r) * unit]
                self._draw.ellipse(edge, fill=COLOURS.get(fill, fill))
            case Line(points, colour, width):
                place = [(x * unit, y * unit) for x, y in points]
                self._draw.line(place, colour, max(1, round(width * unit)), joint="curve")
            case Label(x, y, text, anchor, size, colour):
                where = (x * unit, y * unit)
                font = _font(size * unit)
                self._draw.text(where, text, colour, font, anchor=_ANCHORS[anchor])

    def _fill(self, points: Points, fill: str) -> None:
        """Fill the polygon with a colour, a texture or the stripes of what was bridged."""
        corners = np.array(points) * self._unit
        if fill.startswith("#"):
            self._draw.polygon([(x, y) for x, y in (corners - 0.5).tolist()], fill)
            return
        low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        high = np.minimum(np.floor(corners.max(axis=0)) + 1, self.page.size).astype(int)
        if (high <= low).any():
            return
        # Pillow paints the pixels on the far edges, too: half a pixel less keeps neighbours apart.
        inner = [(x, y) for x, y in (corners - low - 0.5).tolist()]
        width, height = (high - low).tolist()
        mask = Pillow.new("L", (width, height))
        ImageDraw.Draw(mask).polygon(inner, fill=255)
        box = (*low.tolist(), *high.tolist())
        paint = self._texture(fill).crop(box)
        if paint.mode == "RGBA":
            mask = Pillow.composite(paint.getchannel("A"), Pillow.new("L", mask.size), mask)
        self.page.paste(paint.convert("RGB"), box, mask)

    def _texture(self, fill: str) -> Pillow.Image:
        """A whole sheet of the fill; the stripes of what was bridged let through what is under."""
        if fill not in self._fills:
            tile = _tile(fill).repeat(self._unit, axis=0).repeat(self._unit, axis=1)
            times = (-(-self.page.height // len(tile)), -(-self.page.width // len(tile)), 1)
            self._fills[fill] = Pillow.fromarray(np.tile(tile, times))
        return self._fills[fill]


@lru_cache(16)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _tile(fill: str) -> Image:
    """What the fill repeats: (h, w, 3) RGB, or (h, w, 4) with an opacity for stripes."""
    label = fill.removeprefix("bridged-")
    colour = np.array(ImageColor.getrgb(COLOURS.get(label, label))[:3], np.uint8)
    if label != fill:
        x, y = np.indices((6, 6))
        stripes = np.where((x + y) % 6 < 3, 255, 0).astype(np.uint8)
        return np.dstack([np.broadcast_to(colour, (6, 6, 3)), stripes])
    tile = np.ones((TILE, TILE, 1))
    for row, dark in enumerate(TEXTURES.get(label, ())):
        tile[row, [i for i, sign in enumerate(dark) if sign == "#"]] = 1 - SHADE
    return (tile * colour).round().astype(np.uint8)

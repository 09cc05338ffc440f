"""Drawings as lists of shapes, and those as SVG text. `mien.report.raster` paints the same ones.

No colour stands alone: an area's fill is named after an expression and comes with that
expression's texture, so that areas are told apart in grey and by the colour-blind. What was filled
in between two sightings is striped and not filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from mien.labels import COLOURS

Points = tuple[tuple[float, float], ...]

INK, FAINT, PAPER, EDGE = "#222222", "#6b6b6b", "#ffffff", "#c8c8c8"
MISSING = "#e4e4e4"
"""Where nobody was seen."""

TILE = 8
TEXTURES: dict[str, tuple[str, ...]] = {
    "neutral": (),
    "happiness": (
        "........",
        ".##.....",
        ".##.....",
        "........",
        "........",
        ".....##.",
        ".....##.",
    ),
    "surprise": ("...#...#",) * TILE,
    "sadness": ("........", "########", "........", "........", "........", "########"),
    "anger": ("..#.....", "..#.....", "#####...", "..#.....", "..#....."),
    "disgust": ("########", *("#.......",) * 7),
    "fear": ("####....", "####....", "####....", "####....", *("....####",) * 4),
    "contempt": ("........", ".####...", ".#..#...", ".#..#...", ".####..."),
}
"""Dark pixels of each expression's tile of 8 x 8, row by row; what is left out is light."""
SHADE = 0.22
"""How dark those are: the opacity of black over the expression's colour."""


@dataclass(frozen=True)
class Rect:
    """A rectangle. `fill` is a colour, an expression, or ``bridged-`` and an expression."""

    x: float
    y: float
    w: float
    h: float
    fill: str
    kind: str = ""
    """What it stands for: its class in the SVG."""
    title: str = ""


@dataclass(frozen=True)
class Area:
    """A closed polygon, filled like a `Rect`."""

    points: Points
    fill: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True)
class Line:
    """An open line through the points."""

    points: Points
    colour: str = INK
    width: float = 1.0
    kind: str = ""


@dataclass(frozen=True)
class Dot:
    """A circle."""

    x: float
    y: float
    r: float
    fill: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True)
class Label:
    """Words with their base line's start, middle or end at (x, y)."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: float = 12.0
    colour: str = INK
    kind: str = ""


Shape = Rect | Area | Line | Dot | Label


@dataclass(frozen=True)
class Drawing:
    """Shapes on a page of `width` x `height`, and a field whose shapes are cut off at its edge."""

    name: str
    """What kind of plot it is: its class in the SVG and the start of its file's name."""
    title: str
    """One sentence that says in words what is shown; read out by screen readers."""
    width: float
    height: float
    shapes: tuple[Shape, ...]
    box: tuple[float, float, float, float] = (0, 0, 0, 0)
    """The field: x y w h."""
    field: tuple[Shape, ...] = ()
    """Shapes in the field's own coordinates, (0, 0) its top left."""


def to_svg(drawing: Drawing, *, alone: bool = True) -> str:
    """The drawing as SVG text.

    Args:
        drawing: what to write.
        alone: write a file of its own, with the textures in it. Without, the page around it has
            them (`definitions`) and numbers go by the page's style.
    """
    x, y, w, h = drawing.box
    size = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    head = ' xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"' if alone else ""
    parts = [
        f'<svg{head} class="plot {escape(drawing.name)}" {size} role="img" '
        f'aria-label="{escape(drawing.title)}">',
        f"<title>{escape(drawing.title)}</title>" if alone else "",
        definitions() if alone else "",
        f'<rect class="paper" width="100%" height="100%" fill="{PAPER}"/>',
        f'<svg class="field" x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}">'
        if w
        else "",
        *map(_svg, drawing.field),
        "</svg>" if w else "",
        *map(_svg, drawing.shapes),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def definitions() -> str:
    """The ``<defs>`` with every expression's fill: ``#f-happiness`` and, striped, ``#b-…``."""
    fills = [_texture(label, colour) + _stripes(label, colour) for label, colour in COLOURS.items()]
    return f"<defs>{''.join(fills)}</defs>"


def _texture(label: str, colour: str) -> str:
    dark = "".join(
        f'<rect x="{x}" y="{y}" width="{w}" height="1"/>'
        for y, row in enumerate(TEXTURES[label])
        for x, w in _runs(row)
    )
    return (
        f'<pattern id="f-{label}" width="{TILE}" height="{TILE}" patternUnits="userSpaceOnUse">'
        f'<rect width="{TILE}" height="{TILE}" fill="{colour}"/>'
        f'<g fill="#000" fill-opacity="{SHADE}" shape-rendering="crispEdges">{dark}</g></pattern>'
    )


def _stripes(label: str, colour: str) -> str:
    return (
        f'<pattern id="b-{label}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<path d="M-1 1L1 -1M0 6L6 0M5 7L7 5" stroke="{colour}" stroke-width="2"/></pattern>'
    )


def _runs(row: str) -> list[tuple[int, int]]:
    """The starts and lengths of the dark stretches of a texture's row."""
    out, x = [], 0
    while (x := row.find("#", x)) >= 0:
        w = len(row) - x - len(row[x:].lstrip("#"))
        out.append((x, w))
        x += w
    return out


def paint(fill: str) -> str:
    """The SVG value of a shape's `fill`."""
    if fill in COLOURS:
        return f"url(#f-{fill})"
    return f"url(#b-{fill.removeprefix('bridged-')})" if fill.startswith("bridged-") else fill


def _svg(shape: Shape) -> str:
    kind = f' class="{escape(shape.kind)}"' if shape.kind else ""
    match shape:
        case Rect(x, y, w, h, fill):
            mark = f'<rect{kind} x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}"'
            return _closed(mark + f' fill="{paint(fill)}"', "rect", shape.title)
        case Area(points, fill):
            mark = f'<path{kind} d="M{_path(points)}Z" fill="{paint(fill)}"'
            return _closed(mark, "path", shape.title)
        case Dot(x, y, r, fill):
            mark = f'<circle{kind} cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" fill="{paint(fill)}"'
            return _closed(mark, "circle", shape.title)
        case Line(points, colour, width):
            return (
                f'<path{kind} d="M{_path(points)}" fill="none" stroke="{colour}" '
                f'stroke-width="{_n(width)}"/>'
            )
        case Label(x, y, text, anchor, size, colour):
            return (
                f'<text{kind} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}" '
                f'font-size="{_n(size)}" fill="{colour}">{escape(text)}</text>'
            )


def _closed(start: str, tag: str, title: str) -> str:
    return f"{start}><title>{escape(title)}</title></{tag}>" if title else f"{start}/>"


def _path(points: Points) -> str:
    return "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _n(value: float) -> str:
    """At most one decimal more than a screen shows, without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")

"""The frame around a plot over time: its field, ticks, clock and legend."""

from __future__ import annotations

import math

from mien.labels import EIGHT
from mien.report.series import Recording
from mien.report.shapes import EDGE, FAINT, Label, Line, Rect, Shape

WIDTH, LEFT, RIGHT, TOP = 900.0, 84.0, 12.0, 6.0
FIELD = WIDTH - LEFT - RIGHT
"""The width of a plot's field."""
AXIS = 22.0
"""The height of the time axis below it."""
LEGEND = 20.0

STEPS: tuple[float, ...] = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Usual steps between ticks, in seconds."""


def clock(t: float, decimals: int = 1) -> str:
    """Seconds as minutes and seconds, with hours where there are any: ``02:05.5``, ``1:00:00.0``.

    >>> clock(125.46)
    '02:05.5'
    """
    units = round(abs(t) * 10**decimals)
    whole, part = divmod(units, 10**decimals)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if t < 0 and units else ""
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes:02d}"
    tail = f".{part:0{decimals}d}" if decimals else ""
    return f"{sign}{head}:{seconds:02d}{tail}"


def step_for(seconds: float, most: int) -> float:
    """The shortest usual step with which `seconds` have at most `most` ticks."""
    fitting = [step for step in STEPS if seconds / step <= most]
    return fitting[0] if fitting else 3600 * math.ceil(seconds / 3600 / most)


def to_x(recording: Recording, t: float) -> float:
    """Where the time `t` (seconds) lies in a field of the width `FIELD`."""
    return FIELD * (t - recording.start) / (recording.duration or 1.0)


def time_axis(recording: Recording, bottom: float) -> list[Shape]:
    """Ticks and clock times below a field that ends at the height `bottom`."""
    step = step_for(recording.duration, 10)
    decimals = 1 if step < 1 else 0
    out: list[Shape] = [Line(((LEFT, bottom), (LEFT + FIELD, bottom)), FAINT, kind="axis")]
    for k in range(math.ceil(recording.start / step - 1e-9), int(recording.end / step + 1e-9) + 1):
        x = LEFT + to_x(recording, k * step)
        out.append(Line(((x, bottom), (x, bottom + 4)), FAINT, kind="tick"))
        # At the right edge a centred text would be cut off.
        inside = min(x, WIDTH - 18)
        text = clock(k * step, decimals)
        out.append(Label(inside, bottom + 17, text, "middle", 11, FAINT, kind="tick"))
    return out


def share_axis(top: float, height: float) -> list[Shape]:
    """0, 50 and 100 % at the left of a field, and a line at 50 %."""
    out: list[Shape] = [
        Label(LEFT - 6, top + height * (1 - p / 100) + 4, f"{p} %", "end", 11, FAINT)
        for p in (0, 50, 100)
    ]
    return [
        *out,
        Line(((LEFT, top + height / 2), (LEFT + FIELD, top + height / 2)), EDGE, 0.7, "rule"),
    ]


def legend(top: float) -> list[Shape]:
    """A row with every expression's fill and name."""
    out: list[Shape] = []
    for i, label in enumerate(EIGHT):
        x = LEFT + i * FIELD / len(EIGHT)
        out.append(Rect(x, top, 22, 13, label))
        out.append(Label(x + 26, top + 11, label, size=11))
    return out


def percent(part: float) -> str:
    """A share as whole per cent; less than one is not nothing."""
    return "< 1 %" if 0 < part < 0.01 else f"{100 * part:.0f} %"

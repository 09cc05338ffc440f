"""The circumplex of one person: apparent valence and arousal (Russell 1980, without its words).

Russell, J. A. (1980). A circumplex model of affect. doi:10.1037/h0077714. No quadrant is given the
name of a feeling here.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mien.report.axes import percent
from mien.report.series import Person, Reals, Recording, bins, columns, stretches
from mien.report.shapes import EDGE, FAINT, INK, PAPER, Dot, Drawing, Label, Line, Rect, Shape

_CELLS = 20  # squares of the density, a side
_TRAIL = 300  # points of the trail at the most
_SIDE, _LEFT, _TOP = 300.0, 40.0, 20.0
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))


def circumplex(recording: Recording, person: Person) -> Drawing | None:
    """Valence across and arousal up, -1 to 1: where the person was and in which order.

    The squares are darker the longer the person was there; the trail runs from light to dark.
    None where the model has no such head, or gave no value while the person was seen.
    """
    if person.valence is None or person.arousal is None:
        return None
    middle = _SIDE / 2
    known = ~np.isnan(person.valence) & ~np.isnan(person.arousal) & ~person.bridged
    if not known.any():
        return None
    v, a = float(person.valence[known].mean()), float(person.arousal[known].mean())
    return Drawing(
        "circumplex",
        f"{person.name}: apparent valence and arousal. Mean valence {v:.2f}, mean arousal {a:.2f}.",
        _LEFT + _SIDE + 20,
        _TOP + _SIDE + 40,
        _frame(),
        (_LEFT, _TOP, _SIDE, _SIDE),
        (
            Rect(0, 0, _SIDE, _SIDE, PAPER, "sheet"),
            *_density(recording, person),
            Line(((0, middle), (_SIDE, middle)), EDGE),
            Line(((middle, 0), (middle, _SIDE)), EDGE),
            *_trail(recording, person),
        ),
    )


def _frame() -> tuple[Shape, ...]:
    """The square's edge and what its axes are."""
    bottom, middle = _TOP + _SIDE, _LEFT + _SIDE / 2
    edge = tuple((_LEFT + x * _SIDE, _TOP + y * _SIDE) for x, y in _CORNERS)
    out: list[Shape] = [Line(edge, FAINT)]
    for place, text in ((0.0, "-1"), (0.5, "0"), (1.0, "1")):
        out.append(Label(_LEFT + place * _SIDE, bottom + 15, text, "middle", 11, FAINT))
        out.append(Label(_LEFT - 5, bottom - place * _SIDE + 4, text, "end", 11, FAINT))
    out.append(Label(middle, bottom + 31, "valence: unpleasant … pleasant", "middle"))
    out.append(Label(_LEFT, 13, "arousal: calm (below) … excited (above)"))
    return tuple(out)


def _density(recording: Recording, person: Person) -> list[Shape]:
    """Squares, darker where the person's valence and arousal were for longer."""
    valence, arousal = _affect(person)
    weights = np.where(person.bridged | np.isnan(valence), 0, recording.row_lengths(person))
    edges = np.linspace(-1, 1, _CELLS + 1)
    counts, _, _ = np.histogram2d(
        np.nan_to_num(valence), np.nan_to_num(arousal), (edges, edges), weights=weights
    )
    cell, most = _SIDE / _CELLS, counts.max()
    out: list[Shape] = []
    for i, j in np.argwhere(counts > 0):
        part = float(counts[i, j] / weights.sum())
        light = round(235 - 120 * float(np.sqrt(counts[i, j] / most)))
        fill = f"#{light:02x}{min(255, light + 12):02x}{min(255, light + 24):02x}"
        y = _SIDE - (int(j) + 1) * cell
        out.append(
            Rect(int(i) * cell, y, cell, cell, fill, "dense", f"{percent(part)} of the time")
        )
    return out


def _trail(recording: Recording, person: Person) -> list[Shape]:
    """A line from one column's mean to the next, from light to dark; gaps are not joined."""
    by = columns(recording, _TRAIL) if recording.timed else None
    if by is None:
        return [Dot(x, y, 2.5, INK, "face") for x, y in _points(*_affect(person))]
    found = bins(recording, person, by)
    assert found.valence is not None and found.arousal is not None
    out: list[Shape] = []
    last = None
    for part in stretches(found, by):
        points = _points(found.valence[part], found.arousal[part])
        places = (found.column[part] / max(1, len(by.start) - 1)).tolist()
        for ends, place in zip(pairwise(points), places, strict=False):
            out.append(Line(ends, _shade(place), 1.4, "trail"))
        last = points[-1] if points else last
    first = next((line.points[0] for line in out if isinstance(line, Line)), None)
    if first is not None:
        out.append(Dot(*first, 4, _shade(0), "start", "the first"))
    if last is not None:
        out.append(Dot(*last, 4, INK, "end", "the last"))
    return out


def _affect(person: Person) -> tuple[Reals, Reals]:
    """Valence and arousal, clipped to -1..1; NaN in both where either is unknown."""
    assert person.valence is not None and person.arousal is not None
    unknown = np.isnan(person.valence) | np.isnan(person.arousal)
    both = np.clip([person.valence, person.arousal], -1, 1)
    both[:, unknown] = np.nan
    return both[0], both[1]


def _points(valence: Reals, arousal: Reals) -> list[tuple[float, float]]:
    known = ~np.isnan(valence) & ~np.isnan(arousal)
    xs = _SIDE * (1 + np.clip(valence[known], -1, 1)) / 2
    ys = _SIDE * (1 - np.clip(arousal[known], -1, 1)) / 2
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _shade(place: float) -> str:
    """Light blue at 0, dark blue at 1."""
    low, high = np.array([158, 202, 225]), np.array([8, 48, 107])
    r, g, b = (low + (high - low) * min(1.0, place)).round().astype(int)
    return f"#{r:02x}{g:02x}{b:02x}"

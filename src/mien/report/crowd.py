"""The plots of several people: who is on screen, and what they show together."""

from __future__ import annotations

import numpy as np

from mien.labels import EIGHT
from mien.report.axes import (
    AXIS,
    FIELD,
    LEFT,
    LEGEND,
    TOP,
    WIDTH,
    clock,
    legend,
    time_axis,
    to_x,
)
from mien.report.plots import STACK, STATIC
from mien.report.series import (
    LABELS,
    Columns,
    Person,
    Reals,
    Recording,
    bins,
    columns,
    shares,
    spans,
)
from mien.report.shapes import EDGE, FAINT, Area, Drawing, Label, Line, Rect, Shape

ROW = 18.0
HEIGHT = STACK
MOST = 30
"""People that a page shows one by one: those seen for the longest."""


def longest_seen(recording: Recording, most: int = MOST) -> tuple[Person, ...]:
    """At most `most` people, those seen for the longest, by face id."""
    order = sorted(recording.persons, key=lambda p: -shares(recording, p).seen)[:most]
    return tuple(sorted(order, key=lambda p: p.face_id or 0))


def presence(recording: Recording, *, limit: int = STATIC, key: bool = True) -> Drawing:
    """Who is on screen when: a row for each person, filled with the expression told.

    Thin striped stretches were filled in between two sightings. `key` adds the legend.
    """
    people, by = longest_seen(recording), columns(recording, limit)
    height = max(1, len(people)) * ROW
    field: list[Shape] = []
    names: list[Shape] = []
    for i, person in enumerate(people):
        top = i * ROW
        field.append(Rect(0, top, FIELD, ROW - 2, "#f4f4f4", "lane"))
        names.append(Label(LEFT - 6, TOP + top + 12, person.name, "end", 11))
        for span in spans(bins(recording, person, by), by):
            x, label = to_x(recording, span.start), EIGHT[span.expression]
            wide = to_x(recording, span.end) - x
            if span.bridged:
                field.append(Rect(x, top + 5, wide, 6, f"bridged-{label}", "band bridged"))
            else:
                field.append(Rect(x, top, wide, ROW - 2, label, "band"))
    below = TOP + height + AXIS
    left_out = len(recording.persons) - len(people)
    return Drawing(
        "presence",
        f"Who is on screen: {len(people)} people"
        + (f", the longest seen; {left_out} more are not drawn." if left_out else "."),
        WIDTH,
        below + (LEGEND if key else 0),
        (*names, *time_axis(recording, TOP + height), *(legend(below + 2) if key else ())),
        (LEFT, TOP, FIELD, height),
        tuple(field),
    )


def crowd_counts(recording: Recording, by: Columns) -> Reals:
    """(c, 8): how many people show each expression, the mean over each column's time.

    Everybody counts, those without a row of their own and bridged moments as well.
    """
    count = len(by.start)
    whole = np.bincount(by.of_frame, recording.lengths, count)
    out = np.zeros(count * LABELS)
    for person in recording.persons:
        column = by.of_frame[recording.place(person)]
        lengths = recording.row_lengths(person)
        out += np.bincount(column * LABELS + person.shown, lengths, count * LABELS)
    counts: Reals = out.reshape(count, LABELS) / np.where(whole > 0, whole, 1)[:, None]
    return counts


def crowd(recording: Recording, *, limit: int = STATIC, key: bool = True) -> Drawing:
    """How many people show which expression over time; the height is the number on screen."""
    by = columns(recording, limit)
    counts = crowd_counts(recording, by)
    top = top_of(counts)
    edges = HEIGHT * (1 - np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1) / top)
    xs = np.array([[to_x(recording, float(t)) for t in ends] for ends in (by.start, by.end)])
    field: list[Shape] = []
    for i, label in enumerate(EIGHT):
        if counts[:, i].max() > 0:
            lower = _steps(xs, edges[:, i])
            upper = _steps(xs, edges[:, i + 1])
            field.append(Area((*lower, *reversed(upper)), label, "area"))
    below = TOP + HEIGHT + AXIS
    marks: list[Shape] = []
    for n in range(0, top + 1, max(1, round(top / 5))):
        y = TOP + HEIGHT * (1 - n / top)
        marks.append(Label(LEFT - 6, y + 4, str(n), "end", 11, FAINT))
        marks.append(Line(((LEFT, y), (LEFT + FIELD, y)), EDGE, 0.5, "rule"))
    ends = f"{clock(recording.start)} to {clock(recording.end)}"
    return Drawing(
        "crowd",
        f"People on screen by apparent expression, {ends}; at most {counts.sum(axis=1).max():.0f}.",
        WIDTH,
        below + (LEGEND if key else 0),
        (*marks, *time_axis(recording, TOP + HEIGHT), *(legend(below + 2) if key else ())),
        (LEFT, TOP, FIELD, HEIGHT),
        tuple(field),
    )


def top_of(counts: Reals) -> int:
    """The whole number at the top of the crowd's axis."""
    return max(1, int(np.ceil(counts.sum(axis=1).max() - 1e-9))) if len(counts) else 1


def _steps(xs: Reals, ys: Reals) -> tuple[tuple[float, float], ...]:
    """A staircase: each height from its column's start to its end, equal neighbours joined."""
    first = np.flatnonzero(np.append(True, np.diff(ys) != 0))
    last = np.append(first[1:], len(ys)) - 1
    ends = zip(xs[0, first].tolist(), xs[1, last].tolist(), ys[first].tolist(), strict=True)
    return tuple((x, y) for start, end, y in ends for x in (start, end))

"""The plots of one person: expressions over time, probabilities and shares."""

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
    percent,
    share_axis,
    time_axis,
    to_x,
)
from mien.report.series import (
    LABELS,
    Bins,
    Columns,
    Person,
    Reals,
    Recording,
    bins,
    columns,
    gaps,
    shares,
    spans,
    stretches,
)
from mien.report.shapes import (
    FAINT,
    INK,
    MISSING,
    PAPER,
    Area,
    Drawing,
    Label,
    Line,
    Rect,
    Shape,
)

STATIC = 400
"""Columns of a plot over time: two pixels each."""
LANE = 15.0
STACK = 110.0


def timeline(recording: Recording, person: Person, *, limit: int = STATIC) -> Drawing:
    """Which expression is told when: a lane each, so that the place tells it as well as the colour.

    Stretches without the person are grey and say so. Striped bands were filled in between two
    sightings. Where the table has smoothed values these are the bands, and the thin line in the
    lower part of a lane is the expression before smoothing.
    """
    by = columns(recording, limit)
    found = bins(recording, person, by)
    height = LANE * LABELS
    field: list[Shape] = []
    for i in range(LABELS):
        field.append(Rect(0, i * LANE, FIELD, LANE - 1, PAPER if i % 2 else "#f4f4f4", "lane"))
    field += _gaps(recording, found, by, height)
    for span in spans(found, by):
        x, label = to_x(recording, span.start), EIGHT[span.expression]
        wide = to_x(recording, span.end) - x
        fill, kind = (f"bridged-{label}", "band bridged") if span.bridged else (label, "band")
        field.append(Rect(x, span.expression * LANE + 1, wide, LANE - 3, fill, kind))
    if person.smoothed is not None:
        for span in spans(found, by, raw=True):
            x, y = to_x(recording, span.start), span.expression * LANE + LANE - 4
            field.append(Rect(x, y, to_x(recording, span.end) - x, 2, INK, "raw"))
    names = [
        Label(LEFT - 6, TOP + i * LANE + 11, label, "end", 11) for i, label in enumerate(EIGHT)
    ]
    return Drawing(
        "timeline",
        f"{person.name}: apparent expression over time. {told_shares(recording, person)}",
        WIDTH,
        TOP + height + AXIS,
        (*names, *time_axis(recording, TOP + height)),
        (LEFT, TOP, FIELD, height),
        tuple(field),
    )


def stacked(
    recording: Recording, person: Person, *, limit: int = STATIC, key: bool = True
) -> Drawing:
    """The eight probabilities over time, one upon the other; they sum to 100 %.

    Smoothed where the table has smoothed values. `key` adds the legend.
    """
    by = columns(recording, limit)
    found = bins(recording, person, by)
    field = _gaps(recording, found, by, STACK)
    field += _stack(recording, found, by, found.probabilities)
    for span in spans(found, by):
        if span.bridged:
            x = to_x(recording, span.start)
            wide = to_x(recording, span.end) - x
            field.append(Rect(x, 0, wide, STACK, "bridged-neutral", "bridged"))
    kind = "before smoothing" if person.smoothed is None else "smoothed"
    below = TOP + STACK + AXIS
    return Drawing(
        "stacked",
        f"{person.name}: probabilities of the eight expressions over time, {kind}, in per cent.",
        WIDTH,
        below + (LEGEND if key else 0),
        (
            *share_axis(TOP, STACK),
            *time_axis(recording, TOP + STACK),
            *(legend(below + 2) if key else ()),
        ),
        (LEFT, TOP, FIELD, STACK),
        tuple(field),
    )


def share_bars(recording: Recording, person: Person) -> Drawing:
    """The share of the time seen (of faces, for photos) that each expression leads.

    The dark mark on each row is the mean probability. Bridged time is in neither.
    """
    told = shares(recording, person)
    seen = np.where(person.bridged, 0.0, recording.row_lengths(person))
    mean = seen @ person.values / told.seen if told.seen else np.zeros(LABELS)
    row, left, wide = 22.0, 84.0, 190.0
    shapes: list[Shape] = []
    for i, label in enumerate(EIGHT):
        y, part = 24 + i * row, float(told.parts[i])
        shapes.append(Rect(left, y, wide, row - 6, "#f4f4f4", "lane"))
        shapes.append(Rect(left, y, wide * part, row - 6, label, "share"))
        x = left + wide * float(mean[i])
        shapes.append(Line(((x, y - 1), (x, y + row - 5)), INK, 2, "mark"))
        shapes.append(Label(left - 6, y + 12, label, "end", 11))
        words = f"{percent(part)}  (mean {percent(float(mean[i]))})"
        shapes.append(Label(left + wide + 8, y + 12, words, size=11))
    words = f"share {denominator(recording, person)}; mark and mean: probability"
    shapes.append(Label(left, 14, words, size=11))
    return Drawing(
        "shares",
        f"{person.name}: {told_shares(recording, person)}",
        left + wide + 116,
        26 + LABELS * row,
        tuple(shapes),
    )


def denominator(recording: Recording, person: Person) -> str:
    """What shares are shares of: ``of 182 s seen``, or ``of 40 faces`` for photos."""
    seen = shares(recording, person).seen
    return (
        f"of {seen:.3g} s seen"
        if recording.timed and seen < 100
        else (f"of {seen:.0f} s seen" if recording.timed else f"of {seen:.0f} faces")
    )


def told_shares(recording: Recording, person: Person) -> str:
    """The shares in words, largest first, such as ``61 % anger, 39 % neutral of 182 s seen``."""
    parts = shares(recording, person).parts
    order = [i for i in np.argsort(-parts, kind="stable") if parts[i] > 0]
    told = ", ".join(f"{percent(float(parts[i]))} {EIGHT[i]}" for i in order)
    return f"{told or 'nothing'} {denominator(recording, person)}."


def _gaps(recording: Recording, found: Bins, by: Columns, height: float) -> list[Shape]:
    out: list[Shape] = []
    for start, end in gaps(found, by, recording):
        x, wide = to_x(recording, start), to_x(recording, end) - to_x(recording, start)
        title = f"not seen {clock(start)} to {clock(end)}"
        out.append(Rect(x, 0, wide, height, MISSING, "gap", title))
        if wide > 50:
            out.append(Label(x + wide / 2, height / 2 + 4, "not seen", "middle", 10, FAINT, "gap"))
    return out


def _stack(recording: Recording, found: Bins, by: Columns, values: Reals) -> list[Shape]:
    """Areas of `values` (k, 8), rows summing to one, for every unbroken stretch."""
    out: list[Shape] = []
    start, end = by.start[found.column], by.end[found.column]
    for part in stretches(found, by):
        times = np.concatenate([start[part][:1], (start[part] + end[part]) / 2, end[part][-1:]])
        xs = [to_x(recording, float(t)) for t in times]
        rows = np.pad(values[part], ((1, 1), (0, 0)), mode="edge")
        edges = STACK * (1 - np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1))
        for i, label in enumerate(EIGHT):
            if values[part][:, i].max() * STACK < 0.25:  # nothing that could be seen
                continue
            lower = list(zip(xs, edges[:, i].tolist(), strict=True))
            upper = list(zip(xs, edges[:, i + 1].tolist(), strict=True))
            out.append(Area((*lower, *reversed(upper)), label, "area"))
    return out

"""HTML tables with the numbers behind each plot, for those who cannot see or use the plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from mien.labels import EIGHT
from mien.report.axes import clock, percent
from mien.report.crowd import crowd_counts
from mien.report.series import Person, Recording, bins, columns, gaps, shares, spans
from mien.video.events import Event

PARTS = 20
"""Rows of a table of means: so many equal stretches of the recording."""
MOST_ROWS = 300


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text cells, escaped; after `MOST_ROWS` rows it says how many more there are."""
    told = list(rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in told[:MOST_ROWS]
    )
    more = len(told) - MOST_ROWS
    note = f"<p>{more} more are left out here; the table this page was made from has them.</p>"
    return _scrolled("table", head, body) + (note if more > 0 else "")


def _scrolled(name: str, head: str, body: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def span_table(recording: Recording, person: Person, limit: int) -> str:
    """Every stretch of one expression of the timeline, in order, gaps included."""
    by = columns(recording, limit)
    found = bins(recording, person, by)
    rows = [
        (s.start, s.end, EIGHT[s.expression], "filled in" if s.bridged else "seen")
        for s in spans(found, by)
    ]
    rows += [(a, b, "", "not seen") for a, b in gaps(found, by, recording)]
    cells = ((clock(a, 2), clock(b, 2), label, how) for a, b, label, how in sorted(rows))
    return html_table(("from", "to", "expression", ""), cells)


def mean_table(recording: Recording, person: Person) -> str:
    """Mean probabilities of `PARTS` stretches, with valence and arousal where there are any."""
    by = columns(recording, PARTS)
    found = bins(recording, person, by)
    rows = []
    for i, column in enumerate(found.column):
        cells = [f"{clock(by.start[column])}–{clock(by.end[column])}"]
        cells += [percent(float(p)) for p in found.probabilities[i]]
        for values in (found.valence, found.arousal):
            if values is not None:
                cells.append("" if np.isnan(values[i]) else f"{values[i]:.2f}")
        rows.append(cells)
    affect = () if person.valence is None else ("valence", "arousal")
    return html_table(("time", *EIGHT, *affect), rows)


def share_table(recording: Recording, person: Person) -> str:
    """Seconds (faces, for photos) and share of each expression."""
    told = shares(recording, person)
    unit = "seconds" if recording.timed else "faces"
    rows = [
        (
            label,
            f"{told.seconds[i]:.1f}" if recording.timed else f"{told.seconds[i]:.0f}",
            percent(p),
        )
        for i, (label, p) in enumerate(zip(EIGHT, told.parts.tolist(), strict=True))
    ]
    return html_table(("expression", unit, f"share of {told.seen:.4g} {unit}"), rows)


def presence_table(recording: Recording) -> str:
    """When each person was first and last seen, and for how long."""
    rows = []
    for person in recording.persons:
        told, ends = shares(recording, person), person.t[~person.bridged]
        if len(ends):
            rows.append(
                (
                    person.name,
                    clock(float(ends[0])),
                    clock(float(ends[-1])),
                    f"{told.seen:.1f}",
                    percent(told.seen / recording.duration if recording.duration else 1.0),
                )
            )
    return html_table(("who", "first seen", "last seen", "seconds seen", "of the recording"), rows)


def crowd_table(recording: Recording) -> str:
    """The mean number of people with each expression in `PARTS` stretches."""
    by = columns(recording, PARTS)
    rows = []
    for i, row in enumerate(crowd_counts(recording, by)):
        time = f"{clock(by.start[i])}–{clock(by.end[i])}"
        rows.append((time, f"{row.sum():.1f}", *(f"{n:.1f}" for n in row)))
    return html_table(("time", "on screen", *EIGHT), rows)


def moment_table(found: Sequence[Event], names: dict[int, str]) -> str:
    """The events in order, each with a button that goes there."""
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("who", "expression", "from", "to", "lasted", "peak", "at", "frame")
    )
    body = "".join(
        f"<tr><td>{escape(names.get(m.face_id, str(m.face_id)))}</td>"
        f"<td>{escape(m.expression)}</td>"
        f"<td>{clock(m.start)}</td><td>{clock(m.end)}</td><td>{m.end - m.start:.1f} s</td>"
        f"<td>{percent(m.peak)}</td>"
        f'<td><button type="button" data-t="{m.peak_t:.3f}">{clock(m.peak_t, 2)}</button></td>'
        f"<td>{m.peak_frame}</td></tr>"
        for m in found[:MOST_ROWS]
    )
    more = len(found) - MOST_ROWS
    note = f"<p>{more} more are left out here.</p>" if more > 0 else ""
    return _scrolled("events", head, body) + note

"""Every plot that a recording gives, by the name of its file."""

from __future__ import annotations

from collections.abc import Iterator

from mien.report.circumplex import circumplex
from mien.report.crowd import crowd, presence
from mien.report.plots import share_bars, stacked, timeline
from mien.report.series import Recording
from mien.report.shapes import Drawing


def drawings(recording: Recording) -> Iterator[tuple[str, Drawing]]:
    """The plots of every person, and of the group where there are several people.

    Names are such as ``person-2-timeline`` and ``group-crowd``. Photos have no plots over time,
    and a circumplex is there only where the table has valence and arousal.
    """
    for person in recording.persons:
        start = "faces" if person.face_id is None else f"person-{person.face_id}"
        if recording.timed:
            yield f"{start}-timeline", timeline(recording, person)
            yield f"{start}-stacked", stacked(recording, person)
        yield f"{start}-shares", share_bars(recording, person)
        plot = circumplex(recording, person)
        if plot is not None:
            yield f"{start}-circumplex", plot
    if recording.timed and len(recording.persons) > 1:
        yield "group-presence", presence(recording)
        yield "group-crowd", crowd(recording)

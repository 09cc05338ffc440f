"""The report: one HTML file that opens without a network, and in which everything lies inside."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from mien.io.sinks import replacing
from mien.labels import EIGHT
from mien.report.about import MEANING, card_html
from mien.report.axes import clock, percent
from mien.report.circumplex import circumplex
from mien.report.crowd import crowd, longest_seen, presence
from mien.report.listing import (
    crowd_table,
    mean_table,
    moment_table,
    presence_table,
    share_table,
    span_table,
)
from mien.report.moments import Where, data_uris, moments, peaks
from mien.report.payload import payload
from mien.report.plots import denominator, share_bars, stacked, timeline
from mien.report.series import Person, Recording, columns
from mien.report.shapes import definitions, to_svg
from mien.spec import ModelSpec
from mien.types import Image
from mien.video.events import Event


def write_page(
    recording: Recording,
    path: Path,
    *,
    thumbnails: Mapping[Where, Image] | None = None,
    blur: bool = False,
    model_card: ModelSpec | None = None,
    settings: Mapping[str, str] | None = None,
    events: Sequence[Event] | None = None,
) -> None:
    """Write the report of `recording` to the file `path`; see `page` for the arguments.

    Raises:
        UsageError: `path` cannot be written.
    """
    told = page(
        recording,
        thumbnails=thumbnails,
        blur=blur,
        model_card=model_card,
        settings=settings,
        events=events,
    )
    with replacing(path) as file:
        file.write(told.encode("utf-8", "backslashreplace"))


def page(
    recording: Recording,
    *,
    thumbnails: Mapping[Where, Image] | None = None,
    blur: bool = False,
    model_card: ModelSpec | None = None,
    settings: Mapping[str, str] | None = None,
    events: Sequence[Event] | None = None,
) -> str:
    """The report as HTML text.

    Args:
        recording: what a table says (`mien.report.reading.read_recording`).
        thumbnails: faces (h, w, 3) RGB uint8 by face id and frame, or None to leave faces out.
            `mien.report.moments.peaks` says which are wanted.
        blur: show these so coarsely that nobody can be told.
        model_card: what the model says of itself.
        settings: names and values to list under the settings used.
        events: stretches of one expression; computed from the rows where None.
    """
    found = moments(recording) if events is None else list(events)
    people = longest_seen(recording)
    shown = peaks(found)
    faces = data_uris(thumbnails or {}, blur=blur)
    sections = [
        _summary(recording),
        _people(recording, people),
        _group(recording),
        _events(found, recording),
        _strip(shown, recording, faces),
        _section("Settings used", "settings", _settings(recording, settings or {})),
        _section("The model", "model", card_html(model_card, recording.model)),
        _section("What these numbers do not mean", "meaning", MEANING),
    ]
    data, script = "", ""
    if recording.timed and people:
        pictured = [m for m in shown if (m.face_id, m.peak_frame) in faces]
        data = payload(recording, people, pictured)
        script = _asset("page.js")
    return _document(recording, "\n".join(sections), data, script)


def _document(recording: Recording, body: str, data: str, script: str) -> str:
    style = _asset("page.css")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src {_sealed(script)}; base-uri 'none'; form-action 'none'"
    )
    title = escape(f"Apparent expressions: {_name(recording.source)}")
    scripts = (
        f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>\n'
        if script
        else ""
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<svg class="definitions" aria-hidden="true">{definitions()}</svg>\n'
        f"<header><h1>{title}</h1>\n"
        '<p class="notice">What faces look like, as a model tells it. Not what people feel: '
        '<a href="#meaning">what these numbers do not mean</a>.</p></header>\n'
        f"<main>\n{body}\n</main>\n{_PANEL if script else ''}"
        "<footer>Made by mien. This page holds everything it shows and asks for nothing from "
        f"anywhere.</footer>\n{scripts}</body>\n</html>\n"
    )


_PANEL = (
    '<aside id="moment" hidden aria-live="polite" aria-label="the chosen moment"><header><strong>'
    '</strong><button type="button" id="close">Close</button></header><ul></ul></aside>\n'
    '<p id="spoken" class="spoken" aria-live="polite"></p>\n'
)

_TOOLS = (
    '<div class="tools scripted" hidden role="toolbar" aria-label="what stretch is shown">'
    '<button type="button" id="zoom-in">Zoom in</button>'
    '<button type="button" id="zoom-out">Zoom out</button>'
    '<button type="button" id="whole">Whole recording</button>'
    '<span id="range"></span><span class="hint readout">Drag to zoom in, click for the moment. '
    "On a plot that has the focus: wheel, arrow keys, + and −, 0, Enter.</span></div>"
)


def _summary(recording: Recording) -> str:
    frames, word = len(recording.frame), "frames" if recording.timed else "photos"
    part = recording.with_face / frames if frames else 0.0
    facts = [("source", _name(recording.source))]
    if recording.timed:
        length = f"{clock(recording.duration)} ({recording.duration:.1f} s), from "
        facts.append(("length", length + f"{clock(recording.start)} to {clock(recording.end)}"))
        facts.append(("people", str(len(recording.persons))))
    else:
        facts.append(("faces", str(sum(len(p.frame) for p in recording.persons))))
    facts.append((word, f"{frames:,} read"))
    facts.append(("with a face", f"{recording.with_face:,} of {frames:,} {word}, {percent(part)}"))
    for gap in recording.breaks[:20]:
        when = "" if np.isnan(gap.start) else f"{clock(gap.start)} to {clock(gap.end)}: "
        facts.append(("not readable", when + gap.reason))
    if len(recording.breaks) > 20:
        facts.append(("not readable", f"{len(recording.breaks) - 20} more"))
    told = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts)
    none = "" if recording.persons else "<p><strong>No face was seen.</strong></p>"
    return _section("Summary", "summary", f"<dl>{told}</dl>{none}")


def _name(source: str) -> str:
    """The file's name alone: pages are sent on, and folders and addresses tell of their owner."""
    return re.split(r"[\\/]", source.rstrip("\\/"))[-1]


def _people(recording: Recording, people: Sequence[Person]) -> str:
    if not people:
        return ""
    keys = "".join(
        f'<li><svg aria-hidden="true"><rect width="26" height="15" fill="url(#f-{label})"/></svg>'
        f"{label}</li>"
        for label in EIGHT
    )
    striped = (
        '<li><svg aria-hidden="true"><rect width="26" height="15" fill="url(#b-neutral)"/></svg>'
        "striped: filled in between two sightings, not seen</li>"
        if recording.timed
        else ""
    )
    left_out = len(recording.persons) - len(people)
    note = (
        f"<p>{left_out} more people were seen for less time; the group view counts them.</p>"
        if left_out
        else ""
    )
    cards = "\n".join(_person(recording, p, i, len(people)) for i, p in enumerate(people))
    tools = _TOOLS if recording.timed else ""
    title = "People" if recording.timed else "Faces"
    return _section(title, "people", f'<ul class="legend">{keys}{striped}</ul>{tools}{note}{cards}')


def _person(recording: Recording, person: Person, number: int, people: int) -> str:
    limit = max(100, min(400, 2400 // people))
    parts = [f'<article class="person"><h3>{escape(person.name)}</h3>']
    if recording.timed:
        smooth = "" if person.smoothed is None else "; the thin line is the one before smoothing"
        parts += [
            f'<p class="readout" data-person="{number}"></p>',
            f"<h4>Expression over time{smooth}</h4>",
            _figure(
                "timeline", number, to_svg(timeline(recording, person, limit=limit), alone=False)
            ),
            _details("stretches", span_table(recording, person, limit)),
            f"<h4>Probabilities{'' if person.smoothed is None else ', smoothed'}</h4>",
            _figure(
                "stacked",
                number,
                to_svg(stacked(recording, person, limit=limit, key=False), alone=False),
            ),
            _details("means by stretch", mean_table(recording, person)),
        ]
    bars = to_svg(share_bars(recording, person), alone=False)
    parts.append(
        f'<div class="pair"><div><h4>Shares {denominator(recording, person)}</h4>'
        f"<figure>{bars}</figure>{_details('shares', share_table(recording, person))}</div>"
        f"<div><h4>Valence and arousal</h4>{_affect(recording, person)}</div></div></article>"
    )
    return "\n".join(parts)


def _affect(recording: Recording, person: Person) -> str:
    plot = circumplex(recording, person)
    if plot is None and person.valence is not None:
        return '<p class="missing">Not there: no values from when the face was seen.</p>'
    if plot is None:
        return (
            f'<p class="missing">Not there: the model {escape(recording.model)} tells no valence '
            "and arousal, so there is nothing to draw.</p>"
        )
    numbers = _details("means by stretch", mean_table(recording, person)) if recording.timed else ""
    return f"<figure>{to_svg(plot, alone=False)}</figure>{numbers}"


def _group(recording: Recording) -> str:
    if not recording.timed or len(recording.persons) < 2:
        return ""
    inner = (
        '<div class="group"><p class="readout" id="group-readout"></p>'
        "<h4>Who is on screen</h4>"
        + _figure("presence", 0, to_svg(presence(recording, key=False), alone=False))
        + _details("who was seen when", presence_table(recording))
        + "<h4>How many people show what; the height is the number on screen</h4>"
        + _figure("crowd", 0, to_svg(crowd(recording, key=False), alone=False))
        + _details("numbers by stretch", crowd_table(recording))
        + "</div>"
    )
    return _section("The group", "group", inner)


def _events(found: Sequence[Event], recording: Recording) -> str:
    if not recording.timed or not recording.persons:
        return ""
    names = {p.face_id: p.name for p in recording.persons if p.face_id is not None}
    inner = moment_table(found, names) if found else "<p>None lasted long enough.</p>"
    return _section(
        "Events", "events", f"<p>{len(found)} stretches of one apparent expression.</p>{inner}"
    )


def _strip(shown: Sequence[Event], recording: Recording, faces: Mapping[Where, str]) -> str:
    names = {p.face_id: p.name for p in recording.persons}
    items = []
    for m in shown:
        if uri := faces.get((m.face_id, m.peak_frame)):
            name = escape(names.get(m.face_id, ""))
            told = f"{m.expression} {percent(m.peak)}"
            items.append(
                f'<li><button type="button" data-t="{m.peak_t:.3f}"><img src="{uri}" '
                f'data-face="{m.face_id}-{m.peak_frame}" width="96" height="96" '
                f'alt="{name}, {told}"><span>{name} {clock(m.peak_t)}<br>'
                f"{told}</span></button></li>"
            )
    return (
        _section("Faces at the peaks", "faces", f'<ul class="faces">{"".join(items)}</ul>')
        if (items)
        else ""
    )


def _settings(recording: Recording, given: Mapping[str, str]) -> str:
    smoothed = any(p.smoothed is not None for p in recording.persons)
    facts = {"model": recording.model, "smoothing": "yes, in the table" if smoothed else "none"}
    if recording.timed and len(recording.t) > 1:
        step = float(np.median(np.diff(recording.t)))
        facts["frames"] = f"one every {step:.3g} s, by the source's own clock"
        width = columns(recording, 2000).width
        facts["plots"] = f"each column is the mean of about {width:.2g} s"
    told = {**facts, **given}
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in told.items())
    return f"<dl>{rows}</dl>"


def _section(title: str, name: str, inner: str) -> str:
    return f'<section id="{name}"><h2>{escape(title)}</h2>\n{inner}\n</section>'


def _figure(kind: str, person: int, svg: str) -> str:
    return (
        f'<figure class="time" data-kind="{kind}" data-person="{person}" tabindex="0" role="group" '
        f'aria-label="{kind}; arrow keys move, + and - zoom, Enter opens the moment">{svg}</figure>'
    )


def _details(what: str, table: str) -> str:
    return f"<details><summary>As a table: {what}</summary>{table}</details>"


def _asset(name: str) -> str:
    return resources.files("mien.report").joinpath(name).read_text("utf-8")


def _sealed(script: str) -> str:
    return f"'{_digest(script)}'" if script else "'none'"


def _digest(text: str) -> str:
    """What a content security policy calls an inline style or script that may be used."""
    found = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(found).decode("ascii")

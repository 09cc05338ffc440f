"""A paper's table beside ours, in Markdown.

A cell of ours is the mean over the seeds, with their standard deviation behind ± where there are
several, and the 95 % interval over the faces in brackets where it was worked out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mien.train.reproduce.costs import Costs
from mien.train.reproduce.experiment import Outcome
from mien.train.reproduce.measures import Figure, change

Unit = Literal[
    "percent",
    "number",
    "count",
    "millions",
    "megabytes",
    "milliseconds",
    "per_second",
    "times",
]

_SCALE: Mapping[Unit, tuple[float, str]] = {
    "percent": (100.0, ".1f"),
    "number": (1.0, ".3f"),
    "count": (1.0, ",.0f"),
    "millions": (1e-6, ",.2f"),
    "megabytes": (1e-6, ",.1f"),
    "milliseconds": (1e3, ".2f"),
    "per_second": (1.0, ",.0f"),
    "times": (1.0, ",.1f"),
}
NOTHING = "–"


@dataclass(frozen=True)
class Result:
    """An experiment's outcome with its figures, by held-out set and name, and its costs."""

    outcome: Outcome
    figures: Mapping[str, Mapping[str, Figure]]
    costs: Costs
    faces_per_s: float
    """Training speed, the median over the epochs."""
    relative: Mapping[str, float] = field(default_factory=dict)
    """``macs_saved`` and ``speed_up``: how many times less than the reference's."""


Results = Mapping[str, Result]


@dataclass(frozen=True)
class Column:
    """A column: a figure by its name in `measures` or `costs`, or ``faces_per_s``."""

    title: str
    figure: str
    unit: Unit = "percent"


@dataclass(frozen=True)
class Line:
    """A line: an experiment, and what the paper has in its place, by figure, in the unit's base."""

    label: str
    experiment: str
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """A table of one held-out set."""

    title: str
    held_out: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """A question of two experiments: is the first higher than the second?"""

    ours: str
    theirs: str


@dataclass(frozen=True)
class Comparison:
    """Differences on one held-out set in one measure, with intervals over the same faces."""

    title: str
    held_out: str
    figure: str
    pairs: tuple[Pair, ...]


def render_sheet(sheet: Sheet, results: Results) -> list[str]:
    """The Markdown lines of a table; lines whose experiments were not run are left out.

    A column has a second one in front of it, the paper's, if any line has the paper's number.
    """
    lines = [line for line in sheet.lines if line.experiment in results]
    if not lines:
        return []
    headings, cells = [""], [[line.label] for line in lines]
    for column in sheet.columns:
        if any(column.figure in line.paper for line in lines):
            headings.append(f"{column.title}, paper")
            for line, row in zip(lines, cells, strict=True):
                row.append(_number(line.paper.get(column.figure), column.unit))
        headings.append(f"{column.title}, ours" if column.figure in _told(lines) else column.title)
        for line, row in zip(lines, cells, strict=True):
            row.append(_cell(results[line.experiment], sheet.held_out, column))
    n = len(results[lines[0].experiment].outcome.answers[sheet.held_out].truth)
    note = [sheet.note, ""] if sheet.note else []
    return [f"### {sheet.title} (n = {n:,})", "", *note, *_markdown(headings, cells), ""]


def render_comparison(comparison: Comparison, results: Results, rounds: int) -> list[str]:
    """The Markdown lines of the differences; pairs that were not both run are left out."""
    pairs = [p for p in comparison.pairs if p.ours in results and p.theirs in results]
    if not pairs:
        return []
    rows = []
    for pair in pairs:
        answers = [results[name].outcome.answers[comparison.held_out] for name in _both(pair)]
        told = change(answers[0], answers[1], comparison.figure, rounds)
        mean, low, high = (f"{100 * value:+.1f}" for value in (told.mean, told.low, told.high))
        interval = NOTHING if math.isnan(told.low) else f"{low} to {high}"
        rows.append([pair.ours, pair.theirs, mean, interval, told.verdict])
    headings = ["", "against", f"{comparison.figure}, points", "95 % interval", "the first is"]
    return [f"### {comparison.title}", "", *_markdown(headings, rows), ""]


def format_figure(figure: Figure, unit: Unit) -> str:
    """``61.2 ± 0.4 (59.8 to 62.7)``, as far as there is a deviation and an interval."""
    text = _number(figure.mean, unit)
    if figure.deviation is not None:
        text += f" ± {_number(figure.deviation, unit)}"
    if figure.interval is not None:
        low, high = (_number(end, unit) for end in figure.interval)
        text += f" ({low} to {high})"
    return text


def _both(pair: Pair) -> tuple[str, str]:
    return pair.ours, pair.theirs


def _told(lines: Sequence[Line]) -> set[str]:
    return {figure for line in lines for figure in line.paper}


def _cell(result: Result, held_out: str, column: Column) -> str:
    figure = result.figures[held_out].get(column.figure)
    if figure is not None:
        return format_figure(figure, column.unit)
    if column.figure == "faces_per_s":
        return _number(result.faces_per_s, column.unit)
    value = result.relative.get(column.figure, getattr(result.costs, column.figure, None))
    return _number(value, column.unit)


def _number(value: float | None, unit: Unit) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    factor, style = _SCALE[unit]
    text = format(factor * value, style)
    return text.removeprefix("-") if not text.strip("-0.") else text


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    first = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return [*first, *("| " + " | ".join(row) + " |" for row in rows)]

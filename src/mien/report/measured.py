"""The metrics of a model file, sorted by the faces and the head that they were measured on.

Keys are HEAD_MEASURE for the validation split and SET_HEAD_MEASURE for another data set, where HEAD
may be "answer"; OUTPUT_MEASURE and SET_OUTPUT_MEASURE for OUTPUT valence or arousal, with or
without "affect_" or "answer_" before OUTPUT; and speed_MEASURE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

VALIDATION = ""
"""The key of the validation split among the sets."""

_SPEED = "speed_"
_AFFECT = re.compile(
    r"(?:(?P<set>.+?)_)??(?:(?:affect|answer)_)?(?P<output>valence|arousal)_(?P<measure>[a-z]+)"
)


@dataclass(frozen=True)
class Measured:
    """The figures of one data set."""

    heads: dict[str, dict[str, float]] = field(default_factory=dict)
    """By head, then by measure."""
    affect: dict[str, dict[str, float]] = field(default_factory=dict)
    """By output, valence or arousal, then by measure."""


@dataclass(frozen=True)
class Figures:
    """All metrics of a file."""

    sets: dict[str, Measured] = field(default_factory=dict)
    """By data set; `VALIDATION` is the first one if it has figures."""
    speed: dict[str, float] = field(default_factory=dict)
    """By measure."""
    others: dict[str, float] = field(default_factory=dict)
    """By key: those whose keys are not of the forms above."""


def sort_metrics(metrics: Mapping[str, float], heads: Iterable[str]) -> Figures:
    """Sort `metrics` by data set and head; `heads` are the names that a key may hold.

    A set may be called like a head: ``affectnet_answer_n`` is of the set affectnet, whether or not
    there is a head affectnet, and ``affectnet_n`` is of the head.
    """
    names = sorted(heads, key=len, reverse=True)
    told = Figures()
    for key, value in metrics.items():
        if key.startswith(_SPEED):
            told.speed[key.removeprefix(_SPEED)] = value
        elif match := _AFFECT.fullmatch(key):
            of = told.sets.setdefault(match["set"] or VALIDATION, Measured())
            of.affect.setdefault(match["output"], {})[match["measure"]] = value
        elif parts := _parts(key, names):
            of = told.sets.setdefault(parts[0], Measured())
            of.heads.setdefault(parts[1], {})[parts[2]] = value
        else:
            told.others[key] = value
    in_order = sorted(told.sets.items(), key=lambda item: item[0] != VALIDATION)
    return Figures(dict(in_order), told.speed, told.others)


def _parts(key: str, heads: list[str]) -> tuple[str, str, str] | None:
    """The set, the head and the measure of a key; None where it names no head."""
    for head in heads:
        if key.startswith(f"{head}_"):
            rest = key.removeprefix(f"{head}_")
            inner = next((other for other in heads if rest.startswith(f"{other}_")), None)
            if inner is None:
                return VALIDATION, head, rest
            return head, inner, rest.removeprefix(f"{inner}_")
    for head in heads:
        before, found, rest = key.partition(f"_{head}_")
        if found:
            return before, head, rest
    return None

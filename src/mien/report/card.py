"""Model cards: what a model file says about itself, as Markdown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mien.labels import EIGHT
from mien.report.measured import VALIDATION, Measured, sort_metrics
from mien.spec import ANSWER, HeadSpec, ModelSpec

HEADER = """\
# Models

Made from the model files by `mien models cards`; do not edit. Figures are parts of one. ECE is the
calibration error before and after the temperature that was fitted on the same faces; cross-fitted,
each half of them has the other half's temperature.

![Two photos, as they are and spoilt, and what each model says of them](docs/images/failures.jpg)

What goes wrong, on two photos in the public domain (`python docs/make_failures_picture.py`): a
mask hides a smile, a blurred one is taken for fear, disgust or surprise, and a calm face is called
sad when it is small, blurred or turned. Red is what differs from the answer to the photo as it is.
How often each of these happens is in `results/`, in the models' `robustness.md`.
"""

USES = """\
- **Not for** decisions about people: not for hiring, grading, discipline, insurance, credit,
  policing, border control or lie detection. Apparent expressions are not feelings.
- **Prohibited in the EU:** inferring emotions at work and in education, except for medical or
  safety reasons (Regulation (EU) 2024/1689, Article 5(1)(f)). See
  [RESPONSIBLE_USE.md](RESPONSIBLE_USE.md).
"""

SETS = {
    VALIDATION: "The validation split",
    "affectnet": "AffectNet",
    "ckplus": "CK+",
    "fer2013": "FER2013",
    "ferplus": "FER+",
    "rafdb": "RAF-DB",
}
"""What data sets are called, by the first part of their metrics' keys."""

_COLUMNS = {
    "n": "n",
    "accuracy": "accuracy (95 % interval)",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "nll": "NLL",
    "ece_uncalibrated": "ECE before",
    "ece": "ECE after",
    "ece_cross_fitted": "ECE cross-fitted",
}
"""Measures of a head, in the order in which they are told."""

_ELSEWHERE = ("recall_", "n_", "accuracy_low", "accuracy_high")
"""Measures that are told in other places than a column or a sentence of their own."""

_AFFECT = {"n": "n", "ccc": "CCC", "pcc": "PCC", "rmse": "RMSE", "sagr": "SAGR"}
_SPEEDS = {
    "batch1_ms": "{:g} ms a face, one by one on one thread",
    "batch64_faces_per_s": "{:,.0f} faces/s in batches of 64 on two threads",
}


def cards(models: list[tuple[ModelSpec, Path]]) -> str:
    """The whole of MODELS.md for these models and their files."""
    return "\n".join([HEADER, *(card(spec, path) for spec, path in models)])


def card(spec: ModelSpec, path: Path) -> str:
    """One model's card."""
    data = path.read_bytes()
    lines = [
        f"## {spec.name} {spec.version}",
        "",
        f"- **For:** {spec.intended_use}",
        USES,
        "| | |",
        "|---|---|",
        f"| architecture | `{spec.architecture}` |",
        f"| parameters, all counted | {spec.parameters:,} |",
        f"| multiply-accumulates a face | {spec.macs:,} |",
        f"| file | {path.name}, {len(data) / 1000:.0f} kB, {spec.precision} |",
        f"| SHA-256 | `{hashlib.sha256(data).hexdigest()}` |",
        f"| input | {_input(spec)} |",
        f"| crop recipe | `{spec.input.crop}` |",
        f"| weights' licence | {spec.licence} |",
        *(f"| trained on | {data} |" for data in spec.training_data),
        *(f"| has seen | {', '.join(seen)} |" for seen in [spec.trained_on] if seen),
        f"| command | `{spec.command}`, seed {spec.seed} |",
        f"| made | {spec.created}, {_commit(spec)} |",
        f"| default answer | {_answer(spec)} |",
        *(f"| valence and arousal | {kind} |" for kind in [spec.affect_kind] if kind),
        *(f"| uncertain | {kind} |" for kind in [spec.uncertain_kind] if kind),
        "",
        *_failures(spec),
        *_figures(spec),
        *_heads(spec),
    ]
    return "\n".join(lines) + "\n"


def _input(spec: ModelSpec) -> str:
    kind = "grey" if spec.input.channels == 1 else "RGB"
    size, floor = spec.input.size, spec.input.std_floor
    return f"{size}x{size} {kind}, each crop to mean 0 and deviation 1 (floor {floor:g})"


def _commit(spec: ModelSpec) -> str:
    if not spec.commit:
        return "commit unknown"
    changed = " with changes since" if spec.commit.endswith("+") else ""
    return f"commit {spec.commit[:12]}{changed}"


def _answer(spec: ModelSpec) -> str:
    parts = []
    for name, weight in spec.answer.weights.items():
        strength = spec.answer.prior_strength.get(name, 0)
        kind = "measured priors" if name in spec.answer.priors else "priors"
        parts.append(f"{weight:g} x `{name}`, {kind} divided out by {strength:g}")
    return "; ".join(parts) + (f". {spec.answer.why}" if spec.answer.why else "")


def _failures(spec: ModelSpec) -> list[str]:
    if not spec.failures:
        return []
    return ["### Known failures", "", *(f"- {failure}" for failure in spec.failures), ""]


def _figures(spec: ModelSpec) -> list[str]:
    """A section for each data set, the speed, and whatever else was measured."""
    figures = sort_metrics(spec.metrics, [*(head.name for head in spec.heads), ANSWER])
    lines = [line for name, told in figures.sets.items() for line in _section(name, told)]
    speeds = [form.format(figures.speed[k]) for k, form in _SPEEDS.items() if k in figures.speed]
    if speeds:
        where = f" Measured on {spec.machine}." if spec.machine else ""
        lines += ["### Speed", "", f"{'; '.join(speeds)}.{where}", ""]
    if figures.others:
        others = [[_words(key), f"{value:g}"] for key, value in figures.others.items()]
        lines += ["### Other figures", "", *_table(["", ""], others)]
    return lines


def _section(name: str, told: Measured) -> list[str]:
    """The tables of one data set: figures by head, recalls by class, valence and arousal."""
    lines = [f"### {SETS.get(name, name)}", ""]
    if told.heads:
        lines += _by_head(told.heads)
        lines += _recalls(told.heads)
    if told.affect:
        found = dict.fromkeys(measure for part in told.affect.values() for measure in part)
        shown = [m for m in _AFFECT if m in found] + [m for m in found if m not in _AFFECT]
        rows = [
            [output, *(_cell(part, measure) for measure in shown)]
            for output, part in told.affect.items()
        ]
        shown_names = [_AFFECT.get(measure, _words(measure)) for measure in shown]
        lines += _table(["", *shown_names], rows)
    return lines


def _by_head(heads: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A row a head, a column a measure that any of them has; below it, what is a head's alone."""
    measures = [measure for measure in _COLUMNS if any(measure in told for told in heads.values())]
    rows = [[f"`{head}`", *(_cell(told, m) for m in measures)] for head, told in heads.items()]
    lines = _table(["", *(_COLUMNS[m] for m in measures)], rows)
    for head, told in heads.items():
        more = [
            f"{_words(measure)} {_number(value)}"
            for measure, value in told.items()
            if measure not in _COLUMNS and not measure.startswith(_ELSEWHERE)
        ]
        lines += [f"`{head}`: {', '.join(more)}.", ""] if more else []
    return lines


def _cell(told: Mapping[str, float], measure: str) -> str:
    value = told.get(measure)
    text = f"{value:.0f}" if measure == "n" and value is not None else _number(value)
    if measure == "accuracy" and "accuracy_low" in told and "accuracy_high" in told:
        return f"{text} ({told['accuracy_low']:.3f} to {told['accuracy_high']:.3f})"
    return text


def _recalls(heads: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A row a class, a column a head: the recall, and the faces of that class."""
    shown = {head: told for head, told in heads.items() if any("recall_" in m for m in told)}
    found = [m.removeprefix("recall_") for told in shown.values() for m in told if "recall_" in m]
    labels = sorted(set(found), key=lambda k: (EIGHT.index(k) if k in EIGHT else len(EIGHT), k))
    rows = []
    for label in labels:
        cells = [(told.get(f"recall_{label}"), told.get(f"n_{label}")) for told in shown.values()]
        of = [(_number(recall), "" if n is None else f" of {n:.0f}") for recall, n in cells]
        rows.append([label, *(recall + n if recall else "" for recall, n in of)])
    return _table(["recall of", *(f"`{head}`" for head in shown)], rows) if rows else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return [lines[0], "|---" * len(header) + "|", *lines[1:], ""]


def _heads(spec: ModelSpec) -> list[str]:
    told = [_head(head, spec) for head in spec.heads if head.priors]
    return ["### Heads", "", *told] if told else []


def _head(head: HeadSpec, spec: ModelSpec) -> str:
    shares = _shares(head.labels, head.priors, 1)
    told = f"Head `{head.name}`: temperature {head.temperature:g}; training shares {shares}.\n"
    if head.biases:
        added = zip(head.labels, head.biases, strict=True)
        told += (
            "\nAdded to its logits: "
            + ", ".join(f"{label} {bias:+.2f}" for label, bias in added)
            + ". They were fitted with the temperature on the validation faces, so its figures "
            "there are of each tenth of them by the biases of the others.\n"
        )
    if measured := spec.answer.priors.get(head.name):
        told += (
            "\nThe answer divides out of it what it expects of validation faces on which the "
            f"labels of `{spec.answer.balance}` are equally frequent: "
            f"{_shares(head.labels, measured, 2)}.\n"
        )
    return told


def _shares(labels: Sequence[str], parts: Sequence[float], digits: int) -> str:
    told = (f"{label} {100 * p:.{digits}f} %" for label, p in zip(labels, parts, strict=True))
    return ", ".join(told)

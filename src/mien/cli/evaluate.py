"""`mien evaluate`: a model against a labelled data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mien.cli.flags import call
from mien.cli.main import OK
from mien.errors import UsageError
from mien.evaluate import Report, measure_probabilities, restrict
from mien.io.sinks import replacing
from mien.metrics import Codes
from mien.runtime.classify import DEFAULT_MODEL, Classifier, load_classifier
from mien.train.data import fer2013, folder
from mien.train.data.rows import Rows
from mien.types import Floats


def evaluate(
    model: str = DEFAULT_MODEL,
    /,
    *,
    data: Path,
    reader: Literal["fer2013", "folder"] = "fer2013",
    split: str = "PublicTest",
    truth: Literal["fer2013", "ferplus"] = "fer2013",
    labels: str | None = None,
    format: Literal["table", "json"] = "table",
    output: Path | None = None,
    predictions: Path | None = None,
) -> int:
    """Measure a model on crops of faces: single view, no test-time augmentation.

    Args:
        model: A bundled model's name or an .onnx file.
        data: The folder of the data set.
        reader: FER2013 with FER+ votes beside it, or a folder with one sub-folder per expression.
        split: The split of FER2013, or the sub-folder of `data` (. for `data` itself).
        truth: The labels to measure against: FER2013's, or FER+ majorities.
        labels: The head that answers; by default the one of the truth's name, if there is one,
            and "answer" is the model's default answer.
        format: A report for people, or JSON.
        output: The file to write instead of stdout.
        predictions: A CSV file for every face's name, truth and probabilities.
    """
    classifier = load_classifier(model, threads=2)
    rows, known = _rows(data, reader, split, truth)
    answers = _answer(classifier, rows, known, labels)
    report = measure_probabilities(answers.probabilities, answers.truth, answers.labels)
    about = {"model": classifier.spec.name, "head": answers.head, "data": reader, "split": split}
    _tell({**about, "truth": truth, **report.to_dict()}, report, format, output)
    if predictions is not None:
        _write_predictions(answers, predictions)
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(evaluate, argv, prog="mien evaluate")


@dataclass(frozen=True)
class Answers:
    """What a head said of the faces that have a label."""

    head: str
    names: list[str]
    probabilities: Floats  # (n, k)
    labels: tuple[str, ...]  # of the columns
    truth: Codes  # (n,) index into `labels`


def _rows(data: Path, reader: str, split: str, truth: str) -> tuple[Rows, str]:
    """The faces, and the head that holds their truth."""
    if reader == "folder":
        return folder.read(data / split, 48), folder.HEAD
    rows = fer2013.read(data, [split], "majority")[0]
    if truth not in rows.targets:
        raise UsageError(f"{data} has no {truth} labels; fer2013new.csv must lie beside the faces")
    return rows, truth


def _answer(classifier: Classifier, rows: Rows, truth: str, labels: str | None) -> Answers:
    """Ask the head `labels`, or the truth's own if there is one, about the labelled faces.

    Columns that the truth does not know are left out, and the rest sum to one again.
    """
    known = np.flatnonzero(rows.labelled(truth))
    codes, names = rows.targets[truth][known].argmax(axis=1), rows.labels[truth]
    heads = [head.name for head in classifier.spec.heads]
    head = labels or (truth if truth in heads else "answer")
    scores = classifier(rows.images[known], labels=None if head == "answer" else head)
    present = tuple(names[code] for code in np.unique(codes))
    kept = names if set(names) <= set(scores.labels) else present
    if unknown := sorted(set(kept) - set(scores.labels)):
        raise UsageError(f"head {head!r} does not know {', '.join(unknown)}")
    probabilities, columns = restrict(scores.probabilities, scores.labels, kept)
    moved = np.array([columns.index(name) if name in columns else -1 for name in names])
    told = [rows.names[i] for i in known]
    return Answers(head, told, probabilities, columns, moved[codes])


def _write_predictions(answers: Answers, path: Path) -> None:
    lines = [",".join(("name", "truth", *answers.labels))]
    for name, code, row in zip(answers.names, answers.truth, answers.probabilities, strict=True):
        lines.append(",".join((name, answers.labels[code], *(f"{p:.4f}" for p in row))))
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _tell(about: dict[str, Any], report: Report, format: str, output: Path | None) -> None:
    text = json.dumps(about, indent=1) + "\n" if format == "json" else _text(about, report)
    if output is None:
        sys.stdout.write(text)
        return
    with replacing(output) as file:
        file.write(text.encode())


def _text(about: dict[str, Any], report: Report) -> str:
    low, high = report.accuracy_interval
    lines = [
        f"{about['model']}, head {about['head']}, on {about['data']} {about['split']}, "
        f"truth {about['truth']}, n = {report.n}, single view",
        f"  accuracy           {report.accuracy:.4f}  (95 % interval {low:.4f} to {high:.4f})",
        f"  balanced accuracy  {report.balanced_accuracy:.4f}",
        f"  macro F1           {report.macro_f1:.4f}",
        f"  ECE                {report.ece:.4f}",
        "  recall per expression",
    ]
    counts = np.array(report.confusion).sum(axis=1)
    for (name, value), n in zip(report.recall.items(), counts, strict=True):
        lines.append(f"    {name:10} {'-' if value is None else f'{value:.3f}'}  n = {n}")
    return "\n".join(lines) + "\n"

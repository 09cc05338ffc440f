"""What a comparison leaves behind beside its table: predictions and pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mien.evaluate import measure
from mien.io.sinks import make_folder, replacing
from mien.train.data.rows import AFFECT_LABELS
from mien.train.reproduce.experiment import Answers, Outcome
from mien.train.reproduce.tables import Results


@dataclass(frozen=True)
class Picture:
    """A figure of an experiment's first seed, over a held-out set."""

    kind: Literal["curves", "confusion", "recalls", "features"]
    experiment: str
    held_out: str = ""


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` beside it and move it into place; folders are made."""
    with replacing(path) as file:
        file.write(text.encode())


def write_predictions(results: Results, folder: Path) -> None:
    """A row a held-out face: its set, name and label, and every seed's answer."""
    for name, result in results.items():
        outcome = result.outcome
        seeds = outcome.experiment.seeds
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with_affect = any(a.affect is not None for a in outcome.answers.values())
        affect = [f"{output}_s{seed}" for seed in seeds for output in AFFECT_LABELS]
        told = [f"s{seed}" for seed in seeds]
        told += [*AFFECT_LABELS, *affect] if with_affect else []
        writer.writerow(["set", "name", "truth", *told])
        for held_out, answers in outcome.answers.items():
            writer.writerows(_prediction_rows(held_out, answers, with_affect))
        write_text(folder / f"{name}.csv", text.getvalue())


def _prediction_rows(held_out: str, answers: Answers, with_affect: bool) -> list[list[str]]:
    predicted = answers.predicted
    rows = []
    for i, face in enumerate(answers.names):
        row = [held_out, face, answers.labels[answers.truth[i]]]
        row += [answers.labels[codes[i]] for codes in predicted]
        if with_affect:
            row += _affect_cells(answers, i)
        rows.append(row)
    return rows


def _affect_cells(answers: Answers, i: int) -> list[str]:
    if answers.affect is None or answers.affect_truth is None:
        return []
    values = [answers.affect_truth[i], *np.clip(answers.affect[:, i], -1, 1)]
    return ["" if np.isnan(v) else f"{v:.4f}" for pair in values for v in pair]


def draw(pictures: Sequence[Picture], results: Results, folder: Path) -> None:
    """Draw the pictures of the experiments that were run, ``<kind>-<experiment>.png``."""
    drawn: dict[str, Callable[[Outcome, Picture, Path], None]] = {
        "curves": _draw_curves,
        "confusion": _draw_confusion,
        "recalls": _draw_recalls,
        "features": _draw_features,
    }
    for picture in pictures:
        if picture.experiment in results:
            make_folder(folder)
            path = folder / f"{picture.kind}-{picture.experiment}.png"
            drawn[picture.kind](results[picture.experiment].outcome, picture, path)


def _draw_curves(outcome: Outcome, picture: Picture, path: Path) -> None:
    from mien.train.curves import draw_curves

    draw_curves(outcome.histories[0], path)


def _draw_confusion(outcome: Outcome, picture: Picture, path: Path) -> None:
    from mien.train.curves import draw_confusion

    answers = outcome.answers[picture.held_out]
    report = measure(answers.logits[0], answers.truth, answers.labels)
    draw_confusion({f"{picture.experiment}, {picture.held_out}": report}, path)


def _draw_recalls(outcome: Outcome, picture: Picture, path: Path) -> None:
    from mien.train.figures import draw_recalls

    answers = outcome.answers[picture.held_out]
    draw_recalls(measure(answers.logits[0], answers.truth, answers.labels), path)


def _draw_features(outcome: Outcome, picture: Picture, path: Path) -> None:
    from mien.train.figures import draw_feature_map, project_pca

    answers = outcome.answers[picture.held_out]
    points, parts = project_pca(answers.features[0])
    axes = (f"first component, {100 * parts[0]:.0f} %", f"second, {100 * parts[1]:.0f} %")
    draw_feature_map(points, answers.truth, answers.labels, path, axis_names=axes)

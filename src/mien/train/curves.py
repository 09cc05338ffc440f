"""Pictures of a run: learning curves and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mien.evaluate import Report


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the training loss and each head's validation accuracy, or CCC, over the epochs."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    loss, scores = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    loss.plot(epochs, [row["loss"] for row in history], color="#0072b2")
    loss.set(xlabel="epoch", ylabel="training loss")
    others = ("epoch", "loss", "faces_per_s")
    for head in [k for k in history[0] if k not in others and not k.startswith("affect_")]:
        scores.plot(epochs, [100 * row[head] for row in history], label=head)
    told = "accuracy, CCC of affect" if "affect" in history[0] else "accuracy"
    scores.set(xlabel="epoch", ylabel=f"validation {told}, %")
    scores.legend(frameon=False)
    for axes in (loss, scores):
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=120)


def draw_confusion(reports: Mapping[str, Report], path: Path) -> None:
    """Draw one row-normalised confusion matrix per head, with percentages and row counts."""
    figure = Figure(figsize=(5.6 * len(reports), 5.2), layout="constrained")
    panels = figure.subplots(1, len(reports), squeeze=False)[0]
    for axes, (head, report) in zip(panels, reports.items(), strict=True):
        matrix = np.array(report.confusion)
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(share):
            colour = "white" if value > 0.5 else "black"
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
        counts = matrix.sum(axis=1)
        rows = [f"{label} ({n})" for label, n in zip(report.labels, counts, strict=True)]
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xticks(range(len(rows)), report.labels, rotation=45, ha="right")
        axes.set(xlabel="predicted", title=f"{head}: {100 * report.accuracy:.1f} % of {report.n}")
    figure.savefig(path, dpi=110)

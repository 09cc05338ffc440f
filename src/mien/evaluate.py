"""Predictions against labels: the figures that are published."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.metrics import Codes, softmax
from mien.types import Floats


@dataclass(frozen=True)
class Report:
    """The figures of one head on one set. Everything is a part of one; intervals are 95 %.

    Macro and weighted averages keep to the conventions of scikit-learn's
    ``classification_report`` (`metrics.macro_averages`). Per class, None is a figure that has no
    rows to be made of. `confusion` has true classes in its rows.
    """

    n: int
    labels: tuple[str, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    ece: float
    nll: float
    brier: float
    recall: dict[str, float | None]
    confusion: list[list[int]]
    macro_precision: float
    macro_recall: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    precision: dict[str, float | None]
    f1: dict[str, float | None]
    balanced_accuracy_interval: tuple[float, float]
    rows: dict[str, int]
    """How many rows of each class the truth has."""
    recall_interval: dict[str, tuple[float, float] | None]
    """Wilson's interval of each class's recall."""

    def to_dict(self) -> dict[str, Any]:
        """Native types only, ready for JSON."""
        return asdict(self)


def measure(logits: Floats, truth: Codes, labels: tuple[str, ...]) -> Report:
    """The report of `logits` (n, k), softmaxed as they are, against the classes `truth` (n,)."""
    return measure_probabilities(softmax(logits), truth, labels)


def measure_probabilities(probabilities: Floats, truth: Codes, labels: tuple[str, ...]) -> Report:
    """The report of `probabilities` (n, k), columns named by `labels`, against `truth` (n,)."""
    predicted = probabilities.argmax(axis=1)
    k = len(labels)
    matrix = metrics.confusion(predicted, truth, k)
    macro, weighted = metrics.macro_averages(matrix), metrics.weighted_averages(matrix)
    return Report(
        n=len(truth),
        labels=labels,
        accuracy=metrics.accuracy(predicted, truth),
        accuracy_interval=metrics.bootstrap_interval(
            lambda at: metrics.accuracy(predicted[at], truth[at]), len(truth)
        ),
        balanced_accuracy=metrics.balanced_accuracy(matrix),
        macro_f1=macro.f1,
        ece=metrics.expected_calibration_error(probabilities, truth),
        nll=metrics.nll(probabilities, truth),
        brier=metrics.brier(probabilities, truth),
        recall=_per_class(labels, metrics.recalls(matrix)),
        confusion=matrix.tolist(),
        macro_precision=macro.precision,
        macro_recall=macro.recall,
        weighted_precision=weighted.precision,
        weighted_recall=weighted.recall,
        weighted_f1=weighted.f1,
        precision=_per_class(labels, metrics.precisions(matrix)),
        f1=_per_class(labels, metrics.f1_scores(matrix)),
        balanced_accuracy_interval=metrics.bootstrap_interval(
            lambda at: metrics.balanced_accuracy(metrics.confusion(predicted[at], truth[at], k)),
            len(truth),
        ),
        rows={label: int(row.sum()) for label, row in zip(labels, matrix, strict=True)},
        recall_interval={
            label: metrics.wilson_interval(int(row[i]), int(row.sum())) if row.any() else None
            for i, (label, row) in enumerate(zip(labels, matrix, strict=True))
        },
    )


def _per_class(labels: tuple[str, ...], figures: NDArray[np.float64]) -> dict[str, float | None]:
    return {k: None if np.isnan(v) else float(v) for k, v in zip(labels, figures, strict=True)}


def restrict(
    probabilities: Floats, labels: tuple[str, ...], kept: tuple[str, ...]
) -> tuple[Floats, tuple[str, ...]]:
    """Leave out the columns that are not in `kept` and let the rows sum to one again.

    For data sets with fewer classes than the model; the order of `labels` stays.
    """
    at = [i for i, label in enumerate(labels) if label in kept]
    part = np.maximum(probabilities[:, at], np.float32(1e-12))  # a row may have nothing else left
    return part / part.sum(axis=1, keepdims=True), tuple(labels[i] for i in at)


@dataclass(frozen=True)
class Found:
    """How right answers are over all pictures, when a face that was not found is a wrong answer."""

    n: int
    found: int
    share: float
    """Of the pictures, those in which a face was found."""
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    balanced_accuracy_interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Native types only, ready for JSON."""
        return asdict(self)


def measure_found(predicted: Codes, truth: Codes) -> Found:
    """The figures of `predicted` (n,), -1 where no face was found, against `truth` (n,)."""
    right = predicted == truth

    def balanced(at: Codes) -> float:
        return float(np.mean([right[at][truth[at] == k].mean() for k in np.unique(truth[at])]))

    n, found = len(truth), int((predicted >= 0).sum())
    return Found(
        n=n,
        found=found,
        share=found / n,
        accuracy=float(right.mean()),
        accuracy_interval=metrics.bootstrap_interval(lambda at: float(right[at].mean()), n),
        balanced_accuracy=balanced(np.arange(n)),
        balanced_accuracy_interval=metrics.bootstrap_interval(balanced, n),
    )


def measure_affect(outputs: Floats, target: Floats) -> dict[str, dict[str, float]]:
    """Valence's and arousal's figures: n, ccc, pcc, rmse, sagr.

    Args:
        outputs: (n, 2); taken as -1 or 1 where they lie beyond, as when the model is used.
        target: (n, 2), NaN where unknown.

    Returns:
        The figures by output; NaN where nothing is known.
    """
    measures = {"ccc": metrics.ccc, "pcc": metrics.pcc, "rmse": metrics.rmse, "sagr": metrics.sagr}
    figures = {}
    columns = zip(("valence", "arousal"), np.clip(outputs, -1, 1).T, target.T, strict=True)
    for name, ours, truth in columns:
        known = ~np.isnan(truth)
        told = {
            k: f(ours[known], truth[known]) if known.any() else float("nan")
            for k, f in measures.items()
        }
        figures[name] = {"n": int(known.sum()), **told}
    return figures

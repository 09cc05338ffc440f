"""Predictions against labels: the figures that are published."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien import metrics
from mien.metrics import Codes, softmax
from mien.types import Floats


@dataclass(frozen=True)
class Report:
    """The figures of one head on one set. Everything is a part of one; intervals are 95 %."""

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

    def to_dict(self) -> dict[str, Any]:
        """Native types only, ready for JSON."""
        return asdict(self)


def measure(logits: Floats, truth: Codes, labels: tuple[str, ...]) -> Report:
    """The report of `logits` (n, k), softmaxed as they are, against the classes `truth` (n,)."""
    return measure_probabilities(softmax(logits), truth, labels)


def measure_probabilities(probabilities: Floats, truth: Codes, labels: tuple[str, ...]) -> Report:
    """The report of `probabilities` (n, k), columns named by `labels`, against `truth` (n,)."""
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion(predicted, truth, len(labels))
    recall = metrics.recalls(matrix)
    return Report(
        n=len(truth),
        labels=labels,
        accuracy=metrics.accuracy(predicted, truth),
        accuracy_interval=metrics.bootstrap_interval(
            lambda at: metrics.accuracy(predicted[at], truth[at]), len(truth)
        ),
        balanced_accuracy=metrics.balanced_accuracy(matrix),
        macro_f1=metrics.macro_f1(matrix),
        ece=metrics.expected_calibration_error(probabilities, truth),
        nll=metrics.nll(probabilities, truth),
        brier=metrics.brier(probabilities, truth),
        recall={k: None if np.isnan(v) else float(v) for k, v in zip(labels, recall, strict=True)},
        confusion=matrix.tolist(),
    )


def restrict(
    probabilities: Floats, labels: tuple[str, ...], kept: tuple[str, ...]
) -> tuple[Floats, tuple[str, ...]]:
    """Leave out the columns that are not in `kept` and let the rows sum to one again.

    For data sets with fewer classes than the model; the order of `labels` stays.
    """
    at = [i for i, label in enumerate(labels) if label in kept]
    part = np.maximum(probabilities[:, at], np.float32(1e-12))  # a row may have nothing else left
    return part / part.sum(axis=1, keepdims=True), tuple(labels[i] for i in at)

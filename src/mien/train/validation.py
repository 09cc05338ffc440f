"""What a network says of faces it was not trained on, and how good that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.evaluate import Report, measure, measure_affect
from mien.metrics import accuracy
from mien.train.data.loader import TensorData, plain_batches
from mien.train.data.rows import AFFECT, labelled
from mien.train.precision import Precision, autocast
from mien.types import Floats


@torch.no_grad()
def predict_logits(
    model: nn.Module, data: TensorData, batch: int = 256, *, precision: Precision = "fp32"
) -> dict[str, Floats]:
    """The outputs (n, k) of every head over `data`, in order.

    With "bf16" they are near those of "fp32", and where that is quick at hand 2.4 times sooner.
    """
    model.eval()
    outputs = []
    for x, _ in plain_batches(data, batch):
        with autocast(x, precision):
            outputs.append(model(x))
    return {
        head: torch.cat([o[head] for o in outputs]).float().cpu().numpy() for head in outputs[0]
    }


def validate(model: nn.Module, data: TensorData, precision: Precision = "fp32") -> dict[str, float]:
    """Each head's figures over the faces of `data` that have a label for it.

    Under a head's name is its accuracy; under ``affect`` the mean of the two concordance
    correlations, and behind it ``affect_ccc_valence``, ``affect_rmse_valence`` and so on. A head
    that no face has a label for is left out.
    """
    scores = {}
    for head, outputs in predict_logits(model, data, precision=precision).items():
        target = data.targets[head].cpu().numpy()
        if head == AFFECT:
            scores.update(_affect_scores(measure_affect(outputs, target)))
            continue
        known = labelled(head, target)
        if known.any():
            scores[head] = accuracy(outputs[known].argmax(axis=1), target[known].argmax(axis=1))
    return scores


def reports_of(
    model: nn.Module, labels: Mapping[str, tuple[str, ...]], data: TensorData, many: int
) -> tuple[dict[str, Report], dict[str, Any]]:
    """The figures over `data` of each head with labels there, uncalibrated; `labels` are by head.

    Returns:
        The reports of the heads with at most `many` classes, and the plain figures of the others:
        n and accuracy of classes, `measure_affect` of affect, None in the place of NaN.
    """
    reports: dict[str, Report] = {}
    others: dict[str, Any] = {}
    for head, outputs in predict_logits(model, data).items():
        target = data.targets[head].cpu().numpy()
        if head == AFFECT:
            told = measure_affect(outputs, target)
            others[head] = {
                name: {k: None if np.isnan(v) else v for k, v in part.items()}
                for name, part in told.items()
            }
            continue
        known = labelled(head, target)
        if not known.any():
            continue
        logits, truth = outputs[known], target[known].argmax(axis=1)
        if len(labels[head]) > many:
            others[head] = {"n": len(truth), "accuracy": accuracy(logits.argmax(axis=1), truth)}
        else:
            reports[head] = measure(logits, truth, labels[head])
    return reports, others


def _affect_scores(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    scores: dict[str, Any] = {AFFECT: float(np.mean([part["ccc"] for part in figures.values()]))}
    for name, part in figures.items():
        scores |= {f"{AFFECT}_{measure}_{name}": part[measure] for measure in ("ccc", "rmse")}
    return scores

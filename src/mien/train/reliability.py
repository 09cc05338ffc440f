"""How far confidence is right, before and after the temperature: numbers and a picture a head."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.labels import EIGHT
from mien.metrics import Codes, expected_calibration_error, reliability, softmax
from mien.runtime.classify import Classifier, answer
from mien.spec import ANSWER, ModelSpec
from mien.train.answers import Answers, write_predictions
from mien.train.calibrate import cross_fitted_ece
from mien.train.data.rows import AFFECT
from mien.train.fitting import answer_truth
from mien.train.held import Held
from mien.train.run import write_json
from mien.types import Floats


@dataclass(frozen=True)
class Bins:
    """Faces in bins of equal width by confidence, the largest probability of a face."""

    n: tuple[int, ...]
    confidence: tuple[float | None, ...]
    """The mean in each bin; None where it is empty."""
    accuracy: tuple[float | None, ...]
    """The part of each bin that is right; None where it is empty."""


@dataclass(frozen=True)
class Reliability:
    """A head's confidence against its accuracy on labelled faces (Guo et al. 2017)."""

    head: str
    n: int
    temperature: float
    ece_uncalibrated: float
    ece: float
    """With the file's temperature, which was fitted on these faces if they are the validation's."""
    ece_cross_fitted: float
    """With temperatures fitted on the other half of the faces."""
    before: Bins
    after: Bins


def bins_of(probabilities: Floats, truth: Codes) -> Bins:
    """The bins of probabilities (n, k) against classes (n,)."""
    counts, confidence, right = reliability(probabilities, truth)
    full = [int(n) for n in counts]
    means = [round(float(c) / n, 5) if n else None for c, n in zip(confidence, full, strict=True)]
    parts = [round(float(r) / n, 5) if n else None for r, n in zip(right, full, strict=True)]
    return Bins(tuple(full), tuple(means), tuple(parts))


def write_reliability(folder: Path, classifier: Classifier, held: Held) -> list[Reliability]:
    """Write ``reliability-HEAD.png`` and ``.json`` into `folder`: each head's, and the answer's.

    Beside them ``predictions-HEAD.csv`` has each face's name, truth, and calibrated probabilities.

    Args:
        folder: a run folder, say.
        classifier: the exported file.
        held: labelled faces; heads without a label among them, and affect, are left out.

    Returns:
        What the JSON files hold.
    """
    from mien.train.figures import draw_reliabilities

    written = []
    for head, (before, at, truth, temperature) in _logits(classifier, held).items():
        told = _reliability(head, before, truth, temperature)
        write_json(folder / f"reliability-{head}.json", _plain(told))
        after = softmax(before, temperature)
        named = {f"{head}, as trained": softmax(before), f"temperature {temperature:.2f}": after}
        draw_reliabilities(named, truth, folder / f"reliability-{head}.png")
        names = tuple(held.rows.names[i] for i in at)
        labels = EIGHT if head == ANSWER else classifier.spec.head(head).labels
        said = Answers(head, names, after, labels, truth)
        write_predictions(said, folder / f"predictions-{head}.csv")
        written.append(told)
    return written


def _reliability(head: str, logits: Floats, truth: Codes, temperature: float) -> Reliability:
    before, after = softmax(logits), softmax(logits, temperature)
    return Reliability(
        head,
        len(truth),
        temperature,
        expected_calibration_error(before, truth),
        expected_calibration_error(after, truth),
        cross_fitted_ece(logits, truth, balanced=head == ANSWER),
        bins_of(before, truth),
        bins_of(after, truth),
    )


def _logits(classifier: Classifier, held: Held) -> dict[str, tuple[Floats, Codes, Codes, float]]:
    """By head: the logits (n, k) of labelled rows, their indices, classes, and a temperature."""
    spec, rows, logits = classifier.spec, held.rows, held.logits(classifier)
    told = {}
    for head in spec.heads:
        if head.name == AFFECT or head.name not in rows.targets:
            continue
        known = np.flatnonzero(rows.labelled(head.name))
        if len(known):
            truth = rows.targets[head.name][known].argmax(axis=1)
            told[head.name] = (logits[head.name][known], known, truth, head.temperature)
    truth, known = answer_truth(rows)
    mixed = _mixed(spec, {name: part[known] for name, part in logits.items()})
    return {**told, ANSWER: (mixed, known, truth, spec.answer.temperature)}


def _mixed(spec: ModelSpec, logits: dict[str, Floats]) -> Floats:
    """Log-probabilities (n, 8) of the default answer before its own temperature."""
    plain = replace(spec, answer=replace(spec.answer, temperature=1.0))
    mixed: Floats = np.log(answer(plain, logits))
    assert mixed.shape[1] == len(EIGHT)
    return mixed


def _plain(told: Reliability) -> dict[str, Any]:
    """As JSON holds it, figures rounded as in the model file."""
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(told).items()}

"""What is fitted to faces that were not trained on, and measured there: a file's whole spec.

Every head gets a temperature and figures, and so does the default answer, whose rule is made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mien.errors import ModelError, UsageError
from mien.evaluate import measure_affect, measure_probabilities
from mien.labels import EIGHT
from mien.metrics import Codes, expected_calibration_error, softmax
from mien.runtime.classify import Classifier, answer
from mien.spec import ANSWER, AnswerSpec, HeadSpec, ModelSpec
from mien.train.calibrate import (
    cross_fitted,
    even_priors,
    even_weights,
    fit_biases,
    fit_temperature,
)
from mien.train.certainty import certainty_figures, fit_threshold
from mien.train.data.rows import AFFECT, Rows
from mien.train.graph import biases_of
from mien.train.held import Held
from mien.train.run import MANY_LABELS
from mien.train.sections import ReleaseConfig
from mien.types import Floats

#: Biases are measured on as many parts of the faces, each with those of the others.
_FOLDS = 10


def fit_spec(classifier: Classifier, release: ReleaseConfig, held: Held) -> ModelSpec:
    """Fit each head's temperature and the answer's rule on `held`, and measure both.

    Where the recipe wants a head's biases corrected, the spec says by how much, and the file is
    still to be given them (`mien.train.graph.with_spec`). What earlier ones it has are taken off
    first.

    Args:
        classifier: the file; its heads keep their training shares.
        release: the recipe's, which says how the heads make the default answer.
        held: faces that were not trained on.

    Raises:
        UsageError: biases are wanted of a head that is not there or has no classes.
    """
    spec = classifier.spec
    names = [head.name for head in spec.heads if head.name != AFFECT]
    if unknown := sorted(set(release.bias_corrected) - set(names)):
        raise UsageError(
            f"release.bias_corrected names {', '.join(unknown)}; the heads with classes are: "
            f"{', '.join(names)}"
        )
    rows, outputs = held.rows, held.logits(classifier)
    plain = {head.name: outputs[head.name] - biases_of(head) for head in spec.heads}
    fitted = [
        _fitted(head, plain[head.name], rows, head.name in release.bias_corrected)
        for head in spec.heads
    ]
    heads = tuple(head for head, _ in fitted)
    figures = {key: value for _, told in fitted for key, value in told.items()}
    logits = {head.name: plain[head.name] + biases_of(head) for head in heads}
    rule = with_priors(answer_rule(release, heads), heads, logits, rows, release.balance)
    mixed = replace(spec, heads=heads, answer=rule)
    rule, told = _fitted_answer(mixed, release.certain, logits, rows)
    return replace(mixed, answer=rule, metrics={**figures, **told})


def _fitted_answer(
    spec: ModelSpec, rate: float, logits: Mapping[str, Floats], rows: Rows
) -> tuple[AnswerSpec, dict[str, float]]:
    """The answer with a temperature and a threshold, and its figures; `rate` as in the recipe."""
    truth, known = answer_truth(rows)
    mixed = np.log(answer(spec, {head: part[known] for head, part in logits.items()}))
    temperature, figures = fit_head(ANSWER, mixed, truth, EIGHT, balanced=True)
    rule = replace(spec.answer, temperature=temperature)
    if rate:
        probabilities = softmax(mixed, temperature)
        rule = replace(rule, threshold=fit_threshold(probabilities, truth, rate), certain=rate)
        certainty = certainty_figures(probabilities, truth, rule.threshold, rate)
        figures.update({f"{ANSWER}_{name}": _round(value) for name, value in certainty.items()})
    return rule, figures


def _fitted(
    head: HeadSpec, logits: Floats, rows: Rows, biased: bool
) -> tuple[HeadSpec, dict[str, float]]:
    """The head with what is fitted of it on `rows`, and its figures; neither without labels."""
    head = replace(head, temperature=1.0, biases=())
    if head.name == AFFECT:
        return head, _affect_figures(logits, rows.targets[AFFECT])
    known = np.flatnonzero(rows.labelled(head.name))
    if not len(known):
        return head, {}
    truth, own = rows.targets[head.name][known].argmax(axis=1), logits[known]
    if biased:
        head = replace(head, biases=tuple(_round(part) for part in fit_biases(own, truth)))
    temperature, told = fit_head(head.name, own, truth, head.labels, biases=head.biases)
    return replace(head, temperature=_round(temperature)), told


def fit_head(
    name: str,
    logits: Floats,
    truth: Codes,
    labels: tuple[str, ...],
    *,
    balanced: bool = False,
    biases: tuple[float, ...] = (),
) -> tuple[float, dict[str, float]]:
    """The temperature of a head, and the figures of its calibrated probabilities by metric key.

    Args:
        name: the head's, the first part of every key.
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
        labels: of the columns. Up to `MANY_LABELS` of them have a recall and a number of rows each.
        balanced: fit with every class weighing the same: for the default answer, whose rule takes
            them for equally likely.
        biases: fitted on these faces, to be added to the logits. Unlike a temperature they change
            which label is told, so the figures are then those of each tenth of the faces with
            biases and a temperature of the other nine.
    """
    corrected = logits + np.asarray(biases, np.float32) if biases else logits
    temperature = fit_temperature(corrected, truth, balanced=balanced)
    folds = _FOLDS if biases else 2
    crossed = cross_fitted(logits, truth, folds, balanced=balanced, biased=bool(biases))
    measured = crossed if biases else softmax(logits, temperature)
    report = measure_probabilities(measured, truth, labels)
    names = ("n", "accuracy", "balanced_accuracy", "macro_f1", "ece", "nll")
    told = {measure: getattr(report, measure) for measure in names}
    told["accuracy_low"], told["accuracy_high"] = report.accuracy_interval
    told["ece_uncalibrated"] = expected_calibration_error(softmax(corrected), truth)
    told["ece_cross_fitted"] = expected_calibration_error(crossed, truth)
    if len(labels) <= MANY_LABELS:
        told |= {f"recall_{k}": recall for k, recall in report.recall.items() if recall is not None}
        told |= {f"n_{label}": n for label, n in report.rows.items()}
    return temperature, {f"{name}_{measure}": _round(value) for measure, value in told.items()}


def answer_rule(release: ReleaseConfig, heads: tuple[HeadSpec, ...]) -> AnswerSpec:
    """The recipe's rule for the default answer; without one, the head with the most labels.

    Raises:
        ModelError: no head says anything about one of the eight expressions.
    """
    classes = [head for head in heads if head.name != AFFECT]
    if not classes:
        raise ModelError("no head of the network tells expressions; train one beside affect")
    widest = max(classes, key=lambda head: len(head.labels))
    weights = release.weights or {widest.name: 1.0}
    covered = {label for h in heads if h.name in weights for label in h.labels}
    missing = [label for label in EIGHT if label not in covered]
    if missing and len(covered) < 7:
        raise ModelError(f"the heads {', '.join(weights)} do not know {', '.join(missing)}")
    return AnswerSpec(dict(weights), dict(release.prior_strength), 1.0, release.why)


def with_priors(
    rule: AnswerSpec,
    heads: tuple[HeadSpec, ...],
    logits: Mapping[str, Floats],
    rows: Rows,
    balance: str,
) -> AnswerSpec:
    """The rule with priors that are measured where the labels of the head `balance` are even.

    Of the rows that have such a label, each class weighs the same. Labels that `balance` does not
    have, as FER2013 has no contempt, are neither favoured nor held back: their prior is the
    geometric mean of the others'. Without `balance`, the rule stays as it is.

    Args:
        rule: the answer's.
        heads: with their temperatures.
        logits: (n, k) by head, of `rows`.
        rows: faces that were not trained on.
        balance: a head's name, or empty.

    Raises:
        UsageError: `balance` is no head with classes that `rows` have labels for.
    """
    if not balance:
        return rule
    if balance == AFFECT or balance not in rows.targets:
        there = ", ".join(head for head in rows.targets if head != AFFECT)
        raise UsageError(f"release.balance is {balance!r}; the heads with classes are: {there}")
    known = np.flatnonzero(rows.labelled(balance))
    truth = rows.targets[balance][known].argmax(axis=1)
    weights = even_weights(truth)
    priors = {}
    for head in heads:
        if head.name not in rule.weights:
            continue
        shared = [i for i, label in enumerate(head.labels) if label in rows.labels[balance]]
        measured = even_priors(logits[head.name][known][:, shared] / head.temperature, weights)
        every = np.full(len(head.labels), np.exp(np.log(measured).mean()))
        every[shared] = measured
        priors[head.name] = tuple(float(f"{p:.5g}") for p in every / every.sum())
    return replace(rule, priors=priors, balance=balance)


def answer_truth(rows: Rows) -> tuple[Codes, Codes]:
    """The classes that the default answer is measured against, and the rows that have one.

    FER+ majorities where the rows carry votes, else the only labels there are.
    """
    heads = [head for head in rows.targets if head != AFFECT]
    head = "ferplus" if "ferplus" in heads else heads[0]
    known = np.flatnonzero(rows.labelled(head))
    columns = np.array([EIGHT.index(label) for label in rows.labels[head]])
    return columns[rows.targets[head][known].argmax(axis=1)], known


def _affect_figures(outputs: Floats, target: Floats) -> dict[str, float]:
    """Valence's and arousal's figures, those that could be measured."""
    return {
        f"{AFFECT}_{output}_{name}": _round(value)
        for output, part in measure_affect(outputs, target).items()
        for name, value in part.items()
        if not np.isnan(value)
    }


def _round(value: float) -> float:
    return round(float(value), 5)

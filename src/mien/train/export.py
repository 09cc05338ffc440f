"""From a run folder to one ONNX file that says everything about itself."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mien.errors import ModelError, UsageError
from mien.evaluate import measure_affect, measure_probabilities
from mien.io.sinks import make_folder, replacing
from mien.labels import CIRCUMPLEX, CIRCUMPLEX_SOURCE, EIGHT
from mien.metrics import Codes, expected_calibration_error, softmax
from mien.runtime.classify import Classifier, answer, load_classifier
from mien.spec import ANSWER, KEY, AffectMap, AnswerSpec, HeadSpec, InputSpec, ModelSpec
from mien.train.calibrate import cross_fitted_ece, even_priors, fit_temperature
from mien.train.certainty import certainty_figures, fit_threshold
from mien.train.data.loader import STD_FLOOR
from mien.train.data.rows import AFFECT, Rows
from mien.train.halve import halve
from mien.train.models import count_macs, count_parameters
from mien.train.network import Run
from mien.train.run import MANY_LABELS
from mien.train.sections import ReleaseConfig
from mien.types import Floats

PARITY = 1e-4
OPSET = 18


class _Tuple(nn.Module):
    """The network with its outputs in a fixed order: ONNX has no dictionaries."""

    def __init__(self, model: nn.Module, heads: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.heads = model, heads

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        logits = self.model(crops)
        return tuple(logits[head] for head in self.heads)


def export(run: Run, validation: Rows, path: Path) -> ModelSpec:
    """Write the network of `run` to the ONNX file `path`, calibrated and checked.

    Temperatures are fitted on `validation`, whose figures go into the file too. The outputs of the
    file must agree with PyTorch's on real crops, in batches of 1, 3 and 64, before it is moved
    into place; otherwise a `ModelError` is raised and `path` stays as it was. Weights are halved
    after that check, if the recipe's precision is fp16: temperatures and figures are then those of
    the halved file.
    """
    precision = "fp16" if run.config.release.precision == "fp16" else "fp32"
    beside = path.with_name(f".{path.stem}.part.onnx")
    make_folder(beside.parent)
    try:
        channels = int(run.about["channels"])
        write_graph(run.model, tuple(run.labels), channels, run.config.model.size, beside)
        write_spec(beside, describe(run))
        draft = load_classifier(beside)
        check_parity(run.model, draft, validation)
        if precision == "fp16":
            halve(beside)
            draft = load_classifier(beside)
        measured = replace(calibrated_spec(run, draft, validation), precision=precision)
        spec = with_release(measured, run.config.release, precision)
        write_spec(beside, spec)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return spec


def with_release(spec: ModelSpec, release: ReleaseConfig, precision: str) -> ModelSpec:
    """The spec with what the recipe tells of measurements elsewhere; own figures stay.

    They are of the released file. One of another precision says so in its name instead.
    """
    if precision != release.precision:
        return replace(spec, name=f"{spec.name}-{precision}")
    return replace(spec, metrics={**release.figures, **spec.metrics}, machine=release.machine)


def check_parity(model: nn.Module, draft: Classifier, rows: Rows) -> float:
    """The largest difference of any logit between PyTorch and the file; an error above `PARITY`."""
    worst = 0.0
    for n in (1, 3, 64):
        crops = rows.images[:n]
        with torch.no_grad():
            ours = model(torch.from_numpy(draft.prepare(crops)))
        theirs = draft.logits(crops)
        for head, logits in ours.items():
            worst = max(worst, float(np.abs(logits.numpy() - theirs[head]).max()))
    if not worst <= PARITY:
        raise ModelError(f"the exported file differs from PyTorch by {worst:.2g} > {PARITY}")
    return worst


def calibrated_spec(run: Run, draft: Classifier, rows: Rows) -> ModelSpec:
    """The spec of `run`'s network in the file of `draft`, calibrated on `rows`."""
    return calibrated(describe(run), run.config.release, draft.logits(rows.images), rows)


def calibrated(
    spec: ModelSpec, release: ReleaseConfig, logits: Mapping[str, Floats], rows: Rows
) -> ModelSpec:
    """Fit each head's temperature and the answer's rule on `rows`, and measure both.

    Args:
        spec: of the file; its heads keep their training shares.
        release: the recipe's, which says how the heads make the default answer.
        logits: the file's outputs (n, k) for the faces of `rows`, by head.
        rows: faces that were not trained on.
    """
    temperatures: dict[str, float] = {}
    figures: dict[str, float] = {}
    for head in spec.heads:
        if head.name == AFFECT:
            figures.update(_affect_figures(logits[AFFECT], rows.targets[AFFECT]))
            continue
        known = np.flatnonzero(rows.labelled(head.name))
        if not len(known):
            continue  # nothing to fit on: the head stays as trained, and the card has no figures
        truth = rows.targets[head.name][known].argmax(axis=1)
        fitted, told = calibrate(head.name, logits[head.name][known], truth, head.labels)
        temperatures[head.name] = _round(fitted)
        figures.update(told)
    heads = tuple(replace(h, temperature=temperatures.get(h.name, 1.0)) for h in spec.heads)
    rule = with_priors(answer_rule(release, heads), heads, logits, rows, release.balance)
    truth, known = answer_truth(rows)
    plain = replace(spec, heads=heads, answer=rule)
    mixed = np.log(answer(plain, {head: part[known] for head, part in logits.items()}))
    temperature, told = calibrate(ANSWER, mixed, truth, EIGHT, balanced=True)
    figures.update(told)
    rule = replace(rule, temperature=temperature)
    probabilities = softmax(mixed, temperature)
    if rate := release.certain:
        rule = replace(rule, threshold=fit_threshold(probabilities, truth, rate), certain=rate)
        certainty = certainty_figures(probabilities, truth, rule.threshold, rate)
        figures.update({f"answer_{name}": _round(value) for name, value in certainty.items()})
    return replace(plain, answer=rule, metrics=figures)


def export_again(source: Path, release: ReleaseConfig, validation: Rows, path: Path) -> ModelSpec:
    """Write the file `source` of an earlier export to `path` as `release` now says.

    Its network, precision, and the shares and commit that it was trained with stay; temperatures,
    the default answer and its figures are fitted on `validation` again.

    Raises:
        ModelError: `source` is no file of `export`, or heads are missing for the answer.
        UsageError: `validation` has nothing of one of its heads, or `release.balance` is no head
            with classes.
    """
    classifier = load_classifier(source)
    if unknown := [h.name for h in classifier.spec.heads if h.name not in validation.targets]:
        raise UsageError(
            f"{source}: has the heads {', '.join(unknown)}, which the recipe's data say nothing "
            "of; take the recipe that it was trained with"
        )
    spec = calibrated(classifier.spec, release, classifier.logits(validation.images), validation)
    spec = replace(spec, **_words(release), created=datetime.date.today().isoformat())
    spec = replace(spec, input=replace(spec.input, crop=release.crop))
    spec = with_release(spec, release, spec.precision)
    with replacing(path) as file:
        file.write(_with_spec(source, spec).SerializeToString())
    return spec


def calibrate(
    name: str, logits: Floats, truth: Codes, labels: tuple[str, ...], *, balanced: bool = False
) -> tuple[float, dict[str, float]]:
    """The temperature of a head, and the figures of its calibrated probabilities by metric key.

    Args:
        name: the head's, the first part of every key.
        logits: (n, k) of faces that were not trained on.
        truth: (n,) their classes.
        labels: of the columns. Up to `MANY_LABELS` of them have a recall and a number of rows each.
        balanced: fit with every class weighing the same: for the default answer, whose rule takes
            them for equally likely.
    """
    temperature = fit_temperature(logits, truth, balanced=balanced)
    report = measure_probabilities(softmax(logits, temperature), truth, labels)
    names = ("n", "accuracy", "balanced_accuracy", "macro_f1", "ece", "nll")
    told = {measure: getattr(report, measure) for measure in names}
    told["accuracy_low"], told["accuracy_high"] = report.accuracy_interval
    told["ece_uncalibrated"] = expected_calibration_error(softmax(logits), truth)
    told["ece_cross_fitted"] = cross_fitted_ece(logits, truth, balanced=balanced)
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
    weights = 1 / np.bincount(truth)[truth]
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


def describe(run: Run) -> ModelSpec:
    """The spec of `run`'s network before anything is fitted or measured."""
    config, release = run.config, run.config.release
    channels = int(run.about["channels"])
    return ModelSpec(
        **_words(release),
        input=InputSpec(config.model.size, channels, release.crop, STD_FLOOR),
        heads=_heads(run),
        answer=AnswerSpec({}, {}),
        parameters=count_parameters(run.model)[1],
        macs=count_macs(run.model, channels, config.model.size),
        seed=config.seed,
        architecture=config.model.name,
        commit=run.commit,
        created=datetime.date.today().isoformat(),
        affect=affect_map(run),
    )


def _words(release: ReleaseConfig) -> dict[str, Any]:
    """What the recipe says of the model, by the spec's fields."""
    return {
        "name": release.name,
        "version": release.version,
        "licence": release.licence,
        "training_data": release.training_data,
        "intended_use": release.intended_use,
        "failures": release.failures,
        "command": f"mien train recipes/{release.name}.yaml --data DIR",
    }


def affect_map(run: Run) -> AffectMap | None:
    """How the file tells valence and arousal without a head for them, as the recipe says."""
    head = run.config.release.affect
    if AFFECT in run.labels or not head:
        return None
    return AffectMap(head, CIRCUMPLEX, CIRCUMPLEX_SOURCE)


def _heads(run: Run) -> tuple[HeadSpec, ...]:
    """The heads with their training shares, before their temperatures are fitted."""
    heads = []
    for name, labels in run.labels.items():
        if name == AFFECT:
            heads.append(HeadSpec(name, labels))
            continue
        counts = np.array([run.about["counts"][name][label] for label in labels]) + 1
        priors = tuple(round(float(p), 5) for p in counts / counts.sum())
        heads.append(HeadSpec(name, labels, 1.0, priors))
    return tuple(heads)


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


def write_graph(
    model: nn.Module, heads: tuple[str, ...], channels: int, size: int, path: Path
) -> None:
    """Write `model` as ONNX with a free batch size: input "crops", one output per head."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            _Tuple(model, heads).eval(),
            (torch.zeros(2, channels, size, size),),
            str(path),
            input_names=["crops"],
            output_names=list(heads),
            dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def write_spec(path: Path, spec: ModelSpec) -> None:
    """Put `spec` into the ONNX file `path`, in the place of whatever notes it carries."""
    onnx.save(_with_spec(path, spec), path)


def _with_spec(path: Path, spec: ModelSpec) -> onnx.ModelProto:
    """What the ONNX file `path` holds, with `spec` in the place of whatever notes it carries."""
    model = onnx.load(path)
    _strip(model)
    onnx.helper.set_model_props(model, {KEY: spec.to_json()})
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, a third of the file: shapes, stack traces with their paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
    used = {node.domain for node in graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)

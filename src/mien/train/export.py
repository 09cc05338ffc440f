"""From a run folder to one ONNX file that says everything about itself."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.errors import ModelError, UsageError
from mien.io.sinks import make_folder, replacing
from mien.labels import CIRCUMPLEX, CIRCUMPLEX_SOURCE
from mien.runtime.classify import Classifier, load_classifier
from mien.spec import AffectMap, AnswerSpec, HeadSpec, InputSpec, ModelSpec
from mien.train.data.loader import STD_FLOOR
from mien.train.data.rows import AFFECT, Rows
from mien.train.fitting import fit_spec
from mien.train.graph import with_spec, write_graph, write_spec
from mien.train.halve import halve
from mien.train.held import Held
from mien.train.models import count_macs, count_parameters
from mien.train.network import Run
from mien.train.sections import ReleaseConfig

PARITY = 1e-4


def export(run: Run, held: Held, path: Path) -> ModelSpec:
    """Write the network of `run` to the ONNX file `path`, calibrated and checked.

    Temperatures are fitted on `held`, whose figures go into the file too. The outputs of the
    file must agree with PyTorch's on real crops, in batches of 1, 3 and 64, before it is moved
    into place; otherwise a `ModelError` is raised and `path` stays as it was. Weights are halved
    after that check, if the recipe's precision is fp16: temperatures and figures are then those of
    the halved file.
    """
    precision = "fp16" if run.config.release.precision == "fp16" else "fp32"
    beside = path.with_name(f".{path.stem}.part.onnx")
    make_folder(beside.parent)
    try:
        draft = write_draft(run, beside)
        check_parity(run.model, draft, held.rows)
        if precision == "fp16":
            halve(beside)
            draft = load_classifier(beside)
        measured = replace(fit_spec(draft, run.config.release, held), precision=precision)
        spec = with_release(measured, run.config.release, precision)
        write_spec(beside, spec, draft.spec)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return spec


def write_draft(run: Run, path: Path) -> Classifier:
    """Write the network of `run` to `path` as it was trained, with nothing fitted, and load it."""
    channels = int(run.about["channels"])
    write_graph(run.model, tuple(run.labels), channels, run.config.model.size, path)
    write_spec(path, describe(run))
    return load_classifier(path)


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


def export_again(source: Path, release: ReleaseConfig, validation: Rows, path: Path) -> ModelSpec:
    """Write the file `source` of an earlier export to `path` as `release` now says.

    Its network, precision, and the shares and commit that it was trained with stay; temperatures,
    biases, the default answer and its figures are fitted on `validation` again.

    Raises:
        ModelError: `source` is no file of `export`, or heads are missing for the answer.
        UsageError: `release` names folds, `validation` has nothing of one of its heads, or
            `release.balance` is no head with classes.
    """
    if release.folds:
        raise UsageError(
            f"{source}: is made of folds, which know the faces that the others held out; export "
            "the run again instead of the file"
        )
    classifier = load_classifier(source)
    if unknown := [h.name for h in classifier.spec.heads if h.name not in validation.targets]:
        raise UsageError(
            f"{source}: has the heads {', '.join(unknown)}, which the recipe's data say nothing "
            "of; take the recipe that it was trained with"
        )
    spec = fit_spec(classifier, release, Held(validation))
    spec = replace(spec, **_words(release), created=datetime.date.today().isoformat())
    spec = replace(spec, input=replace(spec.input, crop=release.crop))
    spec = with_release(spec, release, spec.precision)
    with replacing(path) as file:
        file.write(with_spec(source, spec, classifier.spec).SerializeToString())
    return spec


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
        trained_on=run.trained_on,
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

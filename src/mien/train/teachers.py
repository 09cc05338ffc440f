"""What other networks say of the training faces, to be learnt from.

There are two ways. `soften` mixes the answers of a run of the same heads into the targets. The
others are asked beside the labels, see `mien.train.losses.distillation`: any number of run folders
and exported files, whose answers are averaged. These are given once for each face and its mirror
image, or, with run folders, live for each augmented batch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.errors import UsageError
from mien.faces.crop import to_grey
from mien.metrics import softmax
from mien.runtime.classify import load_classifier
from mien.train import checkpoint
from mien.train.data.loader import TensorData
from mien.train.data.rows import AFFECT, Rows
from mien.train.exported import exported_file
from mien.train.network import WEIGHTS, Run, load_run
from mien.train.tasks import Ask
from mien.train.validation import predict_logits
from mien.types import Floats, Image

Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Teacher:
    """A network that can be asked about crops."""

    source: str
    """The run folder or file, as it was named."""
    labels: Labels
    """What its outputs are called, by head."""
    digest: str
    """SHA-256 of its weights."""
    outputs: Callable[[Image], Mapping[str, Floats]]
    """Raw outputs (n, k) by head of crops, uint8 (n, h, w) or (n, h, w, 3)."""
    run: Run | None = None
    """The run, where it is one; an exported file cannot be asked live."""


def load_teacher(source: str) -> Teacher:
    """The teacher that `source` names: a run folder, an exported file, or a bundled model.

    Raises:
        DataError: no such folder, or no weights in it.
        ModelError: a file that is missing or was not written by `mien export`.
    """
    if file := exported_file(source):
        classifier = load_classifier(file)
        labels = {head.name: head.labels for head in classifier.spec.heads}
        return Teacher(source, labels, checkpoint.digest(file), classifier.logits)
    path = Path(source)
    run = load_run(path)
    weights = path / WEIGHTS[run.config.keep]

    def outputs(images: Image) -> Mapping[str, Floats]:
        rows = Rows(_with_channels(images, _channels(run)), {}, {}, ())
        return _outputs(run, rows)

    return Teacher(source, run.labels, checkpoint.digest(weights), outputs, run)


def digest_of(teachers: Sequence[Teacher]) -> str:
    """SHA-256 that changes with any of the teachers' weights."""
    return hashlib.sha256("".join(t.digest for t in teachers).encode()).hexdigest()


def answers_of(
    teachers: Sequence[Teacher], rows: Rows, labels: Labels, path: Path, key: str
) -> dict[str, Floats]:
    """What the teachers say of each face of `rows`, averaged over them, the face and its mirror.

    Classes are the logarithm of the mean probability (n, k), which are logits to be softened;
    affect is the mean (n, 2).

    Args:
        teachers: one or more.
        rows: the faces.
        labels: those of the student, by head; heads of the same name and labels are asked for.
        path: where the answers are kept. They are taken from there if they were made under `key`.
        key: changes with the faces and the teachers.

    Raises:
        UsageError: a teacher shares no head with the student.
    """
    columns = [shared_columns(teacher, labels) for teacher in teachers]
    if path.exists():
        tensors, about = checkpoint.load(path)
        if about.get("key") == key:
            return {head: tensor.numpy() for head, tensor in tensors.items()}
    mirrored = np.ascontiguousarray(rows.images[:, :, ::-1])
    said = [
        {head: torch.from_numpy(outputs[head][:, at]) for head, at in theirs.items()}
        for teacher, theirs in zip(teachers, columns, strict=True)
        for outputs in (teacher.outputs(rows.images), teacher.outputs(mirrored))
    ]
    answers = average(said)
    checkpoint.save(path, answers, {"key": key, "teachers": [t.source for t in teachers]})
    return {head: answer.numpy() for head, answer in answers.items()}


def cache_key(digests: Mapping[str, str], labels: Labels) -> str:
    """The key of `answers_of` for a run with these digests of its data and teachers."""
    told = [digests["train"], digests["teachers"], sorted(labels)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def ask_live(teachers: Sequence[Teacher], labels: Labels, device: str) -> Ask:
    """A function that asks the teachers about standardised crops (n, c, h, w).

    Crops are resized to each teacher's own size, and made grey or given three equal channels where
    it wants that. The answers are averaged as in `answers_of`, without mirror images.

    Raises:
        UsageError: an exported file is among them, or one that shares no head with the student.
    """
    asked = []
    for teacher in teachers:
        if teacher.run is None:
            raise UsageError(
                f"{teacher.source}: only run folders can be asked live; leave distil.live off"
            )
        network = teacher.run.model.to(device).eval().requires_grad_(False)
        asked.append((teacher.run, network, shared_columns(teacher, labels)))

    @torch.no_grad()
    def ask(x: Tensor) -> Mapping[str, Tensor]:
        said = []
        for run, network, columns in asked:
            outputs = network(fit(x, run.config.model.size, _channels(run)))
            said.append({head: outputs[head].float()[:, at] for head, at in columns.items()})
        return average(said)

    return ask


def shared_columns(teacher: Teacher, labels: Labels) -> dict[str, list[int]]:
    """The heads that `teacher` shares with `labels`, and where in its outputs each label is."""
    shared = {
        head: [teacher.labels[head].index(name) for name in names]
        for head, names in labels.items()
        if set(teacher.labels.get(head, ())) == set(names)
    }
    if not shared:
        raise UsageError(
            f"{teacher.source}: its heads {', '.join(teacher.labels)} are not the student's "
            f"{', '.join(labels)}, or have other labels"
        )
    return shared


def average(said: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several raw outputs (n, k) by head; a head counts where it is given.

    Of classes it is the logarithm of the mean probability.
    """
    heads = list(dict.fromkeys(head for outputs in said for head in outputs))
    stacks = {h: torch.stack([outputs[h] for outputs in said if h in outputs]) for h in heads}
    return {
        head: stack.mean(dim=0)
        if head == AFFECT
        else torch.log_softmax(stack, dim=2).logsumexp(dim=0) - math.log(len(stack))
        for head, stack in stacks.items()
    }


def fit(x: Tensor, size: int, channels: int) -> Tensor:
    """Standardised crops (n, c, h, w) at another size and number of channels."""
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.expand(-1, 3, -1, -1)
    grey = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    deviation = grey.std(dim=(1, 2, 3), keepdim=True, unbiased=False)
    return (grey - grey.mean(dim=(1, 2, 3), keepdim=True)) / deviation.clamp(min=1e-3)


def soften(rows: Rows, teacher: Run, weight: float) -> Rows:
    """Mix the answers of `teacher` into the targets: born-again training (Furlanello et al. 2018).

    The teacher's probabilities are averaged over each face and its mirror image. They make up the
    part `weight` of every target, and all of the targets of faces that had none: faces of another
    data set keep up the heads that they have no labels for (Li & Hoiem 2016). With valence and
    arousal it is the same. Heads that the teacher does not have stay as they are.
    """
    shared = tuple(h for h in rows.targets if teacher.labels.get(h) == rows.labels[h])
    mirrored = replace(rows, images=np.ascontiguousarray(rows.images[:, :, ::-1]))
    views = [_outputs(teacher, view) for view in (rows, mirrored)]
    targets = dict(rows.targets)
    for head in shared:
        said = [np.clip(v[head], -1, 1) if head == AFFECT else softmax(v[head]) for v in views]
        told, own = np.mean(said, axis=0), rows.targets[head]
        known = ~np.isnan(own) if head == AFFECT else rows.labelled(head)[:, None]
        part = np.where(known, weight, 1.0)
        targets[head] = np.asarray((1 - part) * np.nan_to_num(own) + part * told, np.float32)
    return replace(rows, targets=targets)


def _outputs(run: Run, rows: Rows) -> dict[str, Floats]:
    """The raw outputs (n, k) by head of the run's network, in the precision that it trained in."""
    data = TensorData(rows, (), run.config.model.size, "cpu")
    return predict_logits(run.model, data, precision=run.config.precision)


def _with_channels(images: Image, channels: int) -> Image:
    colour = images.ndim == 4
    if channels == 3:
        return images if colour else np.repeat(images[..., None], 3, axis=3)
    return to_grey(images) if colour else images


def _channels(run: Run) -> int:
    return int(run.about["channels"])

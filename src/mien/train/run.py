"""A run: from a recipe and a data set to a folder that is enough to repeat it.

The folder holds ``config.yaml``, ``environment.json`` (versions, commit, machine), ``data.json``
(class counts and a digest of each split), ``history.csv``, ``curves.png``, ``confusion.png``,
``metrics.json``, ``checkpoint.safetensors``, ``last.safetensors`` and ``best.safetensors``.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.errors import DataError, UsageError
from mien.evaluate import Report, measure
from mien.io.sinks import replacing
from mien.metrics import softmax
from mien.train import checkpoint, trainer
from mien.train.config import ReleaseConfig, TrainConfig, load_config, save_config
from mien.train.data import fer2013, folder
from mien.train.data.loader import TensorData
from mien.train.data.rows import Rows
from mien.train.models import build

WEIGHTS = {"last": "last.safetensors", "best": "best.safetensors"}


@dataclass(frozen=True)
class Run:
    """A finished run: its settings and its averaged network."""

    config: TrainConfig
    model: nn.Module
    labels: dict[str, tuple[str, ...]]
    folder: Path
    about: dict[str, Any]
    commit: str

    def with_release(self, release: ReleaseConfig) -> Run:
        """The same network with another `release` section."""
        return replace(self, config=replace(self.config, release=release))


def run_training(
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    progress: trainer.Progress = lambda done, total, loss: None,
    epoch_done: Callable[[trainer.Epoch], None] = lambda epoch: None,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Train as `config` says on the data set in `data`; everything is written to `out`.

    Called again with the same arguments after a kill it goes on where it stopped.

    Args:
        config: the recipe.
        data: the data set's folder.
        out: the run folder, made where it is not there.
        progress: called after each step.
        epoch_done: called with the figures of each epoch.
        say: called with lines for people, such as the class counts before training.
    """
    rows, validation = read_splits(config, data)
    trainer.prepare_machine(config)
    plain = rows
    if config.teacher:
        rows = soften(rows, load_run(Path(config.teacher)), config.teacher_weight)
    digests = {"train": rows.digest(), "validation": validation.digest()}
    heads = _heads(config, rows, data)
    about = _about(plain, validation, heads, digests)
    _tell_counts(about, say)
    fingerprint = trainer.fingerprint(config, digests)
    trainer.refuse_other_run(out, fingerprint)  # before anything is written over
    out.mkdir(parents=True, exist_ok=True)
    save_config(config, out / "config.yaml")
    write_json(out / "environment.json", environment())
    write_json(out / "data.json", about)
    size, device = config.model.size, config.device

    def written(epoch: trainer.Epoch) -> None:
        write_history(out)
        epoch_done(epoch)

    watched = TensorData(validation, heads, size, device)
    trainer.train(
        _first_network(config, about, say).to(device),
        config,
        TensorData(rows, heads, size, device),
        watched,
        folder=out,
        fingerprint=fingerprint,
        progress=progress,
        epoch_done=written,
    )
    write_history(out)  # a kill may have come between the last checkpoint and this
    run = load_run(out)
    _describe(run, watched)
    return run


def _heads(config: TrainConfig, rows: Rows, data: Path) -> tuple[str, ...]:
    """Those of the recipe's heads that the data have labels for."""
    heads = tuple(head for head in config.data.heads if head in rows.targets)
    if not heads:
        found = ", ".join(rows.targets)
        raise UsageError(f"{data} has labels for {found}, not {', '.join(config.data.heads)}")
    return heads


def _first_network(
    config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]
) -> nn.Module:
    model = _network(config, about["labels"], about["channels"])
    if config.init:
        start_from(model, Path(config.init), say)
    return model


def _about(
    rows: Rows, validation: Rows, heads: tuple[str, ...], digests: dict[str, str]
) -> dict[str, Any]:
    """What data.json says of the data that a run is made from."""
    return {
        "labels": {head: rows.labels[head] for head in heads},
        "channels": rows.images.shape[3] if rows.images.ndim == 4 else 1,
        "digests": digests,
        "counts": {h: rows.counts(h) for h in heads},
        "validation_counts": {h: validation.counts(h) for h in heads},
        "faces": {"train": len(rows), "validation": len(validation)},
    }


def _tell_counts(about: dict[str, Any], say: Callable[[str], None]) -> None:
    for part, counts in (("train", "counts"), ("validation", "validation_counts")):
        for head, per_label in about[counts].items():
            listed = ", ".join(f"{label} {n:g}" for label, n in per_label.items())
            say(f"{part}, {about['faces'][part]} faces, {head}: {listed}")


def read_splits(config: TrainConfig, data: Path) -> tuple[Rows, Rows]:
    """The training and validation rows that `config` asks for, out of the folder `data`."""
    names = (config.data.train, config.data.validation)
    if config.data.reader == "fer2013":
        splits = fer2013.read(data, names, config.data.votes, config.data.relabel)
    else:
        splits = [folder.read(data / name, config.model.size) for name in names]
    if config.data.limit:
        splits = [rows.head(config.data.limit) for rows in splits]
    return splits[0], splits[1]


def load_run(out: Path) -> Run:
    """Load the network that a run in the folder `out` made: the last epoch, or the best one."""
    if not (out / "config.yaml").exists():
        raise DataError(f"{out}: not a run folder (no config.yaml); `mien train` makes one")
    config = load_config(out / "config.yaml")
    weights = out / WEIGHTS[config.keep]
    if not weights.exists():
        raise DataError(f"{out}: no {weights.name} yet; let `mien train` finish an epoch")
    about = json.loads((out / "data.json").read_text(encoding="utf-8"))
    labels = {head: tuple(names) for head, names in about["labels"].items()}
    model = _network(config, labels, about["channels"])
    tensors, _ = checkpoint.load(weights)
    model.load_state_dict(tensors)
    made = json.loads((out / "environment.json").read_text(encoding="utf-8"))
    return Run(config, model.eval(), labels, out, about, made["commit"])


def start_from(model: nn.Module, source: Path, say: Callable[[str], None]) -> None:
    """Give `model` the weights of the run in the folder `source`, as far as names and shapes agree.

    Heads with other labels, say, stay as they are; `say` is told how much was taken over.

    Raises:
        DataError: there is no such run, or nothing agrees.
    """
    tensors, _ = checkpoint.load(source / WEIGHTS["last"])
    own = model.state_dict()
    fitting = {k: t for k, t in tensors.items() if k in own and own[k].shape == t.shape}
    if not fitting:
        raise DataError(f"{source}: no weights there fit this network")
    model.load_state_dict(fitting, strict=False)
    new = sorted({k.rpartition(".")[0] for k in own.keys() - fitting.keys()})
    say(f"{len(fitting)} of {len(own)} tensors from {source}; new: {', '.join(new) or 'none'}")


def soften(rows: Rows, teacher: Run, weight: float) -> Rows:
    """Mix the answers of `teacher` into the targets: born-again training (Furlanello et al. 2018).

    The teacher's probabilities are averaged over each face and its mirror image. They make up the
    part `weight` of every target, and all of the targets of faces that had none. Heads that the
    teacher does not have stay as they are.
    """
    shared = tuple(h for h in rows.targets if teacher.labels.get(h) == rows.labels[h])
    mirrored = replace(rows, images=np.ascontiguousarray(rows.images[:, :, ::-1]))
    size = teacher.config.model.size
    views = [
        trainer.predict_logits(teacher.model, TensorData(view, shared, size, "cpu"))
        for view in (rows, mirrored)
    ]
    targets = dict(rows.targets)
    for head in shared:
        told = np.mean([softmax(view[head]) for view in views], axis=0)
        part = np.where(rows.labelled(head), weight, 1.0)[:, None]
        targets[head] = np.asarray((1 - part) * rows.targets[head] + part * told, np.float32)
    return replace(rows, targets=targets)


def environment() -> dict[str, Any]:
    """Versions, commit and machine, as far as they change what a run computes."""
    packages = ("mien", "torch", "numpy", "onnx", "onnxruntime", "pillow")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "commit": commit(),
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def commit() -> str:
    """The commit of the source tree that mien runs from, with "+" when it was changed; or ""."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", str(here)], capture_output=True)
    except FileNotFoundError:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout else "") if head.returncode == 0 else ""


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON beside `path` and move it into place."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def write_history(out: Path) -> None:
    """Write ``history.csv`` and ``curves.png`` from the run's checkpoint."""
    from mien.train.curves import draw_curves

    _, about = checkpoint.load(out / "checkpoint.safetensors")
    history = about["history"]
    with (out / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    draw_curves(history, out / "curves.png")


def validation_reports(run: Run, data: TensorData) -> dict[str, Report]:
    """Each head's figures over `data`, uncalibrated."""
    reports = {}
    for head, logits in trainer.predict_logits(run.model, data).items():
        target = data.targets[head].cpu().numpy()
        known = target.sum(axis=1) > 0
        reports[head] = measure(logits[known], target[known].argmax(axis=1), run.labels[head])
    return reports


def _network(config: TrainConfig, labels: dict[str, tuple[str, ...]], channels: int) -> nn.Module:
    heads = {head: len(names) for head, names in labels.items()}
    return build(config.model.name, heads, channels=channels, **config.model.options)


def _describe(run: Run, watched: TensorData) -> None:
    from mien.train.curves import draw_confusion

    reports = validation_reports(run, watched)
    write_json(run.folder / "metrics.json", {h: r.to_dict() for h, r in reports.items()})
    draw_confusion(reports, run.folder / "confusion.png")

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
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mien import __version__
from mien.errors import UsageError
from mien.io.sinks import make_folder, replacing
from mien.train import checkpoint, trainer
from mien.train.config import TrainConfig, save_config
from mien.train.data.loader import TensorData
from mien.train.data.readers import split_name
from mien.train.data.rows import Rows
from mien.train.data.sets import read_sets
from mien.train.network import Run, first_network, known_by, load_run, trained_on
from mien.train.tasks import Ask
from mien.train.teachers import (
    Teacher,
    answers_of,
    ask_live,
    cache_key,
    digest_of,
    load_teacher,
    soften,
)
from mien.train.validation import reports_of
from mien.types import Floats

MANY_LABELS = 50  # so many labels are not listed, and have no confusion matrix


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
        data: the data set's folder; with further sets, the one that holds them all.
        out: the run folder, made where it is not there.
        progress: called after each step.
        epoch_done: called with the figures of each epoch.
        say: called with lines for people, such as the class counts before training.
    """
    _tell_known(config, say)
    rows, validation = read_splits(config, data, say)
    return train_rows(
        config,
        rows,
        validation,
        out,
        source=str(data),
        progress=progress,
        epoch_done=epoch_done,
        say=say,
    )


def train_rows(
    config: TrainConfig,
    rows: Rows,
    validation: Rows,
    out: Path,
    *,
    source: str = "the data",
    pictures: bool = True,
    progress: trainer.Progress = lambda done, total, loss: None,
    epoch_done: Callable[[trainer.Epoch], None] = lambda epoch: None,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """`run_training` on faces that are read already.

    `source` is what an error calls them; without `pictures`, no PNG is drawn.
    """
    trainer.prepare_machine(config)
    teachers = [load_teacher(source) for source in config.distil.teachers]
    plain = rows
    if config.teacher:
        rows = soften(rows, load_run(Path(config.teacher)), config.teacher_weight)
    digests = {"train": rows.digest(), "validation": validation.digest()}
    if teachers:
        digests["teachers"] = digest_of(teachers)
    heads = _heads(config, rows, source)
    about = _about(config, plain, validation, heads, digests)
    _tell_counts(about, say)
    fingerprint = trainer.fingerprint(config, digests)
    trainer.refuse_other_run(out, fingerprint)  # before anything is written over
    answers, ask = _teach(config, teachers, rows, about, out)
    save_config(config, out / "config.yaml")
    write_json(out / "environment.json", environment())
    write_json(out / "data.json", about)
    size, device = config.model.size, config.device

    def written(epoch: trainer.Epoch) -> None:
        write_history(out, pictures)
        epoch_done(epoch)

    watched = TensorData(validation, heads, size, device)
    trainer.train(
        first_network(config, about, rows.images, say).to(device),
        config,
        TensorData(rows, heads, size, device, answers),
        watched,
        folder=out,
        fingerprint=fingerprint,
        ask=ask,
        progress=progress,
        epoch_done=written,
    )
    write_history(out, pictures)  # a kill may have come between the last checkpoint and this
    run = load_run(out)
    _describe(run, watched, pictures)
    return run


def _teach(
    config: TrainConfig,
    teachers: Sequence[Teacher],
    rows: Rows,
    about: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, Floats], Ask | None]:
    """The teachers' answers, or a function that asks them live; makes the run folder."""
    live = ask_live(teachers, about["labels"], config.device) if config.distil.live else None
    make_folder(out)
    if live is not None or not teachers:
        return {}, live
    key = cache_key(about["digests"], about["labels"])
    return answers_of(teachers, rows, about["labels"], out / "teachers.safetensors", key), None


def _heads(config: TrainConfig, rows: Rows, source: str) -> tuple[str, ...]:
    """Those of the recipe's heads that the data have labels for."""
    heads = tuple(head for head in config.data.heads if head in rows.targets)
    if not heads:
        found = ", ".join(rows.targets)
        raise UsageError(f"{source} has labels for {found}, not {', '.join(config.data.heads)}")
    return heads


def _about(
    config: TrainConfig,
    rows: Rows,
    validation: Rows,
    heads: tuple[str, ...],
    digests: dict[str, str],
) -> dict[str, Any]:
    """What data.json says of the data that a run is made from."""
    return {
        "labels": {head: rows.labels[head] for head in heads},
        "channels": rows.images.shape[3] if rows.images.ndim == 4 else 1,
        "digests": digests,
        "counts": {h: rows.counts(h) for h in heads},
        "validation_counts": {h: validation.counts(h) for h in heads},
        "faces": {"train": len(rows), "validation": len(validation)},
        "trained_on": trained_on(config),
    }


def _tell_known(config: TrainConfig, say: Callable[[str], None]) -> None:
    """Say what it starts or learns from that knows a split which the run is measured on."""
    watched = {split_name(part.reader, part.validation, part.options) for part in config.data.sets}
    for source in config.sources:
        for split in known_by(source):
            if split in watched:
                say(f"{source} was trained on faces of {split}: figures on these will be too good")


def _tell_counts(about: dict[str, Any], say: Callable[[str], None]) -> None:
    for part, counts in (("train", "counts"), ("validation", "validation_counts")):
        for head, per_label in about[counts].items():
            listed = ", ".join(f"{label} {n:g}" for label, n in per_label.items())
            if len(per_label) > MANY_LABELS:
                least, most = min(per_label.values()), max(per_label.values())
                listed = f"{len(per_label)} labels of {least:g} to {most:g} faces"
            say(f"{part}, {about['faces'][part]} faces, {head}: {listed}")


def read_splits(
    config: TrainConfig, data: Path, say: Callable[[str], None] = lambda text: None
) -> tuple[Rows, Rows]:
    """The training and validation rows that `config` asks for, out of the folder `data`."""
    return read_sets(config.data, config.model.size, data, say)


def environment() -> dict[str, Any]:
    """Versions, commit and machine, as far as they change what a run computes."""
    packages = ("torch", "numpy", "onnx", "onnxruntime", "pillow")
    return {
        "python": platform.python_version(),
        "packages": {"mien": __version__, **{name: version(name) for name in packages}},
        "commit": commit(),
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
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


def write_history(out: Path, pictures: bool = True) -> None:
    """Write ``history.csv`` and, with `pictures`, ``curves.png`` from the run's checkpoint."""
    _, about = checkpoint.load(out / "checkpoint.safetensors")
    history = about["history"]
    with (out / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    if pictures:
        from mien.train.curves import draw_curves

        draw_curves(history, out / "curves.png")


def _describe(run: Run, watched: TensorData, pictures: bool) -> None:
    model = run.model.to(watched.images.device)
    reports, others = reports_of(model, run.labels, watched, MANY_LABELS)
    model.cpu()
    figures = {head: report.to_dict() for head, report in reports.items()}
    write_json(run.folder / "metrics.json", {**figures, **others})
    if reports and pictures:
        from mien.train.curves import draw_confusion

        draw_confusion(reports, run.folder / "confusion.png")

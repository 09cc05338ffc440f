"""One row of a comparison: a recipe, trained with several seeds, and what its networks answer.

Each run has a folder ``<out>/runs/<name>-s<seed>``, with ``-f<fold>`` behind it where there are
folds. A killed run goes on where it stopped; of a finished one the answers are read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.errors import DataError
from mien.metrics import Codes
from mien.train import checkpoint, trainer
from mien.train.config import TrainConfig
from mien.train.data.loader import TensorData, plain_batches
from mien.train.data.rows import AFFECT, Rows
from mien.train.network import Run, digest_of_start
from mien.train.reproduce.budgets import Budget
from mien.train.reproduce.sources import Source, Split, thin
from mien.train.run import train_rows, write_json
from mien.train.stages import run_with_features
from mien.types import Floats

RESULT = "result.json"
ANSWERS = "held_out.npz"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """What is trained, and on what."""

    name: str
    config: TrainConfig
    sources: tuple[str, ...]
    """The plan's sources; several are folds, whose held-out answers are put together."""
    head: str
    """The head whose classes are measured."""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Another one than that, by held-out set."""
    seeds: tuple[int, ...] = (0,)
    init: str = ""
    """The experiment whose network of the same seed this one starts from."""
    teachers: tuple[str, ...] = ()
    """The experiments whose networks of the same seed are asked during training."""
    start: bool = False
    """Whether it is there for others to start from: it has training faces of its own number."""
    features: bool = False
    """Whether the features before the classifier are kept, of the held-out faces."""


@dataclass(frozen=True)
class Answers:
    """What an experiment's networks, one a seed, say of one held-out set of n faces."""

    labels: tuple[str, ...]
    names: tuple[str, ...]
    truth: Codes  # (n,) index into `labels`
    logits: Floats  # (seeds, n, k)
    folds: Codes  # (n,)
    subjects: tuple[str, ...] | None = None
    affect_truth: Floats | None = None  # (n, 2), NaN where unknown
    affect: Floats | None = None  # (seeds, n, 2)
    features: tuple[Floats, ...] = ()  # (n, f) of each seed

    @property
    def predicted(self) -> Codes:
        """The most probable class of each face, (seeds, n)."""
        return np.asarray(self.logits.argmax(axis=2), np.intp)


@dataclass(frozen=True)
class Outcome:
    """What came out of an experiment."""

    experiment: Experiment
    answers: Mapping[str, Answers]
    """By held-out set."""
    histories: tuple[list[trainer.Epoch], ...]
    """The epochs of each run, seeds in turn and folds within them."""
    trained_on: tuple[int, ...]
    """Training faces of each source."""
    folders: tuple[Path, ...]


def run_folder(out: Path, experiment: Experiment, seed: int, fold: int = 0) -> Path:
    """Where the run of a seed, and of the fold of that number, is kept."""
    behind = f"-f{fold}" if len(experiment.sources) > 1 else ""
    return out / "runs" / f"{experiment.name}-s{seed}{behind}"


def run_experiment(
    experiment: Experiment,
    sources: Mapping[str, Source],
    budget: Budget,
    out: Path,
    *,
    progress: trainer.Progress = lambda done, total, loss: None,
    say: Say = lambda text: None,
) -> Outcome:
    """Train every seed and fold that is not finished, and gather the held-out answers.

    Raises:
        DataError: a run folder holds a run with other settings or data.
    """
    splits = _splits(experiment, sources, budget)
    histories, folders, answers = [], [], []
    for seed in experiment.seeds:
        of_folds = []
        for fold, split in enumerate(splits):
            folder = run_folder(out, experiment, seed, fold)
            made = _one_run(experiment, split, budget, out, folder, seed, progress, say)
            histories.append(made["history"])
            folders.append(folder)
            of_folds.append(_load(folder))
        answers.append(of_folds)
    gathered = {name: _gather(experiment, name, splits, answers) for name in splits[0].held_out}
    sizes = tuple(len(split.train) for split in splits)
    return Outcome(experiment, gathered, tuple(histories), sizes, tuple(folders))


def _splits(
    experiment: Experiment, sources: Mapping[str, Source], budget: Budget
) -> tuple[Split, ...]:
    """What the experiment trains on and is measured by, no more of it than the budget has."""
    faces = budget.start_faces if experiment.start else budget.faces
    whole = [sources[name].read() for name in experiment.sources]
    return tuple(
        Split(
            thin(split.train, faces),
            {name: thin(rows, budget.held_out) for name, rows in split.held_out.items()},
        )
        for split in whole
    )


def _one_run(
    experiment: Experiment,
    split: Split,
    budget: Budget,
    out: Path,
    folder: Path,
    seed: int,
    progress: trainer.Progress,
    say: Say,
) -> dict[str, Any]:
    """Train one network, unless that is done; what ``result.json`` says of it."""
    config = _settings(experiment, split, budget, seed)
    before = _before(experiment, out, seed)
    key = _key(config, split, [_read_result(path)["key"] for path in before], experiment)
    if (folder / RESULT).exists():
        made = _read_result(folder)
        if made["key"] != key:
            raise DataError(
                f"{folder} holds a run with other settings or data; choose another --out folder, "
                "or delete that one to train it again"
            )
        say(f"{folder.name}: finished before")
        return made
    named = [str(path) for path in before]
    if experiment.init:
        config = replace(config, init=named.pop(0))
    if named:
        config = replace(config, distil=replace(config.distil, teachers=tuple(named)))
    return _train(config, experiment, split, budget, folder, key, progress, say)


def _settings(experiment: Experiment, split: Split, budget: Budget, seed: int) -> TrainConfig:
    return replace(
        experiment.config,
        seed=seed,
        device=budget.device,
        threads=budget.threads,
        batch=min(experiment.config.batch, len(split.train)),
    )


def _before(experiment: Experiment, out: Path, seed: int) -> list[Path]:
    """The folders of the runs that a run starts from and asks."""
    names = [name for name in (experiment.init, *experiment.teachers) if name]
    return [out / "runs" / f"{name}-s{seed}" for name in names]


def is_finished(
    experiment: Experiment, sources: Mapping[str, Source], budget: Budget, out: Path
) -> bool:
    """Whether every run of the experiment was trained before, with these settings and data."""
    runs = [(s, f) for s in experiment.seeds for f in range(len(experiment.sources))]
    folders = {(s, f): run_folder(out, experiment, s, f) for s, f in runs}
    needed = [
        *folders.values(),
        *(p for s in experiment.seeds for p in _before(experiment, out, s)),
    ]
    if not all((folder / RESULT).exists() for folder in needed):
        return False
    splits = _splits(experiment, sources, budget)
    return all(
        _read_result(folder)["key"]
        == _key(
            _settings(experiment, splits[fold], budget, seed),
            splits[fold],
            [_read_result(path)["key"] for path in _before(experiment, out, seed)],
            experiment,
        )
        for (seed, fold), folder in folders.items()
    )


def _train(
    config: TrainConfig,
    experiment: Experiment,
    split: Split,
    budget: Budget,
    folder: Path,
    key: str,
    progress: trainer.Progress,
    say: Say,
) -> dict[str, Any]:
    def epoch_done(epoch: trainer.Epoch) -> None:
        say(f"{folder.name}: " + "  ".join(f"{k} {v:.4g}" for k, v in epoch.items()))

    say(f"{folder.name}: {len(split.train)} faces, {config.epochs} epochs")
    watched = thin(next(iter(split.held_out.values())), budget.watched)
    run = train_rows(
        config,
        split.train,
        watched,
        folder,
        pictures=False,
        progress=progress,
        epoch_done=epoch_done,
    )
    _save_answers(run, split.held_out, config.device, experiment.features, folder)
    made = {"key": key, "history": _history(folder), "faces": len(split.train)}
    write_json(folder / RESULT, made)
    for name in ("checkpoint.safetensors", "best.safetensors", "teachers.safetensors"):
        (folder / name).unlink(missing_ok=True)  # an unfinished run alone needs them
    return made


def _key(config: TrainConfig, split: Split, before: Sequence[str], experiment: Experiment) -> str:
    """A fingerprint of the settings, the data and the networks that a run starts from."""
    digests = {f"held out/{name}": rows.digest() for name, rows in split.held_out.items()}
    digests["train"] = split.train.digest()
    digests["before"] = " ".join(before)
    digests["features"] = str(experiment.features)
    if config.init:  # by what it holds, wherever it lies
        digests["init"] = digest_of_start(config.init)
    text = f"{trainer.fingerprint(replace(config, init=''), digests)} {experiment.head}"
    return hashlib.sha256(text.encode()).hexdigest()


def _history(folder: Path) -> list[trainer.Epoch]:
    _, about = checkpoint.load(folder / trainer.CHECKPOINT)
    history: list[trainer.Epoch] = about["history"]
    return history


def _read_result(folder: Path) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{folder / RESULT}: cannot be read ({error}); delete the run") from error
    return made


@torch.no_grad()
def _save_answers(
    run: Run, held_out: Mapping[str, Rows], device: str, features: bool, folder: Path
) -> None:
    """Write the outputs of every head over each held-out set, and the features if wanted."""
    model = run.model.to(device).eval()
    arrays: dict[str, Any] = {}
    for name, rows in held_out.items():
        data = TensorData(rows, (), run.config.model.size, device)
        parts: dict[str, list[Floats]] = {}
        for x, _ in plain_batches(data, 256):
            if features:
                seen, outputs = run_with_features(model, x)
                outputs = {**outputs, "features": seen}
            else:
                outputs = model(x)
            for head, values in outputs.items():
                parts.setdefault(head, []).append(values.float().cpu().numpy())
        arrays |= {f"{name}/{head}": np.concatenate(values) for head, values in parts.items()}
    beside = folder / f"{ANSWERS}.part.npz"
    np.savez(beside, **arrays)
    beside.replace(folder / ANSWERS)


def _load(folder: Path) -> dict[str, Floats]:
    try:
        with np.load(folder / ANSWERS, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / ANSWERS}: cannot be read ({error}); delete the run") from error


def _gather(
    experiment: Experiment,
    name: str,
    splits: Sequence[Split],
    answers: Sequence[Sequence[Mapping[str, Floats]]],
) -> Answers:
    """One held-out set's answers, folds put together, seeds stacked."""
    rows = [split.held_out[name] for split in splits]
    head = experiment.heads.get(name, experiment.head)

    def stacked(part: str) -> Floats:
        return np.stack([np.concatenate([a[f"{name}/{part}"] for a in folds]) for folds in answers])

    told = rows[0].subjects is not None
    affect = AFFECT in rows[0].targets and AFFECT in experiment.config.data.heads
    features = tuple(stacked("features")) if experiment.features else ()
    return Answers(
        labels=rows[0].labels[head],
        names=tuple(face for part in rows for face in part.names),
        truth=np.concatenate([part.targets[head].argmax(axis=1) for part in rows]),
        logits=stacked(head),
        folds=np.repeat(np.arange(len(rows)), [len(part) for part in rows]),
        subjects=tuple(s for part in rows for s in part.subjects or ()) if told else None,
        affect_truth=np.concatenate([p.targets[AFFECT] for p in rows]) if affect else None,
        affect=stacked(AFFECT) if affect else None,
        features=features,
    )

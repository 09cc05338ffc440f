"""The training loop, to be read in one sitting.

The task holds the loss, the loader the randomness, the run folder the files. What is here: step,
average, measure, write down, go on after a kill.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import DataError, UsageError
from mien.runtime.memory import set_malloc
from mien.train import checkpoint
from mien.train.config import TrainConfig
from mien.train.data.loader import (
    Batch,
    TensorData,
    balanced_chances,
    steps_per_epoch,
    training_batches,
)
from mien.train.data.rows import AFFECT, TEACHER
from mien.train.optim import climb, learning_rate, make_optimiser, set_rate
from mien.train.precision import autocast
from mien.train.stages import Stages
from mien.train.tasks import Ask, ExpressionTask, Losses, make_task
from mien.train.validation import validate

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 60.0
_NEWER_FIELDS = (
    *(("", "init"), ("", "grow"), ("", "teacher"), ("", "head_weights")),
    *(("", "freeze_epochs"), ("", "freeze")),
    *(("data", "relabel"), ("data", "options"), ("data", "sampler"), ("optim", "backbone_lr")),
    *(("data", "path"), ("data", "also"), ("augment", "gamma"), ("augment", "blur")),
    *(("augment", "noise"), ("augment", "small"), ("augment", "mixup")),
    ("optim", "sharpness"),
)
_NEWER_SECTIONS = ("loss", "distil")

Epoch = dict[str, float]
Progress = Callable[[int, int, float], None]  # steps done, steps in all, loss


@dataclass
class TrainState:
    """Everything that changes during a run; `save` and `restore` put it on disk and back."""

    model: nn.Module
    ema: nn.Module
    optimiser: torch.optim.Optimizer
    task: ExpressionTask = field(default_factory=ExpressionTask)  # for the centres in it
    step: int = 0
    history: list[Epoch] = field(default_factory=list)

    def save(self, path: Path, fingerprint: str) -> None:
        """Write a checkpoint of the run whose settings and data have `fingerprint`."""
        tensors = {
            **checkpoint.prefixed("model", self.model.state_dict()),
            **checkpoint.prefixed("ema", self.ema.state_dict()),
            **checkpoint.prefixed(
                "optim", checkpoint.optimiser_tensors(self.model, self.optimiser)
            ),
            **checkpoint.prefixed("task", self.task.state_dict()),
        }
        about = {"step": self.step, "history": self.history, "fingerprint": fingerprint}
        checkpoint.save(path, tensors, about)

    def restore(self, path: Path, fingerprint: str) -> None:
        """Take over what `save` wrote; refuses a checkpoint of other settings or data."""
        tensors, about = checkpoint.load(path)
        _refuse_other_run(path, about, fingerprint)
        self.model.load_state_dict(checkpoint.unprefixed("model", tensors))
        self.ema.load_state_dict(checkpoint.unprefixed("ema", tensors))
        optim = checkpoint.unprefixed("optim", tensors)
        checkpoint.restore_optimiser(self.model, self.optimiser, optim)
        self.task.load_state_dict(checkpoint.unprefixed("task", tensors))
        self.step, self.history = about["step"], about["history"]


def train(
    model: nn.Module,
    config: TrainConfig,
    data: TensorData,
    validation: TensorData,
    *,
    folder: Path,
    fingerprint: str,
    ask: Ask | None = None,
    progress: Progress = lambda done, total, loss: None,
    epoch_done: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainState:
    """Train `model` in place and return the final state, whose `ema` is the result.

    `ask` is a teacher that is asked about every batch, if there is one.

    A checkpoint in `folder` is taken up where it stopped, and the weights become what they
    would have been without the stop. Files written there: ``checkpoint.safetensors`` (the whole
    state), ``last.safetensors`` and ``best.safetensors`` (averaged weights).
    """
    task = make_task(config, model, data, ask)
    state = first_state(model, config, task)
    stages, chances = Stages(model, config.freeze_epochs, config.freeze), _chances(config, data)
    path = folder / CHECKPOINT
    if path.exists():
        state.restore(path, fingerprint)
    else:
        task.start(model, data)
    per_epoch = steps_per_epoch(len(data), config.batch)
    total = per_epoch * config.epochs
    saved = time.monotonic()
    while state.step < total:
        epoch, skip = divmod(state.step, per_epoch)
        losses, started = [], time.monotonic()
        stages.enter(epoch)
        for x, targets in _batches(config, data, epoch, skip, chances):
            losses.append(train_step(state, x, targets, config, total, per_epoch))
            progress(state.step, total, losses[-1])
            # The last step of an epoch is saved below, together with the epoch's figures.
            due = time.monotonic() - saved > CHECKPOINT_SECONDS
            if due and state.step % per_epoch:
                state.save(path, fingerprint)
                saved = time.monotonic()
        faces = len(losses) * config.batch / (time.monotonic() - started)
        scores = validate(state.ema, validation, config.precision)
        state.history.append(
            {"epoch": epoch + 1, "loss": float(np.mean(losses)), **scores, "faces_per_s": faces}
        )
        _keep(state, folder, next(iter(scores)))
        state.save(path, fingerprint)
        epoch_done(state.history[-1])
    return state


def first_state(model: nn.Module, config: TrainConfig, task: ExpressionTask) -> TrainState:
    """The state before the first step; `model` is compiled if `config` says so."""
    state = TrainState(model, _frozen_copy(model), make_optimiser(model, config.optim), task)
    if config.compile:
        model.compile(dynamic=False)  # early_size is a second shape
    return state


def train_step(
    state: TrainState,
    x: Tensor,
    targets: Mapping[str, Tensor],
    config: TrainConfig,
    total: int,
    per_epoch: int,
) -> float:
    """One step of the optimiser and of the running average; returns the loss."""
    optim = config.optim
    warmup = round(optim.warmup * per_epoch)
    set_rate(state.optimiser, learning_rate(state.step, total, warmup, optim.lr))
    losses = _backward(state, x, targets, config)
    if optim.sharpness:
        _backward_above(state, x, targets, config)
    if optim.clip:
        nn.utils.clip_grad_norm_(state.model.parameters(), optim.clip)
    state.optimiser.step()
    state.task.update(losses)
    state.step += 1
    # The average starts short, so that the first random weights are soon forgotten.
    average(state.ema, state.model, min(optim.ema, (1 + state.step) / (10 + state.step)))
    return float(losses.total.detach())


def _backward(
    state: TrainState, x: Tensor, targets: Mapping[str, Tensor], config: TrainConfig
) -> Losses:
    """The losses of a batch, their gradients left in the parameters."""
    # What a network draws, for dropout say, is the same in a resumed run.
    torch.manual_seed(config.seed * 1_000_003 + state.step)
    with autocast(x, config.precision):
        losses: Losses = state.task(state.model, x, targets)
    if not torch.isfinite(losses.total):
        raise DataError(f"the loss is {losses.total.item()} at step {state.step}: lower optim.lr")
    state.optimiser.zero_grad()
    losses.total.backward()  # type: ignore[no-untyped-call]
    return losses


def _backward_above(
    state: TrainState, x: Tensor, targets: Mapping[str, Tensor], config: TrainConfig
) -> None:
    """Replace the gradients by those of a place near by where the loss is high.

    The weights, and the statistics of BatchNorm, are as before afterwards.
    """
    tensors = state.model.state_dict()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    climb(state.model.parameters(), config.optim.sharpness)
    _backward(state, x, targets, config)
    for name, tensor in tensors.items():
        tensor.copy_(before[name])


@torch.no_grad()
def average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the weights and BN statistics of `ema` a part ``1 - decay`` of the way to `model`'s."""
    theirs, ours = ema.state_dict(), model.state_dict()
    floats = [name for name, t in ours.items() if t.is_floating_point()]
    torch._foreach_lerp_([theirs[n] for n in floats], [ours[n] for n in floats], 1 - decay)
    for name in ours.keys() - set(floats):
        theirs[name].copy_(ours[name])


def fingerprint(config: TrainConfig, digests: Mapping[str, str]) -> str:
    """SHA-256 of all settings that change the result, and of the data."""
    settings: dict[str, Any] = dataclasses.asdict(config)
    for name in ("device", "threads", "compile", "keep", "release"):
        settings.pop(name)
    if not settings["teacher"]:
        settings.pop("teacher_weight")
    # Runs from before there were such fields keep their fingerprint.
    usual = dataclasses.asdict(TrainConfig())
    for section, name in _NEWER_FIELDS:
        part, same = (s[section] if section else s for s in (settings, usual))
        if part[name] == same[name]:
            part.pop(name)
    for section in _NEWER_SECTIONS:
        part = settings.pop(section)
        if changed := {k: v for k, v in part.items() if v != usual[section][k]}:
            settings[section] = changed
    text = json.dumps([settings, dict(digests)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_other_run(folder: Path, fingerprint: str) -> None:
    """Raise a `DataError` if `folder` holds a checkpoint of other settings or data."""
    path = folder / CHECKPOINT
    if path.exists():
        _refuse_other_run(path, checkpoint.load(path)[1], fingerprint)


def prepare_machine(config: TrainConfig) -> None:
    """Set threads and seed, and let the process keep the memory that it frees."""
    if config.device == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("device=cuda was asked for, but PyTorch finds no GPU; use device=cpu")
        # Without it PyTorch refuses every linear layer once algorithms must be deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if config.compile and config.device == "cpu" and not shutil.which(compiler()):
        raise UsageError(
            f"compile needs a C++ compiler, and {compiler()} is not here: install it, name "
            "another one in the variable CXX, or leave compile out, which costs time alone"
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    keep_freed_memory()


def compiler() -> str:
    """The C++ compiler that PyTorch compiles networks with."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX", usual)


def _refuse_other_run(path: Path, about: Mapping[str, Any], fingerprint: str) -> None:
    if about.get("fingerprint") != fingerprint:
        raise DataError(
            f"{path} belongs to a run with other settings or data; choose another --out folder"
        )


def keep_freed_memory() -> None:
    """Stop glibc from handing every freed activation back to the kernel.

    Each step allocates the same large buffers. By default glibc maps and unmaps them, and the page
    faults cost more than the arithmetic: 56 against 148 faces/s at batch 128 on two AVX2 cores.
    """
    set_malloc({"mmap_max": 0, "trim_threshold": 2**31 - 1, "top_pad": 256 << 20})


def _keep(state: TrainState, folder: Path, head: str) -> None:
    """Write the averaged weights as the last, and as the best if `head` was never more accurate."""
    latest = state.history[-1]
    weights = state.ema.state_dict()
    checkpoint.save(folder / "last.safetensors", weights, latest)
    if latest[head] >= max(e[head] for e in state.history):
        checkpoint.save(folder / "best.safetensors", weights, latest)


def _batches(
    config: TrainConfig, data: TensorData, epoch: int, skip: int, chances: Tensor | None
) -> Iterator[Batch]:
    return training_batches(
        data,
        config.augment,
        size=config.early_size if epoch < config.early_epochs else config.model.size,
        batch=config.batch,
        seed=config.seed,
        epoch=epoch,
        skip=skip,
        draw=config.data.votes == "probability",
        chances=chances,
    )


def _chances(config: TrainConfig, data: TensorData) -> Tensor | None:
    """The odds at which faces are drawn, or None for each one once an epoch."""
    if config.data.sampler == "natural":
        return None
    for head, target in data.targets.items():
        if head != AFFECT and not head.startswith(TEACHER):
            return balanced_chances(target)
    raise UsageError("data.sampler balanced needs a head with classes; use natural")


def _frozen_copy(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    twin.requires_grad_(False)
    return twin.eval()

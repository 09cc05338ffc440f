"""How much of a paper's comparison is trained: the sizes are numbers, and every table prints them.

Each paper's file has three: ``full`` for a GPU or a long run on a CPU, ``cpu`` for two AVX2 cores,
and ``quick`` for minutes and tests. The path is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mien.errors import UsageError
from mien.train.config import TrainConfig

BudgetName = Literal["quick", "cpu", "full"]


@dataclass(frozen=True)
class Budget:
    """What a run of a paper may cost."""

    name: str
    seeds: int
    """Each network is trained with the seeds 0, 1 and so on, so many."""
    epochs: int
    faces: int = 0
    """Training faces at most, evenly spaced over the training split; 0 is all."""
    held_out: int = 0
    """Faces of each held-out set at most, likewise."""
    start_faces: int = 0
    """Training faces at most of an experiment that only others start from; 0 is all."""
    start_epochs: int = 1
    """The epochs of such an experiment."""
    watched: int = 500
    """Held-out faces measured after each epoch, for the curves alone; they choose nothing."""
    folds: int = 1
    """How many of the ten folds are run, where there are folds; elsewhere 1."""
    size: int = 48
    """Side of the crops in pixels."""
    batch: int = 64
    rounds: int = 1000
    """Resamplings of a bootstrap interval."""
    timed: int = 30
    """Passes of one face whose median is a network's latency."""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 0
    """CPU threads; 0 leaves it to PyTorch."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if min(self.seeds, self.epochs, self.start_epochs) < 1:
            raise UsageError("--seeds and --epochs must be at least 1")
        if min(self.faces, self.start_faces, self.held_out, self.threads) < 0:
            raise UsageError("--limit and --threads must not be below 0")
        if not 1 <= self.folds <= 10:
            raise UsageError("--folds must be 1 to 10")

    def recipe(self, config: TrainConfig, *, times: int = 1) -> TrainConfig:
        """The recipe with this budget's epochs, batch and size; `times` as many epochs."""
        epochs = times * self.epochs
        return replace(
            config,
            epochs=epochs,
            batch=self.batch,
            precision=self.precision,
            model=replace(config.model, size=self.size),
            optim=replace(config.optim, warmup=min(config.optim.warmup, epochs / 10)),
        )

    def describe(self) -> str:
        """The numbers as a sentence, for a table's head."""
        parts = [
            f"{self.seeds} {'seed' if self.seeds == 1 else 'seeds'}",
            f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'}",
            f"at most {self.faces:,} training faces" if self.faces else "all training faces",
            f"at most {self.held_out:,} of each held-out set" if self.held_out else "",
            f"{self.size}x{self.size} pixels",
            f"batches of {self.batch}",
            f"on {self.device}",
            self.precision if self.precision != "fp32" else "",
        ]
        return ", ".join(part for part in parts if part)


def choose_budget(
    budgets: Mapping[BudgetName, Budget],
    name: BudgetName | None,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    precision: Literal["fp32", "bf16"] = "fp32",
    seeds: int | None = None,
    epochs: int | None = None,
    limit: int | None = None,
    folds: int | None = None,
    threads: int = 0,
) -> Budget:
    """One of a paper's budgets, with what the command line sets otherwise.

    Args:
        budgets: the paper's.
        name: which; None is "full" on a GPU and "cpu" elsewhere.
        device: where to train.
        precision: of the calculations in training.
        seeds: another number of seeds.
        epochs: another number of epochs.
        limit: the largest number of training faces, and of each held-out set.
        folds: another number of folds.
        threads: CPU threads.

    Raises:
        UsageError: a number is out of its range, or the paper has no folds.
    """
    chosen = budgets[name or ("full" if device == "cuda" else "cpu")]
    if folds is not None:
        if budgets["full"].folds == 1:
            raise UsageError("--folds: this paper's comparison has no folds; leave it out")
        chosen = replace(chosen, folds=folds)
    if limit is not None:
        chosen = replace(chosen, faces=limit, start_faces=limit, held_out=limit)
    return replace(
        chosen,
        seeds=chosen.seeds if seeds is None else seeds,
        epochs=chosen.epochs if epochs is None else epochs,
        device=device,
        precision=precision,
        threads=threads,
    )

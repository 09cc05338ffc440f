"""How much of the network's own speed the training loop keeps.

In turn, the bare forward, backward and step on one batch, and the loop as `mien train` runs it
(loading, augmentation, averaging, clipping, step), on made-up faces; medians are told.

    python benchmarks/train_throughput.py [recipes/mien-tiny-first.yaml] [--steps 20] [--rounds 5]
        [--threads N] [--precision bf16] [--compile true]
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from timeit import timeit

import numpy as np
import torch

from mien.labels import LABEL_SETS
from mien.train import trainer
from mien.train.config import TrainConfig, load_config
from mien.train.data.loader import TensorData, plain_batches, training_batches
from mien.train.data.rows import Rows, one_hot
from mien.train.models import build
from mien.train.precision import autocast
from mien.train.tasks import ExpressionTask

Run = Callable[[], None]


def made_up(config: TrainConfig, n: int) -> TensorData:
    """`n` faces of noise with labels for the recipe's heads."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n, 48, 48), np.uint8)
    labels = {head: LABEL_SETS[head] for head in config.data.heads}
    codes = generator.integers(0, 7, n)
    targets = {head: one_hot(codes, len(names)) for head, names in labels.items()}
    rows = Rows(images, targets, labels, ("",) * n)
    return TensorData(rows, config.data.heads, config.model.size, config.device)


def new_state(config: TrainConfig) -> trainer.TrainState:
    """The state at the start of a run."""
    heads = {head: len(LABEL_SETS[head]) for head in config.data.heads}
    model = build(config.model.name, heads, **config.model.options).to(config.device).train()
    return trainer.first_state(model, config, ExpressionTask(config.smoothing))


def bare(config: TrainConfig, data: TensorData, steps: int) -> Run:
    """Forward, backward and step on one batch, over and over."""
    state = new_state(config)
    x, targets = next(plain_batches(data, config.batch))

    def run() -> None:
        for _ in range(steps):
            with autocast(x, config.precision):
                loss = state.task(state.model, x, targets).total
            state.optimiser.zero_grad()
            loss.backward()
            state.optimiser.step()
        float(loss.detach())  # waits for a GPU

    return run


def loop(config: TrainConfig, data: TensorData, steps: int) -> Run:
    """An epoch as the trainer runs it."""
    state = new_state(config)
    options = {"size": config.model.size, "batch": config.batch, "seed": config.seed, "epoch": 0}

    def run() -> None:
        for x, targets in training_batches(data, config.augment, **options):
            trainer.train_step(state, x, targets, config, 10**6, steps)

    return run


def main() -> None:
    """Time both in turn and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default="recipes/mien-tiny-first.yaml")
    for name, n in (("--steps", 20), ("--rounds", 5)):
        parser.add_argument(name, type=int, default=n)
    fields = ("threads", "precision", "compile")
    for name in fields:
        parser.add_argument(f"--{name}")
    chosen = parser.parse_args()
    said = {name: text for name in fields if (text := getattr(chosen, name))}
    config = load_config(Path(chosen.recipe), said)
    trainer.prepare_machine(config)
    data = made_up(config, chosen.steps * config.batch)
    runs = {"bare": bare(config, data, chosen.steps), "loop": loop(config, data, chosen.steps)}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(chosen.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            times[name].append(timeit(run, number=1))
    alone, whole = (len(data) / statistics.median(taken[1:]) for taken in times.values())
    compiled = ", compiled" if config.compile else ""
    print(
        f"{config.model.name}, {config.model.size} px, batch {config.batch}, {config.precision}, "
        f"{torch.get_num_threads()} threads{compiled}"
    )
    print(f"bare step {alone:.0f}, loop {whole:.0f} faces/s, ratio {whole / alone:.2f} (bar 0.85)")


if __name__ == "__main__":
    main()

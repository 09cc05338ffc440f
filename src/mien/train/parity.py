"""Files of one network side by side: how far their answers differ, and how fast they are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.metrics import softmax
from mien.runtime.classify import Classifier, answer, load_classifier
from mien.spec import ANSWER
from mien.train.data.rows import AFFECT
from mien.types import Floats, Image


@dataclass(frozen=True)
class Difference:
    """How far two files differ over the same faces."""

    largest: float
    """The largest difference of any probability; of affect, of valence or arousal."""
    agreement: float
    """The part of the faces with the same most probable label; 1 of affect, which has none."""


@dataclass(frozen=True)
class Speed:
    """How fast a file reads faces that are crops already."""

    batch1_ms: float
    """Processor time of one face on one thread: waiting for other programs is left out."""
    batch64_ms: float
    """Processor time a face of batches of 64 on one thread."""
    batch64_faces_per_s: float
    """Batches of 64 on two threads, by the clock on the wall."""


def probabilities_of(classifier: Classifier, crops: Image) -> dict[str, Floats]:
    """The calibrated probabilities (n, k) of every head and of the default answer, "answer".

    Valence and arousal (n, 2) of a trained head are under "affect".
    """
    spec, logits = classifier.spec, classifier.logits(crops)
    told = {
        head.name: np.clip(logits[head.name], -1, 1)
        if head.name == AFFECT
        else softmax(logits[head.name], head.temperature)
        for head in spec.heads
    }
    return {**told, ANSWER: answer(spec, logits)}


def differences(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> dict[str, Difference]:
    """By head, how far `second` is from `first`; both are as `probabilities_of` gives them."""
    told = {}
    for head, ours in first.items():
        theirs = second[head]
        same = 1.0 if head == AFFECT else float(np.mean(ours.argmax(1) == theirs.argmax(1)))
        told[head] = Difference(float(np.abs(ours - theirs).max()), same)
    return told


def measure_speed(paths: Sequence[Path], crops: Image, *, rounds: int = 7) -> list[Speed]:
    """The speed of each of the files, measured in turns so that a busy machine slows all alike.

    Args:
        paths: model files.
        crops: 64 faces.
        rounds: of turns. Each gives a median, and the best of these counts: other programs can
            only slow a round down.
    """
    singles = [load_classifier(path, threads=1) for path in paths]
    one = _turns(singles, crops[:1], time.thread_time, rounds, 40)
    batch = _turns(singles, crops, time.thread_time, rounds, 5)
    doubles = [load_classifier(path, threads=2) for path in paths]
    wall = _turns(doubles, crops, time.perf_counter, rounds, 5)
    n = len(crops)
    return [Speed(1e3 * a, 1e3 * b / n, n / c) for a, b, c in zip(one, batch, wall, strict=True)]


def _turns(
    files: Sequence[Classifier],
    crops: Image,
    clock: Callable[[], float],
    rounds: int,
    repeats: int,
) -> list[float]:
    """Seconds that each file takes to read `crops`."""
    for file in files:
        file(crops)
    medians = [[_median(file, crops, clock, repeats) for file in files] for _ in range(rounds)]
    return [min(column) for column in zip(*medians, strict=True)]


def _median(file: Classifier, crops: Image, clock: Callable[[], float], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = clock()
        file(crops)
        times.append(clock() - start)
    return statistics.median(times)

"""The figures of an experiment over its seeds, with intervals over the faces.

A value is the mean over the seeds, its deviation that between seeds (n - 1), and its interval the
95 % bootstrap interval of that mean over resampled faces. Where the subjects are known, subjects
are resampled and not their frames, which are too much alike. Intervals of differences resample the
same faces for both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.errors import UsageError
from mien.metrics import Codes
from mien.train.data.rows import AFFECT_LABELS
from mien.train.reproduce.experiment import Answers
from mien.types import Floats

Matrix = NDArray[np.int64]

#: The classes of which FER2013, FER+ and AffectNet have the fewest faces.
RARE = ("disgust", "fear", "contempt")


@dataclass(frozen=True)
class Figure:
    """One measure of one experiment."""

    values: tuple[float, ...]
    """By seed; or by seed and fold."""
    interval: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (n - 1), None of a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Change:
    """How much better one experiment is than another on the same faces, in a measure."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the interval leaves zero out."""
        if np.isnan(self.low):
            return "not known: too few to resample"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


#: Of fewer faces, or subjects, no interval is given.
FEWEST = 5

#: Measures of a confusion matrix.
OF_CLASSES: Mapping[str, Callable[[Matrix], float]] = {
    "accuracy": lambda m: float(m.trace() / m.sum()),
    "balanced_accuracy": metrics.balanced_accuracy,
    "macro_precision": lambda m: metrics.macro_averages(m).precision,
    "macro_recall": lambda m: metrics.macro_averages(m).recall,
    "macro_f1": lambda m: metrics.macro_averages(m).f1,
    "weighted_precision": lambda m: metrics.weighted_averages(m).precision,
    "weighted_recall": lambda m: metrics.weighted_averages(m).recall,
    "weighted_f1": lambda m: metrics.weighted_averages(m).f1,
}
#: Those that are given an interval.
WITH_INTERVAL = ("accuracy", "macro_f1", "rare_recall")
OF_AFFECT: Mapping[str, Callable[[Floats, Floats], float]] = {
    "rmse": metrics.rmse,
    "pcc": metrics.pcc,
    "ccc": metrics.ccc,
    "sagr": metrics.sagr,
}


def measure_all(answers: Answers, rounds: int) -> dict[str, Figure]:
    """Every figure of one held-out set, by name.

    The measures of `OF_CLASSES`, ``recall_<expression>`` of each class with rows, ``rare_recall``,
    ``fold_accuracy`` (whose values are of each seed and fold), ``<measure>_valence`` and so on, and
    ``compactness``.
    """
    measures = _class_measures(answers)
    matrices = [_confusion(p, answers) for p in answers.predicted]
    resampled = _resampled(answers, rounds)
    figures = {}
    for name, measure in measures.items():
        values = tuple(measure(m) for m in matrices)
        wanted = name in WITH_INTERVAL and resampled
        interval = _percentiles(_means(measure, resampled)) if wanted else None
        figures[name] = Figure(values, interval)
    if answers.folds.any():
        figures["fold_accuracy"] = Figure(_fold_accuracies(answers))
    if answers.features:
        values = tuple(compactness(f, answers.truth) for f in answers.features)
        figures["compactness"] = Figure(values)
    return {**figures, **_affect_figures(answers)}


def change(ours: Answers, theirs: Answers, name: str, rounds: int) -> Change:
    """The difference ours - theirs in the measure `name`, on the same faces.

    Raises:
        UsageError: they were not asked about the same faces.
    """
    if ours.names != theirs.names:
        raise UsageError("differences are measured on the same faces")
    measure = _class_measures(ours)[name]
    means = [np.mean([measure(_confusion(p, a)) for p in a.predicted]) for a in (ours, theirs)]
    both = [np.array(_means(measure, _resampled(answers, rounds))) for answers in (ours, theirs)]
    ends = _percentiles(both[0] - both[1]) if len(both[0]) else (float("nan"), float("nan"))
    return Change(float(means[0] - means[1]), *ends)


def compactness(features: Floats, truth: Codes) -> float:
    """Mean distance of faces to their class's centre over that between centres; less is better.

    Args:
        features: (n, f).
        truth: the classes (n,). Both means are over classes with faces, each counting the same.

    Returns:
        NaN with fewer than two classes, or where all centres agree.
    """
    exact = features.astype(np.float64)
    codes = np.unique(truth)
    centres = np.stack([exact[truth == code].mean(axis=0) for code in codes])
    within = [
        np.linalg.norm(exact[truth == code] - centre, axis=1).mean()
        for code, centre in zip(codes, centres, strict=True)
    ]
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)[
        ~np.eye(len(codes), dtype=bool)
    ]
    if not len(apart) or apart.mean() == 0:
        return float("nan")
    return float(np.mean(within) / apart.mean())


def _class_measures(answers: Answers) -> dict[str, Callable[[Matrix], float]]:
    there = [i for i, _ in enumerate(answers.labels) if (answers.truth == i).any()]
    measures = dict(OF_CLASSES)
    for i in there:
        measures[f"recall_{answers.labels[i]}"] = _recall_of((i,))
    rare = tuple(i for i in there if answers.labels[i] in RARE)
    if rare:
        measures["rare_recall"] = _recall_of(rare)
    return measures


def _recall_of(classes: Sequence[int]) -> Callable[[Matrix], float]:
    def mean_recall(matrix: Matrix) -> float:
        told = metrics.recalls(matrix)[list(classes)]
        return float(np.nanmean(told)) if not np.isnan(told).all() else float("nan")

    return mean_recall


def _confusion(predicted: Codes, answers: Answers) -> Matrix:
    return metrics.confusion(predicted, answers.truth, len(answers.labels))


def _resampled(answers: Answers, rounds: int) -> list[list[Matrix]]:
    """Confusion matrices of resampled faces or subjects, rounds of seeds.

    The draws depend on nothing but the number of faces or subjects, so two experiments on the same
    faces are resampled alike. There are none of fewer than `FEWEST`.
    """
    k = len(answers.labels)
    groups = None if answers.subjects is None else _rows_of_each(answers.subjects)
    n = len(answers.truth) if groups is None else len(groups)
    if n < FEWEST:
        return []
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(rounds):
        at = generator.integers(0, n, n)
        rows = at if groups is None else np.concatenate([groups[i] for i in at])
        truth = answers.truth[rows]
        drawn.append([metrics.confusion(p[rows], truth, k) for p in answers.predicted])
    return drawn


def _rows_of_each(subjects: Sequence[str]) -> list[Codes]:
    _, of_row = np.unique(np.asarray(subjects), return_inverse=True)
    return [np.flatnonzero(of_row == i) for i in range(of_row.max() + 1)]


def _means(measure: Callable[[Matrix], float], drawn: Sequence[Sequence[Matrix]]) -> list[float]:
    return [float(np.mean([measure(m) for m in of_seeds])) for of_seeds in drawn]


def _percentiles(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _fold_accuracies(answers: Answers) -> tuple[float, ...]:
    right = answers.predicted == answers.truth
    return tuple(
        float(of_seed[answers.folds == fold].mean())
        for of_seed in right
        for fold in np.unique(answers.folds)
    )


def _affect_figures(answers: Answers) -> dict[str, Figure]:
    figures = {}
    if answers.affect is None or answers.affect_truth is None:
        return {}
    for i, output in enumerate(AFFECT_LABELS):
        truth = answers.affect_truth[:, i]
        known = ~np.isnan(truth)
        if not known.any():
            continue
        told = np.clip(answers.affect[:, known, i], -1, 1)
        for name, measure in OF_AFFECT.items():
            figures[f"{name}_{output}"] = Figure(tuple(measure(t, truth[known]) for t in told))
    return figures

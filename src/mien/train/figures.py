"""Figures of a finished model: recalls, reliability, and a map of its features.

Learning curves and confusion matrices are in `mien.train.curves`. Expressions have the colours of
`mien.labels.COLOURS`, which people with the common forms of colour blindness can tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mien.errors import MissingExtraError, UsageError
from mien.evaluate import Report
from mien.labels import COLOURS
from mien.metrics import Codes, expected_calibration_error, reliability, wilson_interval
from mien.types import Floats

#: Colours of labels that are no expressions, in turn.
_OTHER_COLOURS = tuple(COLOURS.values())
_DPI = 120


def colours_of(labels: Sequence[str]) -> list[str]:
    """A colour for each label: an expression's own, or else the palette's in turn."""
    spare = itertools.cycle(_OTHER_COLOURS)
    return [COLOURS[label] if label in COLOURS else next(spare) for label in labels]


def recall_intervals(report: Report) -> list[tuple[str, int, float, float, float]]:
    """Of each class with rows: its label, rows, recall, and that recall's 95 % interval (Wilson).

    All are parts of one, in the order of the report's labels.
    """
    told = []
    for i, (label, row) in enumerate(zip(report.labels, report.confusion, strict=True)):
        if n := sum(row):
            told.append((label, n, row[i] / n, *wilson_interval(row[i], n)))
    return told


def draw_recalls(report: Report, path: Path) -> None:
    """Draw a bar per class with rows: its recall, with the 95 % interval, and its rows."""
    rows = recall_intervals(report)
    labels = [label for label, *_ in rows]
    recall, low, high = 100 * np.array([figures for _, _, *figures in rows]).T
    figure = Figure(figsize=(7, 0.5 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    reach = np.abs(np.stack([recall - low, high - recall]))
    axes.barh(
        range(len(rows)), recall, xerr=reach, color=colours_of(labels), edgecolor="black", capsize=3
    )
    axes.set_yticks(range(len(rows)), [f"{label} ({n})" for label, n, *_ in rows])
    axes.invert_yaxis()
    axes.axvline(100 * report.balanced_accuracy, color="black", linestyle=":")
    axes.set(
        xlim=(0, 100),
        xlabel=f"recall, % (dotted: their mean, {100 * report.balanced_accuracy:.1f})",
    )
    figure.savefig(path, dpi=_DPI)


def draw_reliability(
    probabilities: Floats, truth: Codes, path: Path, *, bins: int = 15, title: str = ""
) -> None:
    """Draw accuracy over confidence (Guo et al. 2017), and how many faces each bin holds.

    Args:
        probabilities: (n, k), rows sum to one.
        truth: the classes (n,).
        path: the picture to write.
        bins: of equal width.
        title: what the model and the data are called; the ECE is put behind it.
    """
    draw_reliabilities({title: probabilities}, truth, path, bins=bins)


def draw_reliabilities(
    named: Mapping[str, Floats], truth: Codes, path: Path, *, bins: int = 15
) -> None:
    """Draw `draw_reliability` of several probabilities (n, k) side by side, by their titles."""
    figure = Figure(figsize=(5 * len(named), 5.6), layout="constrained")
    panels = figure.subplots(2, len(named), height_ratios=(3, 1), sharex=True, squeeze=False)
    for (title, probabilities), (upper, lower) in zip(named.items(), panels.T, strict=True):
        _draw_bins(upper, lower, reliability(probabilities, truth, bins))
        ece = expected_calibration_error(probabilities, truth, bins)
        upper.set(title=f"{title} ECE {ece:.3f}".strip())
    figure.savefig(path, dpi=_DPI)


def _draw_bins(
    upper: Axes, lower: Axes, told: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[Any]]
) -> None:
    """Draw what `mien.metrics.reliability` gave: accuracy above, faces a bin below."""
    counts, confidence, right = told
    bins = len(counts)
    full = counts > 0
    middles = (np.arange(bins) + 0.5) / bins
    upper.plot([0, 1], [0, 1], color="black", linestyle=":")
    upper.bar(
        middles[full], right[full] / counts[full], 0.9 / bins, color=COLOURS["contempt"],
        edgecolor="black", label="accuracy",
    )  # fmt: skip
    upper.plot(
        confidence[full] / counts[full], right[full] / counts[full], color=COLOURS["anger"],
        marker="o", label="at the mean confidence",
    )  # fmt: skip
    upper.set(ylabel="accuracy", ylim=(0, 1))
    upper.legend(frameon=False)
    lower.bar(middles, counts, 0.9 / bins, color=COLOURS["neutral"])
    lower.set(xlabel="confidence", ylabel="faces", xlim=(0, 1))


def project_pca(features: Floats) -> tuple[Floats, tuple[float, float]]:
    """The first two principal components (n, 2) of features (n, d), and their parts of variance.

    Each component's sign is such that its largest loading is positive: the same features give
    the same map.

    Raises:
        UsageError: fewer than two rows or features.
    """
    if features.ndim != 2 or min(features.shape) < 2:
        raise UsageError(f"features must be (n, d) with 2 rows and columns, not {features.shape}")
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    total = float((spread**2).sum())
    parts = spread[:2] ** 2 / total if total > 0 else np.zeros(2)
    return (centred @ (axes * signs[:, None]).T).astype(np.float32), (
        float(parts[0]),
        float(parts[1]),
    )


def project_tsne(features: Floats, *, perplexity: float = 30.0, seed: int = 0) -> Floats:
    """A t-SNE map (n, 2) of features (n, d) (van der Maaten & Hinton 2008).

    Distances between groups in it mean little. It needs scikit-learn.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        UsageError: not more rows than `perplexity`.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError("a t-SNE map", "dev") from error
    if len(features) <= perplexity:
        raise UsageError(f"{len(features)} rows are too few for a perplexity of {perplexity:g}")
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
    return np.asarray(points, np.float32)


def centres(points: Floats, codes: Codes) -> dict[int, Floats]:
    """The mean (d,) of the points (n, d) of each class that has any, by code."""
    return {
        int(code): points[codes == code].mean(axis=0, dtype=np.float64).astype(np.float32)
        for code in np.unique(codes)
    }


def draw_feature_map(
    points: Floats,
    codes: Codes,
    labels: Sequence[str],
    path: Path,
    *,
    axis_names: tuple[str, str] = ("", ""),
) -> None:
    """Draw points (n, 2) in their classes' colours, with the centre of each class.

    Args:
        points: by `project_pca` or `project_tsne`.
        codes: the class (n,) of each, index into `labels`.
        labels: the classes' names.
        path: the picture to write.
        axis_names: what the two axes are, such as the parts of variance.

    Raises:
        UsageError: the points are not (n, 2) with a class each.
    """
    if points.shape != (len(codes), 2):
        raise UsageError(f"a map is drawn of points (n, 2), not {points.shape}, {len(codes)} codes")
    figure = Figure(figsize=(7, 5.4), layout="constrained")
    axes = figure.subplots()
    colours = colours_of(labels)
    for code, (x, y) in centres(points, codes).items():
        own = points[codes == code]
        axes.scatter(own[:, 0], own[:, 1], s=6, alpha=0.5, color=colours[code], linewidths=0)
        axes.scatter(
            [x], [y], s=150, marker="X", color=colours[code], edgecolor="black",
            label=f"{labels[code]} ({len(own)})", zorder=3,
        )  # fmt: skip
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1], xticks=[], yticks=[])
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(path, dpi=_DPI)

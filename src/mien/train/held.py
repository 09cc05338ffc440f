"""The faces that a file is fitted and measured on, and what is said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.runtime.classify import Classifier
from mien.train.data.loader import TensorData
from mien.train.data.rows import Rows, union
from mien.train.graph import biases_of
from mien.train.network import Run, load_run, renormed
from mien.train.run import read_splits
from mien.train.validation import predict_logits
from mien.types import Floats


@dataclass(frozen=True)
class Held:
    """n faces that were held out, of the training or of a part of it."""

    rows: Rows
    answers: Mapping[str, Floats] = field(default_factory=dict)
    """Raw outputs (n, k) by head, of the runs that held out faces which others were trained on.

    NaN where the file itself is to be asked; without any, it is asked about all.
    """

    def logits(self, classifier: Classifier) -> dict[str, Floats]:
        """Raw outputs (n, k) by head: the file's, or those of the run that held a face out.

        Runs have no biases of their own; those of the file's heads are added to their outputs.
        """
        said = dict(classifier.logits(self.rows.images))
        for head in classifier.spec.heads:
            if head.name in self.answers:
                told = self.answers[head.name] + biases_of(head)
                said[head.name] = np.where(np.isnan(told), said[head.name], told)
        return said


def held_out(run: Run, training: Rows, validation: Rows, data: Path) -> Held:
    """The faces that `run` held out, with those of the other folds that are exported with it.

    Faces that all the folds held out, such as a split of their own, are the exported file's to be
    asked about. Of the others, each was held out by one fold, whose answers count: as its network
    has seen fewer faces than the mean of all, its figures are rather too low than too high.

    Args:
        run: the run that is exported; its release may name further `folds`.
        training: its training faces.
        validation: its validation faces.
        data: the folder that holds the data of all.

    Raises:
        DataError: a fold that is no run folder, or a face that several folds, but not all, held
            out. That their networks are alike is `mien.train.network.averaged`'s to check.
    """
    release = run.config.release
    if not release.folds:
        return Held(validation)
    runs = [run, *(load_run(Path(source)) for source in release.folds)]
    splits = [(training, validation), *(read_splits(fold.config, data) for fold in runs[1:])]
    often = Counter(name for _, rows in splits for name in set(rows.names))
    if odd := [name for name, n in often.items() if 1 < n < len(runs)]:
        raise DataError(
            f"release.folds: {len(odd)} faces, such as {odd[0]}, were held out by several folds, "
            "but not by all; give each fold faces of its own"
        )
    parts = []
    if (common := np.array([often[name] > 1 for name in validation.names])).any():
        parts.append(_unasked(validation.take(common)))
    for fold, (seen, rows) in zip(runs, splits, strict=True):
        alone = rows.take(np.array([often[name] == 1 for name in rows.names]))
        parts.append(_asked(renormed(fold.with_release(release), seen), alone))
    answers = {head: np.concatenate([part.answers[head] for part in parts]) for head in run.labels}
    return Held(union([part.rows for part in parts]), answers)


def _unasked(rows: Rows) -> Held:
    """Faces that the exported file is asked about."""
    return Held(rows, {h: np.full_like(target, np.nan) for h, target in rows.targets.items()})


def _asked(run: Run, rows: Rows) -> Held:
    """Faces that `run` is asked about."""
    data = TensorData(rows, (), run.config.model.size, "cpu")
    return Held(rows, predict_logits(run.model, data))

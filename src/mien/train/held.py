"""The faces that a file is fitted and measured on, and what is said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.runtime.classify import Classifier
from mien.train.data.loader import TensorData
from mien.train.data.rows import Rows, union
from mien.train.graph import biases_of
from mien.train.network import Run, averaged, load_run, renormed
from mien.train.run import read_splits
from mien.train.sections import ReleaseConfig
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


@dataclass(frozen=True)
class Fold:
    """A network that faces are asked of which others were trained on that it is exported with."""

    network: Run
    seen: Rows
    """Its training faces."""
    held: Rows
    """Those that it alone held out."""


Ask = Callable[[Fold], Mapping[str, Floats]]
"""A fold's raw outputs (n, k) by head, about the faces that it held out."""


def folds_of(
    run: Run, training: Rows, validation: Rows, data: Path
) -> tuple[Rows | None, list[Fold]]:
    """The faces that nothing exported with `run` has seen, if there are such, and its folds.

    A fold's network is the mean of weights that is exported, where its own take the place of all
    the other folds'.

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
        return validation, []
    runs = [run, *(load_run(Path(source)) for source in release.folds)]
    splits = [(training, validation), *(read_splits(fold.config, data) for fold in runs[1:])]
    often = Counter(name for _, rows in splits for name in set(rows.names))
    if odd := [name for name, n in often.items() if 1 < n < len(runs)]:
        raise DataError(
            f"release.folds: {len(odd)} faces, such as {odd[0]}, were held out by several folds, "
            "but not by all; give each fold faces of its own"
        )
    common = np.array([often[name] > 1 for name in validation.names])
    folds = []
    for fold, (seen, rows) in zip(runs, splits, strict=True):
        alone = rows.take(np.array([often[name] == 1 for name in rows.names]))
        folds.append(Fold(renormed(averaged(_alone(fold, release)), seen), seen, alone))
    return validation.take(common) if common.any() else None, folds


def _alone(fold: Run, release: ReleaseConfig) -> Run:
    """`fold` to be averaged with what `release` names, but with itself instead of other folds."""
    again = (str(fold.folder),) * len(release.folds) if release.average else ()
    return fold.with_release(replace(release, average=(*release.average, *again), folds=()))


def ask_network(fold: Fold) -> Mapping[str, Floats]:
    """The answers of the fold's network as it was trained."""
    data = TensorData(fold.held, (), fold.network.config.model.size, "cpu")
    return predict_logits(fold.network.model, data)


def held_out(shared: Rows | None, folds: Sequence[Fold], ask: Ask = ask_network) -> Held:
    """All faces that were held out, with the answers of folds about those that are theirs.

    The `shared` ones are the exported file's to be asked about. Of the others, each was held out by
    one fold, whose answers count: as its network has seen fewer faces than the mean of all, its
    figures are rather too low than too high.
    """
    if shared is not None and not folds:
        return Held(shared)
    parts = [] if shared is None else [_unasked(shared)]
    parts += [Held(fold.held, ask(fold)) for fold in folds]
    heads = parts[-1].answers
    answers = {head: np.concatenate([part.answers[head] for part in parts]) for head in heads}
    return Held(union([part.rows for part in parts]), answers)


def _unasked(rows: Rows) -> Held:
    """Faces that the exported file is asked about."""
    return Held(rows, {h: np.full_like(target, np.nan) for h, target in rows.targets.items()})

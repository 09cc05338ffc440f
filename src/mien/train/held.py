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
        """Raw outputs (n, k) by head: the file's, or those of the run that held a face out."""
        own = classifier.logits(self.rows.images)
        return {
            head: np.where(np.isnan(told), own[head], told) if told is not None else own[head]
            for head, told in ((head, self.answers.get(head)) for head in own)
        }


def held_out(run: Run, validation: Rows, data: Path) -> Held:
    """The faces that `run` held out, with those of the other folds that are exported with it.

    Faces that all the folds held out, such as a split of their own, are the exported file's to be
    asked about. Of the others, each was held out by one fold, whose answers count: as its network
    has seen fewer faces than the mean of all, its figures are rather too low than too high.

    Args:
        run: the run that is exported; its release may name further `folds`.
        validation: its validation faces.
        data: the folder that holds the data of all.

    Raises:
        DataError: a fold that is no run folder, of other heads, or a face that several folds, but
            not all, held out.
    """
    release = run.config.release
    if not release.folds:
        return Held(validation)
    runs = [run, *(load_run(Path(source)) for source in release.folds)]
    parts, answers = [], []
    for fold in runs:
        training, rows = read_splits(fold.config, data)
        network = renormed(fold.with_release(release), training).model
        parts.append(rows)
        answers.append(predict_logits(network, TensorData(rows, (), fold.config.model.size, "cpu")))
    often = Counter(name for rows in parts for name in set(rows.names))
    if odd := [name for name, n in often.items() if 1 < n < len(runs)]:
        raise DataError(
            f"release.folds: {len(odd)} faces, such as {odd[0]}, were held out by several folds, "
            "but not by all; give each fold faces of its own"
        )
    alone = [np.array([often[name] == 1 for name in rows.names]) for rows in parts]
    rows = union([validation.take(~alone[0]), *map(Rows.take, parts, alone)])
    return Held(rows, {head: _joined(head, answers, alone) for head in answers[0]})


def _joined(head: str, answers: list[dict[str, Floats]], alone: list[np.ndarray]) -> Floats:
    """NaN (n, k) for the faces that all folds held out, then each fold's answers to its own."""
    common = np.full_like(answers[0][head][~alone[0]], np.nan)
    told = [said[head][own] for said, own in zip(answers, alone, strict=True)]
    return np.concatenate([common, *told])

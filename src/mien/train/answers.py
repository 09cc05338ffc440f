"""What a model file says of a labelled data set. Nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.evaluate import restrict
from mien.io.images import read_image
from mien.io.sinks import replacing
from mien.metrics import Codes
from mien.pipeline import Analyzer
from mien.runtime.classify import Classifier
from mien.spec import ANSWER, ModelSpec
from mien.train.data.places import at_home
from mien.train.data.readers import READERS
from mien.train.data.rows import AFFECT, Rows
from mien.types import Floats, Image, Scores

#: The readers of sets with expressions, and the split that is measured where none is named.
SPLITS = {
    "fer2013": "PublicTest",
    "folder": ".",
    "ckplus": "all",
    "affectnet": "validation",
    "rafdb": "test",
    "manifest": "all",
}
#: Those whose pictures may be whole photos, in which a detector can look for the face.
PHOTOS = ("folder", "affectnet", "manifest")

_GREY = ("fer2013",)


@dataclass(frozen=True)
class DataSet:
    """One split of a data set, as its reader gives it."""

    rows: Rows
    truth: str
    """The head of `rows` that holds the wanted expressions."""
    folder: Path
    """What the names of `rows` are relative to, for the readers in `PHOTOS`."""
    own: bool
    """Whether the truth is labelled as in training: a head of its name is what to measure."""


def read_set(
    data: Path,
    reader: str,
    split: str,
    spec: ModelSpec,
    *,
    truth: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> DataSet:
    """Read the faces that a model is to be measured on.

    Crops have the size that the model wants, and colours if it has use for them, unless `options`
    say otherwise.

    Args:
        data: the data set's folder, or one that holds it under its usual name.
        reader: a key of `SPLITS`.
        split: as the reader names its splits.
        spec: of the model.
        truth: the head of the rows to measure against; by default the first one with classes.
        options: what the reader takes besides, such as ``{"crop": "landmarks"}``.

    Raises:
        DataError: a data set that is not there, or not as it should be.
        UsageError: an option that the reader does not have, or a truth that the set does not.
    """
    data = at_home(data, reader)
    given: dict[str, Any] = {"size": spec.input.size, "votes": "majority"}
    if spec.input.channels == 3 and reader not in _GREY:
        given["colour"] = True
    try:
        rows = READERS[reader](data, [split], {**given, **(options or {})})[0]
    except TypeError as error:
        raise UsageError(f"the reader {reader} cannot take these options: {error}") from error
    heads = [head for head in rows.targets if head != AFFECT]
    head = truth or heads[0]
    if head not in heads:
        hint = "; fer2013new.csv must lie beside the faces" if head == "ferplus" else ""
        raise UsageError(f"{data} has no {head} labels, but {', '.join(heads)}{hint}")
    if not rows.labelled(head).any():
        raise DataError(f"{data}: no face of the split {split!r} has a {head} label")
    folder = data / split if reader == "folder" else data.parent if data.is_file() else data
    return DataSet(rows, head, folder, reader not in ("folder", "manifest"))


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Reader options of words such as "colour=true", "classes=7", "crop=landmarks".

    Raises:
        UsageError: a word without "=".
    """
    options: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UsageError(f"reader option {word!r}; write NAME=VALUE, such as colour=true")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


@dataclass(frozen=True)
class Answers:
    """What one head of a model said of the n pictures that have a label."""

    head: str
    names: tuple[str, ...]
    probabilities: Floats
    """(n, k); NaN where no face was found."""
    labels: tuple[str, ...]
    """Of the columns."""
    truth: Codes
    """(n,) index into `labels`."""
    affect: tuple[Floats, Floats] | None = None
    """Valence and arousal (m, 2) as told of the faces found, and as they are labelled."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """In which pictures (n,) a face was found."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def predicted(self) -> Codes:
        """The most probable class (n,), -1 where no face was found."""
        top = np.nan_to_num(self.probabilities).argmax(axis=1)
        return np.where(self.found, top, -1).astype(np.intp)

    def without(self, label: str) -> Answers:
        """The pictures of the other classes, answered as if there were no `label`."""
        kept = self.truth != self.labels.index(label)
        wanted = tuple(other for other in self.labels if other != label)
        probabilities, labels = restrict(self.probabilities[kept], self.labels, wanted)
        truth = np.array([labels.index(self.labels[code]) for code in self.truth[kept]], np.intp)
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        return replace(self, names=names, probabilities=probabilities, labels=labels, truth=truth)


def write_predictions(told: Answers, path: Path) -> None:
    """Write a CSV line a picture; the probabilities are empty where no face was found."""
    lines = [",".join(("name", "truth", *told.labels))]
    rows = zip(told.names, told.truth, told.probabilities, told.found, strict=True)
    for name, code, row, found in rows:
        cells = (f"{p:.4f}" for p in row) if found else ("" for _ in row)
        lines.append(",".join((name, told.labels[code], *cells)))
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def default_head(data: DataSet, spec: ModelSpec) -> str:
    """The head to measure where none is named: the truth's own, or else the default answer.

    People's own pictures are measured by the default answer, which is what they will see.
    """
    return data.truth if data.own and data.truth in [h.name for h in spec.heads] else ANSWER


def ask(classifier: Classifier, data: DataSet, head: str) -> Answers:
    """What `head` ("answer" is the default one) says of the crops as the reader gives them.

    Raises:
        UsageError: a head that the model does not have, or one that lacks labels of the truth.
    """
    every = np.ones(len(data.rows), bool)
    return _answers(classifier, data, head, data.rows.images, every)


def ask_photos(analyzer: Analyzer, data: DataSet, head: str) -> Answers:
    """What `head` says of the best face that is found in each picture, as `mien analyze` does it.

    Args:
        analyzer: with the detector, and ``max_faces=1``.
        data: of a reader in `PHOTOS`.
        head: "answer", or a head's name.

    Raises:
        DataError: no face in any picture that has a label.
        UsageError: as `ask`.
        UnreadableError: a picture that is gone or damaged.
    """
    crops: list[Image] = []
    found = np.zeros(len(data.rows), bool)
    for i, name in enumerate(data.rows.names):
        frame = read_image(data.folder / name, enough=analyzer.options.enough)
        faces = analyzer.find(frame)
        found[i] = len(faces) > 0
        crops.extend(analyzer.crops(frame, faces)[:1])
    if not found[data.rows.labelled(data.truth)].any():
        raise DataError(
            f"{data.folder}: {analyzer.detector.name} found no face in any of {len(found)} "
            "pictures; without a detector they are taken for crops of faces"
        )
    return _answers(analyzer.classifier, data, head, np.stack(crops), found)


def _answers(
    classifier: Classifier, data: DataSet, head: str, crops: Image, found: NDArray[np.bool_]
) -> Answers:
    """Columns that the truth does not know are left out, and the rest sum to one again."""
    rows, truth = data.rows, data.truth
    labels = None if head == ANSWER else head
    classifier.check_head(labels)
    logits = classifier.logits(crops)
    scores = classifier.scores(logits, labels=labels)
    told = np.full((len(rows), len(scores.labels)), np.nan, np.float32)
    told[found] = scores.probabilities
    known = np.flatnonzero(rows.labelled(truth))
    codes, names = rows.targets[truth][known].argmax(axis=1), rows.labels[truth]
    present = tuple(names[code] for code in np.unique(codes))
    kept = names if set(names) <= set(scores.labels) else present
    if unknown := sorted(set(kept) - set(scores.labels)):
        raise UsageError(
            f"head {head!r} does not know {', '.join(unknown)}; the default answer "
            "(--labels answer) knows all eight"
        )
    probabilities, columns = restrict(told[known], scores.labels, kept)
    moved = np.array([columns.index(name) if name in columns else -1 for name in names])
    affect = None
    if AFFECT in rows.targets:
        affect = _affect(classifier.scores(logits), rows.targets[AFFECT][found])
    return Answers(
        head, tuple(rows.names[i] for i in known), probabilities, columns, moved[codes], affect
    )


def _affect(scores: Scores, truth: Floats) -> tuple[Floats, Floats] | None:
    """Valence and arousal told and labelled, both (m, 2); None of a model that tells neither."""
    if scores.valence is None or scores.arousal is None:
        return None
    return np.stack([scores.valence, scores.arousal], axis=1), truth

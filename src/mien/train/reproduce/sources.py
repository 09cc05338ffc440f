"""The faces of a comparison: where the data sets lie, and what is made of them.

A source is read when the first run wants it, so a missing set that nothing needs is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import EIGHT
from mien.train.data import affectnet, ckplus, fer2013
from mien.train.data.ferplus import Rule
from mien.train.data.places import DataSet, find
from mien.train.data.rows import AFFECT, Rows, one_hot

#: AffectNet's training counts by class, 287,651 faces [found: ResEmoteNet's Table II for seven;
#: the counts of a public implementation of the cluster loss for contempt].
AFFECTNET_COUNTS: Mapping[str, int] = {
    "neutral": 74_874,
    "happiness": 134_415,
    "surprise": 14_090,
    "sadness": 25_459,
    "anger": 24_882,
    "disgust": 3_803,
    "fear": 6_378,
    "contempt": 3_750,
}


@dataclass(frozen=True)
class Split:
    """Faces to train on, and the held-out sets by name; the first one is watched."""

    train: Rows
    held_out: Mapping[str, Rows]


@dataclass(frozen=True)
class Source:
    """Where a split comes from."""

    read: Callable[[], Split]
    needs: tuple[DataSet, ...]


@cache
def read_fer2013(root: Path, splits: tuple[str, ...], votes: Rule = "majority") -> list[Rows]:
    """The splits of FER2013 with FER+ votes, where there are any; each set is read once."""
    return fer2013.read(find(root, "fer2013"), splits, votes=votes)


def split_fer2013(root: Path, labels: str, head: str = "") -> Split:
    """FER2013's Training to train on, and PublicTest held out.

    Args:
        root: where the set is found.
        labels: "fer2013", or "ferplus" for those with a majority of votes.
        head: what the head is called; empty is as its labels.
    """
    train, test = (
        with_head(rows, labels, head) for rows in read_fer2013(root, ("Training", "PublicTest"))
    )
    return Split(train, {"PublicTest": test})


@cache
def read_affectnet(root: Path, size: int) -> Rows:
    """AffectNet's validation pictures, grey and whole, with valence and arousal."""
    return affectnet.read(find(root, "affectnet"), ["validation"], size=size)[0]


@cache
def read_ckplus(root: Path, split: str, size: int) -> Rows:
    """A split of CK+48: six expressions and contempt."""
    return ckplus.read(find(root, "ckplus"), [split], size=size)[0]


def thin(rows: Rows, n: int) -> Rows:
    """At most `n` of the rows, evenly spaced over all; 0 is all."""
    if not n or n >= len(rows):
        return rows
    return rows.take(np.floor((np.arange(n) + 0.5) * len(rows) / n).astype(np.intp))


def every(rows: Rows, k: int) -> tuple[Rows, Rows]:
    """All rows but every `k`-th, and every `k`-th, starting with the first."""
    held = np.arange(len(rows)) % k == 0
    return rows.take(~held), rows.take(held)


def with_head(rows: Rows, head: str, name: str = "") -> Rows:
    """The rows with a label for `head`, with that head alone, as `name` if given, and affect."""
    known, name = rows.take(rows.labelled(head)), name or head
    targets = {name: known.targets[head]}
    labels = {name: known.labels[head]}
    if AFFECT in known.targets:
        targets[AFFECT], labels[AFFECT] = known.targets[AFFECT], known.labels[AFFECT]
    return replace(known, targets=targets, labels=labels)


def without_affect(rows: Rows) -> Rows:
    """The rows with their classes alone."""
    targets = {head: t for head, t in rows.targets.items() if head != AFFECT}
    return replace(rows, targets=targets, labels={head: rows.labels[head] for head in targets})


def imbalanced(rows: Rows, head: str, counts: Mapping[str, int] = AFFECTNET_COUNTS) -> Rows:
    """The largest part of `rows` whose classes of `head` are in the proportions of `counts`.

    Of each class the first ones in order are kept, one at least.
    """
    codes = rows.targets[head].argmax(axis=1)
    there = {label: int((codes == i).sum()) for i, label in enumerate(rows.labels[head])}
    factor = min(there[label] / n for label, n in counts.items() if there.get(label))
    kept = [
        np.flatnonzero(codes == i)[: max(1, round(factor * counts[label]))]
        for i, label in enumerate(rows.labels[head])
    ]
    return rows.take(np.sort(np.concatenate(kept)))


def identities(rows: Rows) -> Rows:
    """Faces whose subjects are known, as faces to be told apart by their subject.

    Raises:
        DataError: the subjects are not known.
    """
    if rows.subjects is None:
        raise DataError("identity pre-training needs a copy of CK+ that tells the subjects")
    people, codes = np.unique(np.asarray(rows.subjects), return_inverse=True)
    names = tuple(str(person) for person in people)
    return replace(
        rows,
        targets={"identity": one_hot(codes.astype(np.intp), len(names))},
        labels={"identity": names},
    )


def counts(rows: Rows, head: str, labels: Sequence[str] = EIGHT) -> str:
    """The class counts of `head` in words."""
    told = rows.counts(head)
    return ", ".join(f"{label} {told[label]:g}" for label in labels if label in told)

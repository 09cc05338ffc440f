"""The record every reader makes: faces in memory with what is known of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.faces.crop import resize
from mien.types import Floats, Image

#: The head of valence and arousal: numbers in [-1, 1], not classes.
AFFECT = "affect"
AFFECT_LABELS = ("valence", "arousal")
#: What a batch's targets hold beside the heads: a teacher's answers, under ``teacher/<head>``.
TEACHER = "teacher/"


@dataclass(frozen=True)
class Rows:
    """n labelled faces of one split.

    `targets` holds, per head, the wanted distribution over that head's labels, float32 (n, k). A
    row of zeros means that this head has no label there, and is left out of its loss. The head
    ``affect`` holds no distributions but valence and arousal in [-1, 1], float32 (n, 2), its labels
    are `AFFECT_LABELS`, and NaN means that a number is not known.
    """

    images: Image  # (n, h, w) grey, or (n, h, w, 3)
    targets: Mapping[str, Floats]
    labels: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    subjects: tuple[str, ...] | None = None
    """Who is seen on each face, where the data set tells; splits by subject need it."""

    def __post_init__(self) -> None:
        if not len(self.images):
            raise DataError("the split holds no faces")
        if self.subjects is not None and len(self.subjects) != len(self.images):
            raise DataError(f"{len(self.subjects)} subjects for {len(self.images)} faces")
        for head, target in self.targets.items():
            if target.shape != (len(self.images), len(self.labels[head])):
                raise DataError(f"head {head!r}: {target.shape} targets, {len(self.images)} faces")
            _check_values(head, target)

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.images)

    def head(self, n: int) -> Rows:
        """The first `n` rows."""
        return self.take(slice(n))

    def take(self, at: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Rows:
        """The rows at the indices, under the mask, or in the slice `at`."""
        order = np.arange(len(self))[at].tolist()
        targets = {head: target[at] for head, target in self.targets.items()}
        names = tuple(self.names[i] for i in order)
        subjects = None if self.subjects is None else tuple(self.subjects[i] for i in order)
        return Rows(self.images[at], targets, self.labels, names, subjects)

    def labelled(self, head: str) -> NDArray[np.bool_]:
        """Which rows have a label for `head`; for ``affect``, valence or arousal or both."""
        return labelled(head, self.targets[head])

    def counts(self, head: str) -> dict[str, float]:
        """The sum of the targets of `head` per label; of ``affect``, how many are known."""
        target = self.targets[head]
        sums = (~np.isnan(target) if head == AFFECT else target).sum(axis=0)
        return {k: round(float(v), 1) for k, v in zip(self.labels[head], sums, strict=True)}

    def digest(self) -> str:
        """SHA-256 over pixels and targets: equal digests mean the same data in the same order."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images).data)
        for head in sorted(self.targets):
            sha.update(head.encode())
            sha.update(np.ascontiguousarray(self.targets[head]).data)
        return sha.hexdigest()


def union(parts: Sequence[Rows]) -> Rows:
    """The rows of all `parts`, one behind the other, with the heads of all.

    A row has no label for a head that its part does not have. Where parts share a head, its labels
    are those of the first of them; the others may have fewer, in any order. Crops are resized to
    the first part's size.

    Raises:
        DataError: grey and colour crops, or a label that the first part with that head lacks.
    """
    if len({part.images.ndim for part in parts}) > 1:
        raise DataError("grey and colour faces cannot be joined; give all readers the same colour")
    labels: dict[str, tuple[str, ...]] = {}
    for part in parts:
        labels.update({h: names for h, names in part.labels.items() if h not in labels})
    size = parts[0].images.shape[1]
    subjects = [part.subjects for part in parts if part.subjects is not None]
    filled = [with_heads(part, labels) for part in parts]
    return Rows(
        np.concatenate([resize(part.images, size) for part in parts]),
        {head: np.concatenate([part.targets[head] for part in filled]) for head in labels},
        labels,
        tuple(name for part in parts for name in part.names),
        tuple(s for told in subjects for s in told) if len(subjects) == len(parts) else None,
    )


def with_heads(rows: Rows, labels: Mapping[str, tuple[str, ...]]) -> Rows:
    """The rows with the heads and columns of `labels`; nothing is known of those that they lack.

    Raises:
        DataError: a label of the rows that their head in `labels` lacks.
    """
    targets = {head: _target(rows, head, names) for head, names in labels.items()}
    return replace(rows, targets=targets, labels=labels)


def renamed(rows: Rows, heads: Mapping[str, str]) -> Rows:
    """The rows with their heads called as `heads` says; one that is not named keeps its name.

    Raises:
        UsageError: a head that the rows do not have, two of one name, or another name for
            ``affect``, or that name for classes.
    """
    if unknown := sorted(heads.keys() - rows.targets.keys()):
        known = ", ".join(rows.targets)
        raise UsageError(f"there is no head {', '.join(unknown)} to be renamed; there are {known}")
    new = {head: heads.get(head, head) for head in rows.targets}
    affect = any(AFFECT in (old, name) for old, name in heads.items() if old != name)
    if affect or len(set(new.values())) < len(new):
        raise UsageError(f"heads cannot be renamed so: {dict(heads)}; affect keeps its name")
    return replace(
        rows,
        targets={new[head]: target for head, target in rows.targets.items()},
        labels={new[head]: names for head, names in rows.labels.items()},
    )


def _target(part: Rows, head: str, labels: tuple[str, ...]) -> Floats:
    """The target (n, k) of `part` in the columns `labels`; unknown where it has no such head."""
    target = np.full((len(part), len(labels)), np.nan if head == AFFECT else 0, np.float32)
    own = part.labels.get(head, ())
    if unknown := [label for label in own if label not in labels]:
        raise DataError(
            f"head {head!r} has no label {', '.join(unknown)}, only {', '.join(labels)}: give "
            "these faces a head of their own name, or leave that label out"
        )
    if own:
        target[:, [labels.index(label) for label in own]] = part.targets[head]
    return target


def labelled(head: str, target: Floats) -> NDArray[np.bool_]:
    """Which rows (n,) of the target (n, k) of `head` are known."""
    if head == AFFECT:
        return np.asarray(~np.isnan(target).all(axis=1), np.bool_)
    return np.asarray(target.sum(axis=1) > 0, np.bool_)


def _check_values(head: str, target: Floats) -> None:
    """Classes must be distributions or zeros, affect within [-1, 1] or NaN."""
    if head == AFFECT:
        wrong = np.abs(target) > 1  # NaN is not
        wanted = "numbers from -1 to 1, or NaN where unknown"
    else:
        wrong = ~(target >= 0)
        wanted = "parts of a distribution, or zeros where unknown"
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = target[row, column]
        raise DataError(f"head {head!r}: the target of face {row} is {value:g}; expected {wanted}")


def evenly_spaced(count: int, wanted: int) -> NDArray[np.intp]:
    """The numbers of at most `wanted` of `count` rows, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, wanted).astype(int))


def one_hot(codes: NDArray[np.intp], k: int) -> Floats:
    """Integer codes (n,) to float32 (n, k); a code of -1 becomes a row of zeros."""
    target = np.zeros((len(codes), k), np.float32)
    known = np.flatnonzero(codes >= 0)
    target[known, codes[known]] = 1
    return target

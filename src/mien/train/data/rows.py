"""The record every reader makes: faces in memory with what is known of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.types import Floats, Image

#: The head of valence and arousal: numbers in [-1, 1], not classes.
AFFECT = "affect"
AFFECT_LABELS = ("valence", "arousal")


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


def one_hot(codes: NDArray[np.intp], k: int) -> Floats:
    """Integer codes (n,) to float32 (n, k); a code of -1 becomes a row of zeros."""
    target = np.zeros((len(codes), k), np.float32)
    known = np.flatnonzero(codes >= 0)
    target[known, codes[known]] = 1
    return target

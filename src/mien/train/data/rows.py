"""The record every reader makes: faces in memory with what is known of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.types import Floats, Image


@dataclass(frozen=True)
class Rows:
    """n labelled faces of one split.

    `targets` holds, per head, the wanted distribution over that head's labels, float32 (n, k). A
    row of zeros means that this head has no label there, and is left out of its loss.
    """

    images: Image  # (n, h, w) grey, or (n, h, w, 3)
    targets: Mapping[str, Floats]
    labels: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.images):
            raise DataError("the split holds no faces")
        for head, target in self.targets.items():
            if target.shape != (len(self.images), len(self.labels[head])):
                raise DataError(f"head {head!r}: {target.shape} targets, {len(self.images)} faces")

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.images)

    def head(self, n: int) -> Rows:
        """The first `n` rows."""
        targets = {head: target[:n] for head, target in self.targets.items()}
        return Rows(self.images[:n], targets, self.labels, self.names[:n])

    def labelled(self, head: str) -> NDArray[np.bool_]:
        """Which rows have a label for `head`."""
        known: NDArray[np.bool_] = self.targets[head].sum(axis=1) > 0
        return known

    def counts(self, head: str) -> dict[str, float]:
        """The sum of the targets of `head` per label."""
        sums = self.targets[head].sum(axis=0)
        return {k: round(float(v), 1) for k, v in zip(self.labels[head], sums, strict=True)}

    def digest(self) -> str:
        """SHA-256 over pixels and targets: equal digests mean the same data in the same order."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images).data)
        for head in sorted(self.targets):
            sha.update(head.encode())
            sha.update(np.ascontiguousarray(self.targets[head]).data)
        return sha.hexdigest()


def one_hot(codes: NDArray[np.intp], k: int) -> Floats:
    """Integer codes (n,) to float32 (n, k); a code of -1 becomes a row of zeros."""
    target = np.zeros((len(codes), k), np.float32)
    known = np.flatnonzero(codes >= 0)
    target[known, codes[known]] = 1
    return target

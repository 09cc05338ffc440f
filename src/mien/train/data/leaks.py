"""Faces that lie on both sides of a split: the same pixels, nearly the same picture, or a subject.

Near duplicates are told by correlation: each picture is reduced to 24x24 grey means, and to 8x8,
both less their mean and at length 1. A pair is near where both correlations exceed 0.95, whatever
the brightness and contrast. How often that is right, over every pair of:

- 118 subjects' CK+48 faces that show two different people, all frontal and aligned: 0 of 962,361;
- CK+48 and FER2013's Training faces: 4 of 28 million, and these may be real, as FER2013 was
  gathered from the web;
- FER2013's Training and PublicTest faces: 717 of 102 million. Of 40 of these looked at, drawn from
  correlations of 0.94 to 0.98, all showed one photo twice. Between 0.90 and 0.94 a quarter did not.

963 of the 981 pairs of frames of one CK+48 sequence are found. A mirrored, turned or much moved
copy is not.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from mien.faces.crop import resize, to_grey
from mien.train.data.rows import Rows
from mien.types import Floats, Image

#: The largest distance, 1 - correlation, of pictures that count as nearly the same.
NEAR = 0.05

_SIDE = 48
_CHUNK = 2048


class Leak(NamedTuple):
    """A face of one set and a face of another that should not both be there."""

    name_a: str
    name_b: str
    kind: Literal["exact", "near", "subject"]
    distance: float
    """1 - correlation of "near" pictures; 0 for the others."""


def find_leaks(a: Rows, b: Rows, near: float = NEAR) -> list[Leak]:
    """What `a` and `b` share: every pair of equal or nearly equal pictures, and each subject once.

    28,600 against 3,600 faces take 3 seconds of one core.

    Args:
        a: the faces that are learnt from, say.
        b: those that are measured on.
        near: the largest distance of a near duplicate; 0 finds exact ones alone.

    Returns:
        Exact pairs first, then near ones by distance, then one pair of faces for each subject who
        is in both, where both sets tell the subjects.
    """
    exact = set(_exact(a.images, b.images))
    leaks = [Leak(a.names[i], b.names[j], "exact", 0.0) for i, j in sorted(exact)]
    close = [(d, i, j) for i, j, d in _near(a.images, b.images, near) if (i, j) not in exact]
    leaks += [Leak(a.names[i], b.names[j], "near", d) for d, i, j in sorted(close)]
    for subject in shared_subjects(a, b):
        first = [rows.names[(rows.subjects or ()).index(subject)] for rows in (a, b)]
        leaks.append(Leak(first[0], first[1], "subject", 0.0))
    return leaks


def shared_subjects(a: Rows, b: Rows) -> tuple[str, ...]:
    """The subjects in both, sorted; none where one of the sets does not tell them."""
    return tuple(sorted(set(a.subjects or ()) & set(b.subjects or ())))


def _exact(a: Image, b: Image) -> Iterator[tuple[int, int]]:
    if a.shape[1:] != b.shape[1:]:
        return
    seen: defaultdict[bytes, list[int]] = defaultdict(list)
    for i, picture in enumerate(a):
        seen[hashlib.sha256(np.ascontiguousarray(picture).data).digest()].append(i)
    for j, picture in enumerate(b):
        for i in seen.get(hashlib.sha256(np.ascontiguousarray(picture).data).digest(), ()):
            yield i, j


def _near(a: Image, b: Image, near: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of indices whose pictures' distance is below `near` at 8x8 and at 24x24."""
    small_a, small_b = _grey(a), _grey(b)
    coarse_a, coarse_b = _pattern(small_a, 8), _pattern(small_b, 8)
    fine_a, fine_b = _pattern(small_a, 24), _pattern(small_b, 24)
    for start in range(0, len(a), _CHUNK):
        likely = coarse_a[start : start + _CHUNK] @ coarse_b.T > 1 - near
        for i, j in np.argwhere(likely).tolist():
            distance = 1 - float(fine_a[start + i] @ fine_b[j])
            if distance < near:
                yield start + i, j, max(0.0, distance)


def _grey(images: Image) -> Image:
    return resize(to_grey(images) if images.ndim == 4 else images, _SIDE)


def _pattern(grey: Image, side: int) -> Floats:
    """Means over `side` by `side` blocks less their mean, at length 1; zeros of flat pictures."""
    step = _SIDE // side
    blocks = grey.reshape(len(grey), side, step, side, step).mean(axis=(2, 4), dtype=np.float32)
    flat = blocks.reshape(len(grey), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-3, flat / np.maximum(length, 1e-3), 0), np.float32)

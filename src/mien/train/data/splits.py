"""Parts of a data set: by subject, so that nobody is in two of them.

Sets without official splits (CK+, manifests without a split column) are asked for by name:

- ``all``: everything;
- ``test-3/10`` and ``train-3/10``: the third of ten subject-disjoint folds, and the nine others;
- ``leaky-test-3/10`` and ``leaky-train-3/10``: the same by chance, whoever is in them. Frames of
  one person, even of one sequence, then lie on both sides and the figures are far too good. They
  are here to be compared with papers that split so, never to be reported alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.train.data.rows import Rows

Indices = NDArray[np.intp]

_FOLD = re.compile(r"(leaky-)?(train|test)-(\d+)/(\d+)")


def choose(rows: Rows, split: str, head: str) -> Rows:
    """The part of `rows` that `split` names, as this module's docstring has it.

    Args:
        rows: a whole data set.
        split: "all", "train-3/10", "test-3/10", "leaky-train-3/10" or "leaky-test-3/10".
        head: the head whose classes leaky folds are stratified by.

    Raises:
        DataError: another name, or folds by subject of a set that does not tell the subjects.
    """
    if split == "all":
        return rows
    match = _FOLD.fullmatch(split)
    if match is None:
        raise DataError(f"no split {split!r}; ask for all, train-1/10, test-1/10 (of any number)")
    leaky, part, fold, k = match[1], match[2], int(match[3]), int(match[4])
    if not 1 <= fold <= k:
        raise DataError(f"no split {split!r}: the folds of {k} are numbered 1 to {k}")
    if leaky:
        folds = random_folds_that_leak(rows.targets[head].argmax(axis=1), k)
    elif rows.subjects is None:
        raise DataError(
            f"no split {split!r}: this copy of the data does not tell who is on which picture; "
            f"leaky-{split} splits at random, which makes figures too good"
        )
    else:
        folds = subject_folds(rows.subjects, k)
    return rows.take(folds[fold - 1] if part == "test" else others(folds, fold - 1))


def subject_folds(subjects: Sequence[str], k: int) -> list[Indices]:
    """The row indices of `k` folds with no subject in two of them, each in rising order.

    Subjects sorted by id are dealt out in turn, the usual protocol on CK+ [inferred: recalled].

    Args:
        subjects: the subject of each row.
        k: the number of folds, 2 to the number of subjects.

    Raises:
        UsageError: fewer than 2 folds, or more folds than subjects.
    """
    people, of_row = np.unique(np.asarray(subjects), return_inverse=True)
    if not 2 <= k <= len(people):
        raise UsageError(f"{len(people)} subjects cannot be dealt into {k} folds")
    return [np.flatnonzero(of_row % k == fold) for fold in range(k)]


def subject_holdout(subjects: Sequence[str], part: float) -> tuple[Indices, Indices]:
    """The row indices kept and those held out, with no subject on both sides.

    About the part `part` of the subjects is held out, at least one and not all: evenly spaced
    ones of those sorted by id. The same subjects give the same answer every time.

    Raises:
        UsageError: `part` is not between 0 and 1, or there is only one subject.
    """
    people, of_row = np.unique(np.asarray(subjects), return_inverse=True)
    if not 0 < part < 1 or len(people) < 2:
        raise UsageError(f"cannot hold out {part} of {len(people)} subjects")
    n = min(max(1, round(part * len(people))), len(people) - 1)
    chosen = np.floor((np.arange(n) + 0.5) * len(people) / n).astype(np.intp)
    held = np.isin(of_row, chosen)
    return np.flatnonzero(~held), np.flatnonzero(held)


def random_folds_that_leak(codes: NDArray[np.intp], k: int, seed: int = 0) -> list[Indices]:
    """The row indices of `k` folds drawn at random within each class, each in rising order.

    Frames of one subject, and of one sequence, fall into several folds: figures measured so are
    far too good. For comparison with papers that split so.

    Args:
        codes: the class of each row.
        k: the number of folds.
        seed: of the draw.

    Raises:
        UsageError: fewer than 2 folds, or more folds than rows.
    """
    if not 2 <= k <= len(codes):
        raise UsageError(f"{len(codes)} rows cannot be dealt into {k} folds")
    mixed = np.random.default_rng(seed).permutation(len(codes))
    dealt = mixed[np.argsort(codes[mixed], kind="stable")]
    return [np.sort(dealt[fold::k]) for fold in range(k)]


def others(folds: Sequence[Indices], fold: int) -> Indices:
    """The row indices of all folds but number `fold`, in rising order."""
    return np.sort(np.concatenate([at for i, at in enumerate(folds) if i != fold]))


def check_fold(held_out: int, fold: int) -> None:
    """Refuse what is no division: every `held_out`-th face, 0 for none, the first being `fold`.

    Raises:
        UsageError: `held_out` is 1 or negative, or `fold` is not below it.
    """
    if held_out < 0 or held_out == 1:
        raise UsageError(f"held_out is {held_out}; 5 holds out every fifth face, 0 is off")
    if fold and not 0 < fold < held_out:
        raise UsageError(f"fold is {fold}; with held_out {held_out} it must be below that, from 0")

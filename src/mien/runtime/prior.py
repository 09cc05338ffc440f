"""What somebody expects of their faces: how frequent each expression is among them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mien.errors import UsageError
from mien.labels import EIGHT, canonical
from mien.types import Floats

Prior = str | Mapping[str, float]
"""``"neutral=0.6,contempt=0"``, or ``{"neutral": 0.6, "contempt": 0}``; empty is all alike."""


def shares(prior: Prior) -> Floats | None:
    """The share (8,) of each expression, in the order of `mien.labels.EIGHT`; None is all alike.

    Those that are not named have equal parts of what the named ones leave.

    Raises:
        UsageError: no such expression, one named twice, a share that is no number from 0 to 1, or
            shares whose sum is not 1, or more than 1 if some are not named.
    """
    named = dict[str, float]()
    for name, share in _pairs(prior) if isinstance(prior, str) else prior.items():
        label = canonical(name)
        if label in named or not 0 <= share <= 1:
            raise UsageError(f"prior: {label} needs one share, from 0 to 1")
        named[label] = share
    if not named:
        return None
    left, others = 1 - math.fsum(named.values()), len(EIGHT) - len(named)
    if left < -1e-6 or (not others and left > 1e-6):
        raise UsageError(f"prior: the shares have the sum {1 - left:g}, which is not 1")
    rest = max(left, 0.0) / max(others, 1)
    return np.array([named.get(label, rest) for label in EIGHT], np.float32)


def expecting(probabilities: Floats, expected: Floats | None) -> Floats:
    """Answers (n, 8) that take all expressions for equally frequent, with `expected` (8,) instead.

    By Bayes' rule, ``p(label) * share(label)`` over the sum of these (Saerens et al. 2002).
    """
    if expected is None:
        return probabilities
    weighed = np.maximum(probabilities, 1e-9) * expected
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True), np.float32)


def _pairs(text: str) -> list[tuple[str, float]]:
    pairs = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, share = part.partition("=")
        try:
            pairs.append((name, float(share)))
        except ValueError:
            raise UsageError(
                f"prior: {part!r} is not EXPRESSION=SHARE, as in neutral=0.6,contempt=0"
            ) from None
    return pairs

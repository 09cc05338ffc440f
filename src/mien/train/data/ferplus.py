"""FER+ (Barsoum et al. 2016): from ten people's votes to training targets.

The rules follow the published trainer [found: microsoft/FERPlus src/ferplus.py]: single votes are
noise and zeroed first, and a face whose strongest vote is "unknown" or "not a face" is dropped.
Validation and test always use the majority rule, so accuracies can be compared.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.types import Floats

Rule = Literal["majority", "probability", "crossentropy", "multi_target"]

_EM_ROUNDS = 100
VOTES = 10  # eight expressions, then "unknown" and "not a face"


def targets(votes: NDArray[np.number], rule: Rule = "crossentropy") -> Floats:
    """Target distributions float32 (n, 8) of vote counts (n, 10); dropped rows are zeros.

    Args:
        votes: counts in the order of `mien.labels.EIGHT`, then unknown, then not a face.
        rule: "majority" keeps faces with more than half of the votes on one label and gives it
            everything. "probability" and "crossentropy" share one distribution: the strongest
            labels until they hold 75 % of the votes, three labels at the most, dropped where they
            hold no more than half. (They differ in the loss: "probability" draws one label from
            it each time.) "multi_target" marks every label with 30 % or more, dropped where these
            hold no more than half.
    """
    if rule not in ("majority", "probability", "crossentropy", "multi_target"):
        raise UsageError(
            f"no FER+ rule {rule!r}: majority, probability, crossentropy, multi_target"
        )
    counts = np.asarray(votes, np.float32)
    counts = np.where(counts > 1, counts, 0)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    if rule == "majority":
        kept = np.zeros_like(share)
        rows = np.arange(len(share))
        kept[rows, share.argmax(axis=1)] = share.max(axis=1)
        held = share.max(axis=1)
    elif rule == "multi_target":
        kept = np.where(share >= 0.3, share, 0)
        held = kept.sum(axis=1)
    else:
        kept = np.stack([_strongest(row) for row in share])
        held = kept.sum(axis=1)
    dropped = (held <= 0.5) | (kept.argmax(axis=1) >= len(EIGHT))
    out = kept[:, : len(EIGHT)]
    if rule in ("majority", "multi_target"):
        out = (out > 0).astype(np.float32)
    out[dropped] = 0
    mass = out.sum(axis=1, keepdims=True)
    return np.asarray(out / np.maximum(mass, 1e-9), np.float32)


def usual_labels(votes: NDArray[np.number], codes: NDArray[np.intp], k: int) -> Floats:
    """What faces with such votes are labelled in another label set: float32 (n, k), rows sum to 1.

    The label of a face is taken to be drawn in two steps, one of its ten voters first and then a
    label by that voter's answer: ``p(y | votes) = sum_v share_v M[v, y]``. M is fitted to the
    n faces by expectation-maximisation. As a training target in the place of the one label
    somebody gave, it has the same mean over faces with equal votes, and less noise.

    Args:
        votes: counts (n, 10); a face without a vote gets its own label back.
        codes: the labels (n,), 0 to k - 1.
        k: the number of labels.
    """
    counts = np.asarray(votes, np.float64)
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    table = np.full((counts.shape[1], k), 1 / k)
    for _ in range(_EM_ROUNDS):
        part = share * table[:, codes].T
        part /= np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
        table = 1e-3 + np.stack([part[codes == y].sum(axis=0) for y in range(k)], axis=1)
        table /= table.sum(axis=1, keepdims=True)
    usual = np.where(total > 0, share @ table, np.eye(k)[codes])
    return np.asarray(usual / usual.sum(axis=1, keepdims=True), np.float32)


def _strongest(share: Floats) -> Floats:
    """The shares (10,) of the strongest labels until they hold 75 % of the votes, else zeros.

    Labels that tie are taken together. "Unknown" and "not a face" end the list: behind another
    label they are left out, as the first they are all that is kept. Nothing is kept where more
    than three labels were needed.
    """
    kept = np.zeros_like(share)
    left = share.copy()
    taken, ended = 0, False
    while kept.sum() < 0.75 and taken < 3 and not ended and left.max() > 0:
        for label in np.flatnonzero(left == left.max()):
            if label >= len(EIGHT):
                ended = True
                if taken:
                    break
            kept[label], left[label] = left[label], 0
            taken += 1
            if ended:
                break
    return kept if taken <= 3 else np.zeros_like(kept)

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

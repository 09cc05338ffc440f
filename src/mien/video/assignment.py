"""Who goes with whom: the pairs of rows and columns that cost least together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError

Costs = NDArray[np.float64]


def assign(cost: Costs, limit: float) -> list[tuple[int, int]]:
    """The pairs that make the sum of their costs, plus `limit` for each pair not made, smallest.

    A pair that costs `limit` or more is never made, so that nobody is forced onto a bad partner to
    make one more pair. Exact: the Hungarian method (Kuhn 1955, Munkres 1957) with shortest
    augmenting paths (Jonker & Volgenant 1987), O(n² m) for n rows and m columns, n the fewer.

    Args:
        cost: (n, m); infinity where a pair is out of the question.
        limit: what leaving a possible pair apart costs, finite.

    Returns:
        (row, column) pairs by rising row; no row and no column is in two.

    Raises:
        UsageError: `cost` is no matrix, holds NaN or -infinity, or `limit` is not finite.
    """
    if cost.ndim != 2 or not (cost > -np.inf).all() or not np.isfinite(limit):
        raise UsageError("costs must be a matrix of numbers or +infinity, and the limit finite")
    possible = cost < limit
    rows, columns = (np.flatnonzero(possible.any(axis=axis)) for axis in (1, 0))
    capped = np.minimum(cost[np.ix_(rows, columns)], limit)
    if len(rows) <= len(columns):
        chosen = list(enumerate(_columns(capped)))
    else:
        chosen = [(row, column) for column, row in enumerate(_columns(capped.T))]
    pairs = sorted((int(rows[row]), int(columns[column])) for row, column in chosen)
    return [pair for pair in pairs if possible[pair]]


def _columns(cost: Costs) -> list[int]:
    """The column of each row, all different, of the least total cost; (n, m) with n <= m.

    `prices` and `rents` are the dual variables: cost - rents - prices is never below zero, and is
    zero at the pairs made. Column m is a stand-in at which every search starts.
    """
    n, m = cost.shape
    rents, prices = np.zeros(n), np.zeros(m + 1)
    owner = np.full(m + 1, -1)
    for row in range(n):
        owner[m] = row
        here, open_ = m, np.ones(m, np.bool_)
        least, before = np.full(m, np.inf), np.full(m, m)
        while owner[here] >= 0:
            slack = cost[owner[here]] - rents[owner[here]] - prices[:m]
            shorter = open_ & (slack < least)
            least[shorter], before[shorter] = slack[shorter], here
            there = int(np.where(open_, least, np.inf).argmin())
            step = least[there]
            reached = np.append(~open_, True)
            rents[owner[reached]] += step
            prices[reached] -= step
            least[open_] -= step
            open_[there] = False
            here = there
        while here != m:
            owner[here] = owner[before[here]]
            here = int(before[here])
    taken = np.flatnonzero(owner[:m] >= 0)
    return [int(column) for column in taken[np.argsort(owner[taken])]]

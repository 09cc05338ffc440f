"""The assignment is exact: never dearer than the best of all, found by trying them all."""

import itertools

import numpy as np
import pytest

from mien.errors import UsageError
from mien.video.assignment import assign


def total(cost, pairs, limit):
    """The sum that is to be smallest."""
    return sum(cost[pair] for pair in pairs) + limit * (min(cost.shape) - len(pairs))


def cheapest(cost, limit):
    """By trying every way to pair the fewer with the more."""
    cost = np.minimum(cost if cost.shape[0] <= cost.shape[1] else cost.T, limit)
    n, m = cost.shape
    ways = itertools.permutations(range(m), n)
    return min(sum(cost[i, j] for i, j in enumerate(way)) for way in ways)


def test_the_nearest_is_not_always_the_best():
    # Greedily, 0 takes 0 for 1 and leaves 10 to row 1: 11 in all.
    assert assign(np.array([[1.0, 2.0], [2.0, 10.0]]), 100) == [(0, 1), (1, 0)]


def test_nobody_is_forced_onto_a_bad_partner():
    # Two pairs cost 1.4 + 1.4; one pair and one left over cost 0.1 + 1.5.
    cost = np.array([[0.1, 1.4], [1.4, np.inf]])
    assert assign(cost, 1.5) == [(0, 0)]
    assert assign(cost, 3.0) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nobody_to_pair(shape):
    assert assign(np.empty(shape), 1.0) == []


def test_all_out_of_the_question():
    assert assign(np.full((3, 2), np.inf), 1.0) == []
    assert assign(np.full((2, 3), 1.0), 1.0) == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2), (4, 4), (5, 6), (6, 5)])
def test_against_all_ways(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(8):
        cost = rng.uniform(-1, 2, shape)
        cost[rng.random(shape) < 0.3] = np.inf
        pairs = assign(cost, 1.0)
        rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
        assert len(set(rows)) == len(set(columns)) == len(pairs)
        assert list(rows) == sorted(rows)
        assert all(cost[pair] < 1.0 for pair in pairs)
        assert total(cost, pairs, 1.0) == pytest.approx(cheapest(cost, 1.0))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30)])
def test_against_scipy(shape, whole):
    """Whole numbers make many ties."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(shape[0])
    cost = rng.integers(0, 6, shape).astype(float) if whole else rng.random(shape)
    pairs = assign(cost, 9.0)
    assert len(pairs) == min(shape)
    rows, columns = optimize.linear_sum_assignment(cost)
    assert total(cost, pairs, 9.0) == pytest.approx(cost[rows, columns].sum())


@pytest.mark.parametrize(
    ("cost", "limit"),
    [
        (np.zeros(3), 1.0),
        (np.array([[np.nan]]), 1.0),
        (np.array([[-np.inf]]), 1.0),
        (np.zeros((1, 1)), np.inf),
    ],
)
def test_what_cannot_be_assigned(cost, limit):
    with pytest.raises(UsageError, match="costs must be a matrix"):
        assign(cost, limit)

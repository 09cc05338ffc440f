import numpy as np
import pytest

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.pipeline import Analyzer, Options
from mien.runtime.prior import expecting, shares


def test_those_that_are_not_named_share_the_rest():
    got = shares("neutral=0.5, happy=0.2")
    assert got == pytest.approx([0.5, 0.2, *[0.05] * 6])
    assert got.dtype == np.float32
    assert shares({"fear": 0.3}) == pytest.approx([0.1] * 6 + [0.3, 0.1])


def test_all_may_be_named_and_some_be_none():
    every = dict.fromkeys(EIGHT[:4], 0.25) | dict.fromkeys(EIGHT[4:], 0.0)
    assert shares(every) == pytest.approx([0.25] * 4 + [0] * 4)


@pytest.mark.parametrize("nothing", ["", " ", ",", {}])
def test_nothing_named_is_all_alike(nothing):
    assert shares(nothing) is None
    told = np.array([[0.3, 0.7]], np.float32)
    assert expecting(told, None) is told


@pytest.mark.parametrize(
    ("prior", "about"),
    [
        ("neutral", "EXPRESSION=SHARE"),
        ("neutral=much", "EXPRESSION=SHARE"),
        ("boredom=0.2", "boredom"),
        ("neutral=1.2", "neutral needs one share"),
        ("neutral=-0.1", "neutral needs one share"),
        ("neutral=nan", "neutral needs one share"),
        ("happy=0.1,happiness=0.2", "happiness needs one share"),
        ("neutral=0.7,fear=0.7", "sum 1.4"),
        (dict.fromkeys(EIGHT, 0.1), "sum 0.8"),
    ],
)
def test_a_prior_that_cannot_be_says_why(prior, about):
    with pytest.raises(UsageError, match=about):
        shares(prior)


def test_bayes():
    told = np.array([[0.5, 0.25, 0.25, 0, 0, 0, 0, 0], [1 / 8] * 8], np.float32)
    expected = shares("neutral=0.1,happiness=0.4,surprise=0.5")
    got = expecting(told, expected)
    assert got[0, :3] == pytest.approx(np.array([0.05, 0.1, 0.125]) / 0.275, abs=1e-6)
    assert got[1] == pytest.approx([0.1, 0.4, 0.5, 0, 0, 0, 0, 0], abs=1e-6)


def test_an_analysis_refuses_a_wrong_prior_before_any_work():
    with pytest.raises(UsageError, match="boredom"):
        Analyzer(Options(prior="boredom=1"))

"""Which answers are marked as uncertain, by hand and on drawn answers."""

import numpy as np
import pytest

from mien.train.certainty import ALWAYS, NEVER, certainty_figures, fit_threshold


def answers(*told):
    """Rows of three classes whose first has the probability given, and truths: right or not."""
    tops = np.array([top for top, _ in told])
    rows = np.stack([tops, (1 - tops) / 2, (1 - tops) / 2], axis=1).astype(np.float32)
    return rows, np.array([0 if right else 1 for _, right in told])


SIX = ((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False), (0.4, False))
# Parts that are right from the surest on: 1, 1, 2/3, 3/4, 3/5, 1/2.


@pytest.mark.parametrize(
    ("rate", "threshold"),
    [(1.0, 0.8), (0.8, 0.8), (0.75, 0.6), (0.7, 0.6), (0.6, 0.5), (0.55, 0.5), (0.5, NEVER)],
)
def test_as_many_as_possible_are_kept(rate, threshold):
    assert fit_threshold(*answers(*SIX), rate) == pytest.approx(threshold, abs=1.1e-5)


def test_the_faces_of_the_fit_stay_above_it():
    rows, truth = answers(*SIX)
    assert (rows.max(axis=1) >= fit_threshold(rows, truth, 0.75)).sum() == 4


def test_no_rate_is_no_threshold():
    assert fit_threshold(*answers(*SIX), 0.0) == NEVER


def test_a_rate_that_no_answers_reach():
    wrong = [(top, False) for top, _ in SIX]
    assert fit_threshold(*answers(*wrong), 0.1) == ALWAYS


def test_faces_of_equal_probability_are_kept_or_left_together():
    told = ((0.9, True), (0.6, True), (0.6, False), (0.6, False))
    assert fit_threshold(*answers(*told), 0.75) == pytest.approx(0.9, abs=1.1e-5)
    assert fit_threshold(*answers(*told), 0.5) == NEVER


def test_figures_by_hand():
    rows, truth = answers(*SIX)
    told = certainty_figures(rows, truth, 0.6, 0.75, folds=6)
    assert told["certain_share"] == pytest.approx(4 / 6)
    assert told["certain_accuracy"] == pytest.approx(3 / 4)
    assert told["uncertain_accuracy"] == 0
    # Six folds of one. Without the first or the second face the others reach 3/4 at the surest
    # alone (0.8 or 0.9); without the third at 0.5 (1, 1, 1, 3/4); without a later one at 0.8 or
    # 0.6, which is above it. So the first and the third are kept, and one of the two is right.
    assert told["certain_share_cross_fitted"] == pytest.approx(2 / 6)
    assert told["certain_accuracy_cross_fitted"] == pytest.approx(1 / 2)


def test_a_figure_of_no_answers_is_left_out():
    rows, truth = answers(*SIX)
    assert "uncertain_accuracy" not in certainty_figures(rows, truth, NEVER, 0.1)
    told = certainty_figures(rows, truth, ALWAYS, 1.0)
    assert told["certain_share"] == 0 and "certain_accuracy" not in told


def test_calibrated_answers_meet_the_rate_on_faces_that_were_not_fitted_on():
    """Right with the probability told: keeping those above t then keeps a part (1 + t) / 2."""
    generator = np.random.default_rng(3)
    tops = generator.uniform(0.4, 1.0, 20_000)
    rows, truth = answers(*zip(tops, generator.random(20_000) < tops, strict=True))
    threshold = fit_threshold(rows, truth, 0.85)
    assert threshold == pytest.approx(0.7, abs=0.03)
    told = certainty_figures(rows, truth, threshold, 0.85)
    assert told["certain_accuracy"] >= 0.85
    assert told["certain_accuracy_cross_fitted"] == pytest.approx(0.85, abs=0.01)
    assert told["certain_share_cross_fitted"] == pytest.approx(0.5, abs=0.05)
    assert told["uncertain_accuracy"] == pytest.approx(0.55, abs=0.02)

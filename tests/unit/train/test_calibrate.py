"""Temperatures."""

import numpy as np
import pytest

from mien.metrics import nll, softmax
from mien.train.calibrate import (
    cross_fitted,
    cross_fitted_ece,
    even_priors,
    fit_biases,
    fit_temperature,
)


def drawn(temperature, n=20_000, k=7, seed=0):
    """Logits, and labels drawn from their softmax at `temperature`."""
    generator = np.random.default_rng(seed)
    logits = (2 * generator.standard_normal((n, k))).astype(np.float32)
    probabilities = softmax(logits, temperature)
    at = generator.random((n, 1)) < probabilities.cumsum(axis=1)
    return logits, at.argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
def test_the_temperature_of_the_labels_is_found(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_likelier():
    logits, truth = drawn(1.7, n=500)
    best = fit_temperature(logits, truth)
    least = nll(softmax(logits, best), truth)
    for other in np.exp(np.linspace(np.log(0.25), np.log(4), 60)):
        assert least <= nll(softmax(logits, other), truth) + 1e-6


def test_logits_that_are_always_right_or_useless_stay_within_bounds():
    logits = np.eye(7, dtype=np.float32)
    assert fit_temperature(logits, np.arange(7)) == pytest.approx(0.25, rel=0.01)
    assert fit_temperature(logits, (np.arange(7) + 1) % 7) == pytest.approx(4.0, rel=0.01)


def test_balanced_classes_weigh_the_same():
    sure, unsure = drawn(1.0, n=3000), drawn(3.0, n=3000)
    few = [part[np.flatnonzero(unsure[1] == 6)[:40]] for part in unsure]
    many = [part[sure[1] < 6] for part in sure]
    logits, truth = (np.concatenate(parts) for parts in zip(many, few, strict=True))
    repeated = np.concatenate(
        [np.resize(np.flatnonzero(truth == k), 5000) for k in range(7)]
    )  # every class 5,000 times
    expected = fit_temperature(logits[repeated], truth[repeated])
    assert fit_temperature(logits, truth, balanced=True) == pytest.approx(expected, rel=0.01)
    assert fit_temperature(logits, truth) < 0.97 * expected


def test_the_answer_stays_the_same():
    logits, truth = drawn(2.2, n=2000)
    scaled = softmax(logits, fit_temperature(logits, truth))
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_calibration_lowers_the_error():
    logits, truth = drawn(2.0)
    assert cross_fitted_ece(logits, truth) < 0.02
    assert cross_fitted_ece(logits / 2, truth) < 0.02  # the scale does not matter


def test_each_half_has_the_other_halfs_temperature():
    logits, truth = drawn(2.0, n=401)
    told = cross_fitted(logits, truth)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    for mine, other in ((even, odd), (odd, even)):
        temperature = fit_temperature(logits[other], truth[other])
        assert told[mine] == pytest.approx(softmax(logits[mine], temperature), abs=1e-6)
    assert told.sum(axis=1) == pytest.approx(np.ones(401), abs=1e-5)


def means(logits, weights, priors):
    told = softmax(logits - np.log(priors))
    return (weights[:, None] * told).sum(axis=0) / weights.sum()


def test_divided_by_even_priors_every_label_is_told_equally_often():
    generator = np.random.default_rng(3)
    logits = (3 * generator.standard_normal((500, 7)) + np.arange(7)).astype(np.float32)
    weights = generator.uniform(0.1, 5, 500)
    priors = even_priors(logits, weights)
    assert priors.sum() == pytest.approx(1, abs=1e-6)
    assert means(logits, weights, priors) == pytest.approx(1 / 7, abs=1e-4)
    assert np.abs(means(logits, np.ones(500), priors) - 1 / 7).max() > 0.005  # weights count
    assert (np.diff(priors) > 0).all()  # what is told too often has the larger prior


def test_even_priors_of_a_head_that_only_repeats_the_shares_are_the_shares():
    shares = np.array([0.5, 0.3, 0.2], np.float32)
    logits = np.log(np.repeat(shares[None], 10, axis=0))
    assert even_priors(logits, np.ones(10)) == pytest.approx(shares, abs=1e-4)


def test_even_priors_of_a_head_that_favours_a_label_find_the_favour():
    # Two classes, seen equally clearly; the head was taught four times as many of the first.
    clear = np.array([[2.0, 0.0], [0.0, 2.0]] * 50, np.float32)
    favoured = clear + np.log(np.array([0.8, 0.2], np.float32))
    assert even_priors(favoured, np.ones(100)) == pytest.approx([0.8, 0.2], abs=1e-3)
    # With the first class nine times as frequent, weights make up for it.
    at = np.array([0] * 90 + [1] * 10)
    weights = 1 / np.bincount(at)[at]
    assert even_priors(favoured[at], weights) == pytest.approx([0.8, 0.2], abs=1e-3)


def test_a_label_that_is_never_told_ends():
    logits = np.tile(np.array([0.0, 0.0, -1000.0], np.float32), (5, 1))
    priors = even_priors(logits, np.ones(5))
    assert np.isfinite(priors).all()


BIASES = np.array([0.8, 0.0, -0.5, 0.3, 0.0, -0.6, 0.0], np.float32)


def drawn_with_biases(temperature=1.7, n=20_000):
    """Logits whose labels were drawn with `BIASES` added to them, at `temperature`."""
    logits, truth = drawn(temperature, n)
    return logits - BIASES, truth


def test_the_biases_of_the_labels_are_found():
    logits, truth = drawn_with_biases()
    found = fit_biases(logits, truth)
    assert found == pytest.approx(BIASES - BIASES.mean(), abs=0.06)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert fit_temperature(logits + found, truth) == pytest.approx(1.7, rel=0.05)


def test_no_other_biases_are_likelier():
    logits, truth = drawn_with_biases(n=1500)
    best = fit_biases(logits, truth)
    temperature = fit_temperature(logits + best, truth)

    def loss(biases):
        ridge = 1e-3 * np.square(biases / temperature).sum()
        return nll(softmax(logits + biases, temperature), truth) + ridge

    for k in range(7):
        for step in (-0.05, 0.05):
            assert loss(best) < loss(best + step * np.eye(7, dtype=np.float32)[k])


def test_biases_of_a_label_without_faces_stay_small():
    logits, truth = drawn(1.0, n=400)
    kept = truth != 6
    found = fit_biases(logits[kept], truth[kept])
    assert np.isfinite(found).all() and -6 < found[6] < -1


def test_cross_fitted_biases_make_labels_likelier_and_right_more_often():
    logits, truth = drawn_with_biases(n=4000)
    plain, biased = (cross_fitted(logits, truth, 10, biased=b) for b in (False, True))
    assert nll(biased, truth) < nll(plain, truth) - 0.02
    assert (biased.argmax(axis=1) == truth).mean() > (plain.argmax(axis=1) == truth).mean()
    # Row 0 lies in the first fold: its own label has no part in its biases.
    other = truth.copy()
    other[0] = (truth[0] + 1) % 7
    assert np.array_equal(cross_fitted(logits, other, 10, biased=True)[0], biased[0])

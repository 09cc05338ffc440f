"""The filter against its textbook form, and against the process it stands for."""

import numpy as np
import pytest

from mien.video.motion import Estimate, advance, correct, start

BOXES = np.array([[10.0, 20.0, 50.0, 70.0], [100.0, 100.0, 300.0, 300.0]])


def moving(speed):
    """A box of 100 by 100 pixels at (0, 0) that moves to the right."""
    estimate = start(np.array([[-50.0, -50.0, 50.0, 50.0]]))
    estimate.mean[0, 0, 1] = speed
    return estimate


def test_a_new_box_is_where_it_is_seen_and_at_rest():
    assert start(BOXES).boxes == pytest.approx(BOXES)
    assert advance(start(BOXES), 0.5).boxes == pytest.approx(BOXES)
    assert (start(BOXES).mean[:, :, 1] == 0).all()


def test_a_velocity_dies_away():
    """x = v T (1 - exp(-t / T)), T = 2 s."""
    for seconds in (0.1, 1.0, 5.0):
        later = advance(moving(60.0), seconds)
        gone = 60 * 2 * (1 - np.exp(-seconds / 2))
        assert later.mean[0, 0] == pytest.approx([gone, 60 * np.exp(-seconds / 2)])
        assert later.boxes[0] == pytest.approx([gone - 50, -50, gone + 50, 50])


def test_many_small_steps_are_one_large_one():
    small = moving(60.0)
    for _ in range(12):
        small = advance(small, 0.05)
    large = advance(moving(60.0), 0.6)
    assert small.mean == pytest.approx(large.mean)
    assert small.spread == pytest.approx(large.spread)


def test_the_usual_speed_stays_the_usual_one():
    """The velocity's variance is that of its stationary state; no step changes it."""
    later = advance(start(BOXES), 0.7)
    assert later.spread[:, :, 1, 1] == pytest.approx(np.tile([4.0, 4.0, 0.09, 0.09], (2, 1)))


def test_correction_is_the_textbooks():
    """K = P Hᵗ (H P Hᵗ + R)⁻¹, x + K (z - H x), (I - K H) P."""
    before = advance(moving(60.0), 0.2)
    seen = np.array([[-30.0, -52.0, 75.0, 47.0]])
    after = correct(before, seen, np.array([2.0]))
    z = [22.5, -2.5, np.log(105), np.log(99)]
    h = np.array([[1.0, 0.0]])
    for i, deviation in enumerate([0.04, 0.04, 0.05, 0.05]):
        x, p = before.mean[0, i], before.spread[0, i]
        k = p @ h.T @ np.linalg.inv(h @ p @ h.T + (2 * deviation) ** 2)
        assert after.mean[0, i] == pytest.approx(x + (k @ (z[i] - h @ x)))
        assert after.spread[0, i] == pytest.approx((np.eye(2) - k @ h) @ p)


@pytest.mark.parametrize("fps", [5, 12.5, 30])
def test_an_even_pace_is_learnt(fps):
    """Expected a quarter second ahead to a twentieth of its side, at any frame rate."""
    box = np.array([[0.0, 0.0, 80.0, 100.0]])
    estimate = start(box)
    for _ in range(int(2 * fps)):
        box = box + np.array([150, -40, 150, -40]) / fps
        estimate = correct(advance(estimate, 1 / fps), box, np.ones(1))
    ahead = box + np.array([150, -40, 150, -40]) * 0.25
    assert np.abs(advance(estimate, 0.25).boxes - ahead).max() < 5


def test_doubt_grows_while_a_face_is_not_seen():
    doubts = [advance(start(BOXES), t).doubt[0] for t in (0.0, 0.1, 0.5, 1.0)]
    assert doubts == sorted(doubts)
    assert doubts[0] == pytest.approx(0.04 * np.sqrt(2))


def test_boxes_without_area_do_no_harm():
    estimate = start(np.array([[5.0, 5.0, 5.0, 9.0]]))
    assert estimate.boxes[0] == pytest.approx([4.5, 5, 5.5, 9])


def test_picking_and_joining():
    both = start(BOXES)
    joined = both.pick(np.array([1])).joined(both.pick(np.array([True, False])))
    assert isinstance(joined, Estimate) and len(joined) == 2
    assert joined.boxes == pytest.approx(BOXES[::-1])

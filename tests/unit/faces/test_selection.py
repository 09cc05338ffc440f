"""Clipping, thresholds and duplicates."""

import numpy as np
import pytest

from mien.errors import UsageError
from mien.faces.selection import Options, distinct, finish, no_faces, scaled
from mien.types import Faces


def faces(boxes, scores, points=None):
    return Faces(np.float32(boxes), np.float32(scores), points)


def test_boxes_are_clipped_and_those_outside_dropped():
    found = faces([[-5, -3, 20, 20], [90, 40, 130, 70], [200, 0, 220, 20]], [0.5, 0.9, 0.99])
    kept = finish(found, 100, 60, Options())
    assert kept.boxes.tolist() == [[90, 40, 100, 60], [0, 0, 20, 20]]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.5])
    assert kept.boxes.dtype == kept.scores.dtype == np.float32


def test_points_stay_with_their_boxes():
    points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    kept = finish(faces([[0, 0, 9, 9], [20, 20, 29, 29]], [0.4, 0.8], points), 50, 50, Options())
    assert kept.points.tolist() == points[[1, 0]].tolist()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (Options(), [0.9, 0.8, 0.7]),
        (Options(min_score=0.75), [0.9, 0.8]),
        (Options(min_face=10), [0.9, 0.7]),
        (Options(min_face=10.5), [0.7]),
        (Options(max_faces=1), [0.9]),
        (Options(min_face=10, max_faces=1), [0.9]),
    ],
)
def test_options(options, left):
    found = faces([[0, 0, 8, 20], [20, 0, 30, 10], [40, 0, 60, 30]], [0.8, 0.9, 0.7])
    assert finish(found, 100, 100, options).scores.tolist() == pytest.approx(left)


def test_a_face_cut_by_the_border_is_measured_as_far_as_it_shows():
    found = faces([[-30, 0, 10, 40]], [0.9])
    assert len(finish(found, 100, 100, Options(min_face=10))) == 1
    assert len(finish(found, 100, 100, Options(min_face=11))) == 0


def test_overlapping_and_nested_duplicates_go():
    boxes = np.float32(
        [[0, 0, 40, 40], [3, 3, 43, 43], [10, 10, 20, 20], [35, 35, 75, 75], [-20, -20, 60, 60]]
    )
    scores = np.float32([0.8, 0.7, 0.6, 0.5, 0.4])
    assert distinct(boxes, scores).tolist() == [0, 3]


def test_equal_scores_keep_their_order():
    boxes = np.float32([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]])
    assert distinct(boxes, np.float32([0.5, 0.5, 0.5])).tolist() == [0, 1, 2]


def test_boxes_that_are_no_numbers_are_dropped():
    found = faces([[np.nan, 0, 9, 9], [0, 0, np.inf, np.inf]], [0.9, 0.8])
    assert finish(found, 50, 40, Options()).boxes.tolist() == [[0, 0, 50, 40]]


def test_nothing_stays_nothing():
    kept = finish(no_faces(points=True), 10, 10, Options(min_face=3, max_faces=2))
    assert kept.boxes.shape == (0, 4)
    assert kept.scores.shape == (0,)
    assert kept.points.shape == (0, 5, 2)


def test_scaled():
    points = np.ones((1, 5, 2), np.float32)
    twice = scaled(faces([[1, 2, 3, 4]], [0.5], points), 2, 10)
    assert twice.boxes.tolist() == [[2, 20, 6, 40]]
    assert twice.points[0, 0].tolist() == [2, 10]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_score": 1.5},
        {"min_face": -1},
        {"max_faces": 0},
        {"max_side": 8},
        {"min_score": np.nan},
    ],
)
def test_options_out_of_range(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Options(**wrong)

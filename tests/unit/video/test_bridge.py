from dataclasses import replace

import pytest

from mien.labels import EIGHT
from mien.types import Face, Observation
from mien.video.bridge import bridge


def face(number, x=0.0, happy=1.0, valence=None):
    chances = dict.fromkeys(EIGHT, 0.0) | {"happiness": happy, "neutral": 1 - happy}
    top = max(chances, key=chances.get)
    return Face(number, (x, 0.0, x + 10, 10.0), 0.9, top, chances[top], chances, valence, valence)


def clip(*faces_of):
    """One observation every tenth of a second."""
    return [
        Observation("clip", "ok" if f else "no_face", 64, 36, "m", tuple(f), i, i / 10)
        for i, f in enumerate(faces_of)
    ]


def ids(observations):
    return [[f.face_id for f in o.faces] for o in observations]


def test_a_short_gap_is_filled_on_a_straight_line_and_marked():
    gap = clip([face(3, 0.0, 1.0, 0.2)], [], [], [], [face(3, 8.0, 0.0, -0.2)])
    out = list(bridge(gap, 0.5))
    assert ids(out) == [[3]] * 5
    assert [f.bridged for o in out for f in o.faces] == [False, True, True, True, False]
    assert [o.faces[0].box[0] for o in out] == pytest.approx([0, 2, 4, 6, 8])
    assert [o.faces[0].probabilities["happiness"] for o in out] == pytest.approx(
        [1, 0.75, 0.5, 0.25, 0]
    )
    assert [o.faces[0].valence for o in out] == pytest.approx([0.2, 0.1, 0, -0.1, -0.2])
    assert [o.faces[0].expression for o in out][3] == "neutral"
    assert out[1].status == "ok" and out[1].faces[0].face_score == 0


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_is_filled_in_is_uncertain_where_an_end_is(before, after):
    ends = [replace(face(3), uncertain=bool(one)) for one in (before, after)]
    out = list(bridge(clip([ends[0]], [], [ends[1]]), 0.5))
    assert out[1].faces[0].bridged and out[1].faces[0].uncertain == (before + after > 0)


def test_a_gap_longer_than_that_stays_open():
    gap = clip([face(3)], [], [], [], [], [], [face(3)])
    assert ids(bridge(gap, 0.5)) == [[3], [], [], [], [], [], [3]]
    assert ids(bridge(gap, 0.6)) == [[3]] * 7


def test_nothing_is_filled_for_one_who_does_not_come_back():
    gone = clip([face(1), face(2)], [face(1)], [face(1)], [face(1)])
    assert ids(bridge(gone, 0.5)) == [[1, 2], [1], [1], [1]]


def test_two_gaps_that_overlap_are_filled_each_for_itself():
    both = clip([face(1), face(2)], [face(2)], [], [face(1)], [face(1), face(2)])
    out = list(bridge(both, 0.5))
    assert ids(out) == [[1, 2]] * 5
    assert [[f.bridged for f in o.faces] for o in out][1:4] == [
        [True, False], [True, True], [False, True]
    ]  # fmt: skip


def test_an_observation_waits_only_while_somebody_is_missing():
    def source():
        for observation in clip([face(1)], [face(1)], [], [], [face(1)]):
            taken.append(observation.frame)
            yield observation

    taken = []
    out = bridge(source(), 0.5)
    assert (next(out).frame, taken) == (0, [0])
    assert (next(out).frame, taken) == (1, [0, 1])
    assert (next(out).frame, taken) == (2, [0, 1, 2, 3, 4])


def test_so_many_wait_and_no_more_and_a_gap_is_filled_whole_or_not_at_all():
    gap = clip([face(1)], [], [], [], [face(1)])
    assert ids(bridge(gap, 0.5, most=2)) == [[1], [], [], [], [1]]
    assert ids(bridge(gap, 0.5, most=4)) == [[1]] * 5


def test_what_could_not_be_read_stays_so():
    gap = clip([face(1)], [], [face(1)])
    gap[1] = Observation("clip", "unreadable", 0, 0, "m", frame=1, t_sec=0.1, error="damaged")
    assert list(bridge(gap, 0.5))[1] == gap[1]


def test_photos_pass():
    photos = [Observation(f"{i}.jpg", "ok", 64, 36, "m", (face(0),)) for i in range(3)]
    assert list(bridge(photos, 0.5)) == photos


def test_no_gap_at_all_when_told_so():
    gap = clip([face(1)], [], [face(1)])
    assert list(bridge(gap, 0.0)) == gap

"""A made-up world: boxes as a function of the frame, and a detector that says what it was asked."""

from types import SimpleNamespace

import numpy as np
import pytest

from mien.types import Faces, Frame, Unreadable
from mien.video.keyframes import LONGEST, Seen, alike, between, follow, is_cut

GREY = np.full((36, 64, 3), 90, np.uint8)
CHECKED = (
    (np.indices((36, 64)).sum(axis=0) // 4 % 2 * 120 + 60)[..., None].repeat(3, 2).astype("u1")
)


def frame(index, rgb=CHECKED, fps=25.0):
    return Frame("clip", rgb, 64, 36, index=index, t_sec=index / fps)


def faces(*boxes):
    table = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(table, np.full(len(table), 0.9, np.float32))


class World:
    """Person p is at `where[p](index)`, x0 y0 x1 y1, or None; ids are those of the persons."""

    def __init__(self, *where):
        self.where = where
        self.asked, self.asked_near = [], []
        self.cuts = []

    def boxes(self, index):
        return [w(index) for w in self.where]

    def find(self, frame):
        self.asked.append(frame.index)
        return faces(*[box for box in self.boxes(frame.index) if box is not None])

    def update(self, t_sec, found, *, cut=False):
        self.cuts.append(cut)
        present = [p for p, box in enumerate(self.boxes(round(t_sec * 25))) if box is not None]
        assert len(present) == len(found)
        return tuple(present)

    def near(self, frame, boxes):
        """The faces over `boxes` alone, if all of them are there."""
        self.asked_near.append(frame.index)
        there = [box for box in self.boxes(frame.index) if box is not None]
        over = [[abs(a - b[0]) < 5 for b in there] for a in boxes[:, 0]]
        found = [there[row.index(True)] for row in over if any(row)]
        return faces(*found) if len(found) == len(boxes) else None

    def run(self, n, every=0, near=None, rgb=CHECKED):
        return list(follow([frame(i, rgb) for i in range(n)], self.find, self, every, near))


def still(index):
    return (10.0, 10.0, 20.0, 20.0)


def drifting(index):
    return (10.0 + 0.25 * index, 10.0, 20.0 + 0.25 * index, 20.0)


def test_every_frame_comes_out_once_in_order_and_few_are_searched():
    world = World(drifting)
    seen = world.run(100)
    assert [s.frame.index for s in seen] == list(range(100))
    assert len(world.asked) <= 100 / LONGEST + 3
    assert [s.frame.index for s in seen if s.looked] == sorted(world.asked)


def test_between_two_looks_a_face_moves_in_a_straight_line():
    seen = World(drifting).run(50)
    for s in seen:
        np.testing.assert_allclose(s.faces.boxes, [drifting(s.frame.index)], atol=1e-4)
        assert s.ids == (0,)
        assert s.faces.scores.tolist() == pytest.approx([0.9])


@pytest.mark.parametrize("first", [1, 7, 12, 23])
def test_a_face_that_comes_and_goes_is_known_to_the_frame(first):
    last = first + 9
    world = World(still, lambda i: (40.0, 10.0, 50.0, 20.0) if first <= i <= last else None)
    seen = world.run(60)
    assert [s.frame.index for s in seen if 1 in s.ids] == list(range(first, last + 1))
    assert all(0 in s.ids for s in seen)


def test_a_face_that_leaps_is_looked_for_more_often_than_one_that_is_still():
    leaping = World(lambda i: (10.0 + 4 * (i % 5), 10.0, 20.0 + 4 * (i % 5), 20.0))
    leaping.run(40)
    calm = World(still)
    calm.run(40)
    assert len(leaping.asked) > 3 * len(calm.asked)


def test_one_who_is_hidden_between_two_looks_is_looked_for():
    """On frames 14 and 15, between the looks at 12 and 20, something dark is in front."""
    world = World(lambda i: None if i in (14, 15) else still(i))
    dark = CHECKED.copy()
    dark[5:30, 5:30] = 0
    frames = [frame(i, dark if i in (14, 15) else CHECKED) for i in range(40)]
    seen = list(follow(frames, world.find, world))
    assert [s.frame.index for s in seen if not s.ids] == [14, 15]
    assert len(world.asked) < 16


def test_every_so_manieth_frame_when_asked_for():
    world = World(drifting)
    seen = world.run(11, every=5)
    assert world.asked == [0, 5, 10]
    assert [s.looked for s in seen] == [i % 5 == 0 for i in range(11)]
    np.testing.assert_allclose(seen[3].faces.boxes, [drifting(3)], atol=1e-4)


def test_a_face_on_one_of_two_key_frames_counts_on_the_nearer_half():
    world = World(lambda i: still(i) if i < 3 else None)
    seen = world.run(11, every=10)
    assert [len(s.ids) for s in seen] == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_what_cannot_be_read_keeps_its_place():
    broken = Unreadable("clip", "damaged")
    items = [frame(0), frame(1), broken, frame(2), frame(3)]
    world = World(still)
    out = list(follow(items, world.find, world))
    assert out[2] is broken
    assert [s.frame.index for s in out if isinstance(s, Seen)] == [0, 1, 2, 3]


def test_an_empty_video_gives_nothing():
    world = World(still)
    assert list(follow([], world.find, world)) == []


def test_a_face_without_an_id_yet_is_left_out():
    unsure = SimpleNamespace(update=lambda t, found, cut=False: (4, -1, 2))
    seen = list(follow([frame(0)], lambda f: faces(still(0), still(0), drifting(8)), unsure))
    assert seen[0].ids == (2, 4)
    np.testing.assert_allclose(seen[0].faces.boxes[0], drifting(8))


def test_a_cut_is_told_to_the_follower():
    white = np.full((36, 64, 3), 230, np.uint8)
    world = World(still)
    list(follow([frame(0, GREY), frame(1, GREY), frame(2, white)], world.find, world, every=1))
    assert world.cuts == [False, False, True]
    assert not is_cut(frame(0, GREY), frame(1, GREY + np.uint8(30)))


def test_alike_wants_each_face_over_just_one():
    assert alike(faces(), faces())
    assert alike(faces(still(0)), faces(drifting(4)))
    assert not alike(faces(still(0)), faces())
    assert not alike(faces(still(0)), faces(drifting(40)))
    assert not alike(faces(still(0), (40, 10, 50, 20)), faces(still(0), still(0)))


def test_the_time_of_a_frame_decides_not_its_number():
    """Of a second between two looks this frame lies at 0.9, whatever its number."""
    a = Seen(frame(0), faces((0, 0, 10, 10)), (5,), looked=True)
    b = Seen(
        Frame("c", GREY, 64, 36, index=2, t_sec=1.0), faces((10, 0, 20, 10)), (5,), looked=True
    )
    seen = between(a, b, Frame("c", GREY, 64, 36, index=1, t_sec=0.9))
    np.testing.assert_allclose(seen.faces.boxes, [[9, 0, 19, 10]], rtol=1e-6)


def test_known_faces_are_looked_for_where_they_were():
    """The whole frame is searched once a second: on the first of 100 frames, and three times."""
    world = World(drifting)
    ramp = np.broadcast_to(np.linspace(0, 255, 36)[:, None, None], (36, 64, 3)).astype("u1")
    seen = world.run(100, near=world.near, rgb=ramp)
    assert len(world.asked) == 4 and world.asked[0] == 0
    assert len(world.asked_near) > 8
    for s in seen:
        np.testing.assert_allclose(s.faces.boxes, [drifting(s.frame.index)], atol=1e-4)


def test_a_face_that_is_not_where_it_was_is_looked_for_everywhere():
    world = World(lambda i: still(i) if i <= 17 else None)
    seen = world.run(24, near=world.near)
    assert [s.frame.index for s in seen if s.ids] == list(range(18))


def test_a_change_elsewhere_makes_the_whole_frame_be_searched():
    """Something bright comes up in a corner on frame 10, and with it a second face."""
    world = World(still, lambda i: (40.0, 10.0, 50.0, 20.0) if i >= 10 else None)
    lit = CHECKED.copy()
    lit[5:30, 36:60] = 255
    frames = [frame(i, lit if i >= 10 else CHECKED) for i in range(20)]
    seen = list(follow(frames, world.find, world, near=world.near))
    assert [s.frame.index for s in seen if 1 in s.ids] == list(range(10, 20))

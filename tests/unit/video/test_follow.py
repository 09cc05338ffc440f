"""Ids through jitter, misses, crossings, cuts and crowds, at several frame rates."""

import numpy as np
import pytest

from mien.errors import UsageError
from mien.faces.selection import no_faces, overlaps
from mien.types import Faces
from mien.video.follow import Follower

RATES = pytest.mark.parametrize("fps", [5, 12.5, 30])


def faces(*boxes, scores=None):
    scores = [0.9] * len(boxes) if scores is None else scores
    return Faces(np.float32(boxes).reshape(-1, 4), np.float32(scores))


def square(x, y=100.0, side=80.0):
    """A box by its centre."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def detected(rng, truth, *, missed=0.1, jitter=0.03):
    """What a detector makes of the boxes (n, 4): whose each detection is, and the detections.

    Corners lie off by `jitter` of the side, some are missed, the order is any. Of two boxes that
    overlap by 0.4 or more only the first is seen.
    """
    over = np.tril(overlaps(np.float32(truth), np.float32(truth)), -1)
    seen = (over < 0.4).all(axis=1) & (rng.random(len(truth)) >= missed)
    whose = rng.permutation(np.flatnonzero(seen))
    sides = truth[whose, 2] - truth[whose, 0]
    boxes = truth[whose] + rng.normal(0, jitter, (len(whose), 4)) * sides[:, None]
    return whose, Faces(boxes.astype(np.float32), np.full(len(whose), 0.9, np.float32))


def followed(path, fps, seconds, *, seed=0, follower=None, **noise):
    """The ids that each of n people is given, one list of them a person.

    Args:
        path: seconds -> true boxes (n, 4).
        fps: frames per second.
        seconds: how long.
        seed: of the noise.
        follower: the follower to use.
        noise: how the detector errs.
    """
    rng, follower = np.random.default_rng(seed), follower or Follower()
    told = [[] for _ in path(0.0)]
    for t in np.arange(0, seconds, 1 / fps):
        whose, found = detected(rng, path(t), **noise)
        for person, number in zip(whose, follower.update(t, found), strict=True):
            told[person].append(number)
    return told


def switches(ids):
    return int((np.diff(ids) != 0).sum())


def test_ids_count_up_as_faces_appear():
    follower = Follower()
    assert follower.update(0.0, faces(square(100), square(300))) == (0, 1)
    assert follower.update(0.1, faces(square(500), square(301), square(102))) == (2, 1, 0)
    assert follower.update(0.2, no_faces()) == ()
    assert all(type(n) is int for n in follower.update(0.3, faces(square(300))))


@RATES
def test_one_who_sits_still(fps):
    (ids,) = followed(lambda t: np.array([square(200)]), fps, 8, missed=0.2)
    assert set(ids) == {0} and len(ids) > 5 * fps


@RATES
def test_one_who_sways_and_leans_in(fps):
    """Two sides to and fro in three seconds, while the face grows by a half and shrinks again."""

    def path(t):
        swing = 2 * np.pi * t / 3
        return np.array([square(300 + 80 * np.sin(swing), side=80 * 1.5 ** np.sin(swing))])

    (ids,) = followed(path, fps, 9, seed=1)
    assert set(ids) == {0}


@RATES
def test_one_who_walks_through_the_picture(fps):
    """Three sides a second, from the first frame on; at 5 fps boxes do not half overlap."""
    (ids,) = followed(lambda t: np.array([square(100 + 240 * t)]), fps, 5, seed=2)
    assert set(ids) == {0}


def crossing(speed, offset, fps, seed):
    """The ids of two alike who meet half way; the second goes behind, a little lower."""
    gone = 80 * speed

    def path(t):
        return np.array([square(100 + gone * t), square(340 - gone * t, 100 + 80 * offset)])

    return followed(path, fps, 240 / gone, seed=seed)


def verdict(crossings):
    """How many crossings had no wrong id at all, and how many ended with the ids exchanged."""
    clean = sum(max(map(switches, ids)) == 0 for ids in crossings)
    exchanged = sum([own[0] for own in ids] != [own[-1] for own in ids] for ids in crossings)
    return clean, exchanged


@RATES
@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_two_who_cross(fps, speed):
    """Each 1 or 2 sides a second; the one behind is hidden for 0.2 to 0.4 s, and some are missed.

    Only for a moment may one have the other's id: where the one in front is missed when they meet.
    """
    crossings = [crossing(speed, 0.25, fps, seed) for seed in range(6)]
    clean, exchanged = verdict(crossings)
    assert clean >= 5 and exchanged == 0
    assert max(switches(own) for ids in crossings for own in ids) <= 2
    assert all({n for own in ids for n in own} == {0, 1} for ids in crossings)


def test_two_who_cross_at_the_same_height():
    """Nothing but their motion tells them apart."""
    clean, exchanged = verdict([crossing(1.0, 0.0, 12.5, seed) for seed in range(8)])
    assert clean >= 7 and exchanged <= 1


def test_two_who_meet_and_turn_back():
    """Up to a side apart: no exchange either."""

    def path(t):
        near = 60 + 150 * abs(np.cos(np.pi * t / 4))
        return np.array([square(400 - near), square(400 + near)])

    one, two = followed(path, 12.5, 4, seed=3)
    assert switches(one) == switches(two) == 0


def test_thirty_in_their_seats():
    """Five rows of six, a side and a half apart, each swaying in a rhythm of its own."""
    rng = np.random.default_rng(4)
    seats = np.array([[x, y] for y in range(5) for x in range(6)]) * 90.0 + 100
    phases, rates = rng.uniform(0, 6.3, (2, 30)), rng.uniform(0.5, 2, 30)

    def path(t):
        moved = seats + 12 * np.sin(rates * t + phases).T
        return np.hstack([moved - 30, moved + 30])

    told = followed(path, 12.5, 4, seed=5)
    assert [len(set(ids)) for ids in told] == [1] * 30
    assert sorted(ids[0] for ids in told) == list(range(30))


def test_thirty_who_pass_each_other():
    """Fifteen pairs at once, each in a lane of its own, one going behind the other."""
    lanes = np.arange(15) * 100.0

    def path(t):
        one = [square(100 + 120 * t, y) for y in lanes]
        return np.array(one + [square(400 - 120 * t, y + 20) for y in lanes])

    told = followed(path, 12.5, 2.5, seed=6)
    changed = [switches(ids) for ids in told]
    assert max(changed) <= 1
    assert changed.count(0) >= 26
    assert {n for ids in told for n in ids} == set(range(30))


@pytest.mark.parametrize(("seconds", "number"), [(0.9, 0), (1.0, 0), (1.1, 1)])
def test_who_is_gone_for_longer_than_the_gap_is_new(seconds, number):
    follower = Follower(gap=1.0)
    follower.update(0.0, faces(square(100)))
    for t in np.arange(0.1, seconds - 0.05, 0.1):
        follower.update(t, no_faces())
    assert follower.update(seconds, faces(square(100))) == (number,)


def test_rare_updates_are_no_gap():
    """Every other second, or less often; but after a long break nobody is known."""
    follower = Follower(gap=0.5)
    told = [follower.update(t, faces(square(100))) for t in (0.0, 2.0, 4.0, 14.0, 24.5)]
    assert told == [(0,), (0,), (0,), (0,), (1,)]


def test_ids_are_not_used_again():
    follower = Follower(gap=0.1)
    told = []
    for i in range(5):
        told += follower.update(i, faces(square(100)))
        follower.update(i + 0.5, no_faces())
    assert told == [0, 1, 2, 3, 4]


def test_far_off_is_someone_else():
    follower = Follower()
    for i in range(20):
        assert follower.update(i / 25, faces(square(100))) == (0,)
    assert follower.update(0.8, faces(square(160))) == (1,)


def test_another_size_is_someone_else():
    follower = Follower()
    for i in range(20):
        follower.update(i / 25, faces(square(100)))
    assert follower.update(0.8, faces(square(100, side=170))) == (1,)


def test_a_doubtful_detection_must_be_seen_twice():
    follower = Follower(sure=0.6)
    doubtful = faces(square(100), scores=[0.4])
    assert follower.update(0.0, doubtful) == (-1,)
    assert follower.predict(0.0) == {} and follower.last_seen(-1) is None
    assert follower.update(0.1, doubtful) == (0,)
    assert follower.update(0.2, no_faces()) == ()
    assert follower.update(0.3, doubtful) == (0,)


def test_a_flicker_is_never_a_face():
    follower = Follower(sure=0.6)
    doubtful = faces(square(100), scores=[0.4])
    for i in range(4):
        assert follower.update(i * 0.2, doubtful) == (-1,)
        follower.update(i * 0.2 + 0.1, no_faces())
    assert follower.update(1.0, faces(square(100))) == (0,)


def test_a_doubtful_face_then_a_sure_one_is_the_same():
    follower = Follower(sure=0.6)
    follower.update(0.0, faces(square(300), square(100), scores=[0.9, 0.4]))
    assert follower.update(0.1, faces(square(100), square(300))) == (1, 0)


def test_a_doubtful_detection_continues_a_face():
    follower = Follower(sure=0.6)
    follower.update(0.0, faces(square(100)))
    assert follower.update(0.1, faces(square(104), scores=[0.3])) == (0,)


def test_sure_detections_come_first():
    """The doubtful one lies nearer, yet the sure one is the face."""
    follower = Follower(sure=0.6)
    follower.update(0.0, faces(square(100)))
    assert follower.update(0.1, faces(square(101), square(115), scores=[0.4, 0.9])) == (-1, 0)


def test_a_cut_ends_everyone():
    follower = Follower()
    follower.update(0.0, faces(square(100), square(300)))
    assert follower.update(0.04, faces(square(130), square(300)), cut=True) == (2, 3)
    assert follower.last_seen(0) is None
    assert follower.update(0.08, no_faces(), cut=True) == ()
    assert follower.predict(0.1) == {}
    assert follower.update(0.12, faces(square(130))) == (4,)


def test_a_flash_ends_nobody():
    follower = Follower()
    follower.update(0.0, faces(square(100), square(300)))
    assert follower.update(0.04, faces(square(302), square(99)), cut=True) == (1, 0)


def test_a_new_face_at_a_cut_makes_it_one():
    follower = Follower()
    follower.update(0.0, faces(square(100)))
    assert follower.update(0.04, faces(square(100), square(300)), cut=True) == (1, 2)


def test_where_faces_are_expected():
    follower = Follower()
    for i in range(31):
        follower.update(i / 30, faces(square(100 + 120 * i / 30), square(500)))
    ahead = follower.predict(1.2)
    assert list(ahead) == [0, 1]
    assert ahead[0] == pytest.approx(square(100 + 120 * 1.2), abs=4)
    assert ahead[1] == pytest.approx(square(500), abs=0.5)
    assert follower.predict(1.0)[1] == pytest.approx(square(500), abs=0.5)
    assert follower.update(1.1, no_faces()) == ()
    assert list(follower.predict(1.5)) == [0, 1]
    assert follower.predict(2.3) == {}


def test_when_faces_were_last_seen():
    follower = Follower(gap=1.0)
    follower.update(0.0, faces(square(100), square(300)))
    follower.update(0.5, faces(square(300)))
    assert (follower.last_seen(0), follower.last_seen(1)) == (0.0, 0.5)
    assert follower.last_seen(7) is None
    follower.update(1.2, faces(square(300)))
    assert (follower.last_seen(0), follower.last_seen(1)) == (None, 1.2)


def test_absurd_boxes_are_followed_without_harm():
    follower = Follower()
    odd = faces([5, 5, 5, 5], [0, 0, 1e6, 1e6], [9, 9, 2, 2])
    first = follower.update(0.0, odd)
    assert sorted(first) == [0, 1, 2]
    assert follower.update(0.0, odd)[1] == 1


@pytest.mark.parametrize("t", [0.9, float("nan"), float("inf")])
def test_times_that_make_no_sense(t):
    follower = Follower()
    follower.update(1.0, faces(square(100)))
    with pytest.raises(UsageError, match="times must not run backwards"):
        follower.update(t, no_faces())
    with pytest.raises(UsageError, match="times must not run backwards"):
        follower.predict(t)


@pytest.mark.parametrize("wrong", [{"gap": -1}, {"gap": float("nan")}, {"sure": 1.1}])
def test_limits_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match="gap must be"):
        Follower(**wrong)

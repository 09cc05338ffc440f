"""Spans, counted by hand."""

import numpy as np
import pytest

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.types import Face, Observation, Smoothed
from mien.video.events import events, frame_lengths
from mien.video.reading import Reading, readings

KEYS = {"n": "neutral", "h": "happiness", "s": "sadness"}


def film(marks, *, fps=10, face_id=0, chance=0.8):
    """A reading a mark, n h s for a label; `.` no face; a capital: bridged."""
    return [
        labelled(i / fps, i, KEYS[mark.lower()], face_id, chance, bridged=mark.isupper())
        for i, mark in enumerate(marks)
        if mark != "."
    ]


def labelled(t, frame, label, face_id=0, chance=0.8, *, bridged=False):
    row = np.full(8, (1 - chance) / 7, np.float32)
    row[EIGHT.index(label)] = chance
    return Reading(t, frame, face_id, row, bridged=bridged)


def spans(found):
    return [(e.expression[0], round(e.start, 6), round(e.end, 6)) for e in found]


def cut(marks, *, fps=10, **limits):
    times = np.arange(len(marks)) / fps
    return spans(events(film(marks, fps=fps), times, **{"shortest": 0, "merge": 0, **limits}))


def test_a_span_ends_with_its_last_frame():
    assert cut("nnhhhn") == [("n", 0.0, 0.2), ("h", 0.2, 0.5), ("n", 0.5, 0.6)]


def test_the_end_is_the_time_of_the_next_frame_also_when_frames_are_uneven():
    times = [0.0, 0.1, 0.5, 0.6, 1.0]
    told = [labelled(t, i, "happiness") for i, t in enumerate(times[:2])]
    assert spans(events(told, times)) == [("h", 0.0, 0.5)]
    told = [labelled(t, i, "happiness") for i, t in enumerate(times)]
    assert spans(events(told, times)) == [("h", 0.0, 1.4)]


def test_short_spans_are_left_out():
    assert cut("nnnhhnnn", shortest=0.2) == [("n", 0.0, 0.3), ("h", 0.3, 0.5), ("n", 0.5, 0.8)]
    assert cut("nnnhhnnn", shortest=0.21) == [("n", 0.0, 0.3), ("n", 0.5, 0.8)]


def test_short_interruptions_are_taken_in():
    assert cut("nnnhnnn", merge=0.1) == [("n", 0.0, 0.7)]
    assert cut("nnnhsnnn", merge=0.2) == [("n", 0.0, 0.8)]
    assert cut("nnnhhnnn", merge=0.1) == [("n", 0.0, 0.3), ("h", 0.3, 0.5), ("n", 0.5, 0.8)]


def test_a_span_is_not_stretched_over_more_than_it_lasts():
    assert cut("nhhnhhhhhh", merge=0.3) == [("n", 0.0, 0.1), ("h", 0.1, 1.0)]


def test_interruptions_within_interruptions():
    assert cut("nnnnnhshnnnnn", merge=0.3) == [("n", 0.0, 1.3)]


def test_merging_comes_before_leaving_out():
    assert cut("hhnhhnhh", merge=0.1, shortest=0.8) == [("h", 0.0, 0.8)]


def test_an_absence_ends_a_span_unless_it_is_short():
    assert cut("hhh..hhh", merge=0.1) == [("h", 0.0, 0.3), ("h", 0.5, 0.8)]
    assert cut("hhh..hhh", merge=0.2) == [("h", 0.0, 0.8)]
    assert cut("hhh..hhh") == [("h", 0.0, 0.3), ("h", 0.5, 0.8)]


def test_what_is_missing_from_a_file_is_no_expression():
    """Ten minutes are lost between two frames that follow each other in what can be read."""
    times = [0.0, 0.1, 0.2, 600.0, 600.1]
    told = [labelled(t, i, "happiness") for i, t in enumerate(times)]
    found = events(told, times, shortest=0)
    assert spans(found) == [("h", 0.0, 1.2), ("h", 600.0, 600.2)]
    assert sum(frame_lengths(np.array(times))) == pytest.approx(1.4)


def test_how_long_frames_count():
    assert frame_lengths(np.array([0.0, 0.1, 0.4])).tolist() == pytest.approx([0.1, 0.3, 0.3])
    assert frame_lengths(np.array([0.0, 2.0, 4.0, 14.0, 16.0])).tolist() == [2, 2, 3, 2, 2]
    assert frame_lengths(np.array([5.0])).tolist() == [0]
    assert frame_lengths(np.array([])).tolist() == []


def test_rare_frames_last_until_the_next_one():
    times = np.arange(5) * 5.0
    told = [labelled(t, i, "happiness") for i, t in enumerate(times)]
    assert spans(events(told, times)) == [("h", 0.0, 25.0)]


def test_the_peak_is_the_highest_of_its_own_frames_that_were_seen():
    chances = [0.6, 0.9, 0.7, 0.95, 0.8]
    marks = ["happiness", "happiness", "happiness", "happiness", "neutral"]
    told = [
        labelled(i / 10, 40 + i, mark, 3, chance, bridged=i == 3)
        for i, (mark, chance) in enumerate(zip(marks, chances, strict=True))
    ]
    first, second = events(told, np.arange(5) / 10, shortest=0.0)
    assert (first.face_id, first.expression, first.peak_t, first.peak_frame) == (
        3,
        "happiness",
        0.1,
        41,
    )
    assert first.peak == pytest.approx(0.9)
    assert first.seconds == pytest.approx(0.4)
    assert (second.peak_frame, second.peak) == (44, pytest.approx(0.8))


def test_what_was_only_bridged_is_no_event():
    assert cut("hhhNNhhh") == [("h", 0.0, 0.3), ("h", 0.5, 0.8)]
    assert cut("hhhHHhhh") == [("h", 0.0, 0.8)]


def test_a_held_label_goes_before_the_most_probable_one():
    row = np.full(8, 0.125, np.float32)
    row[1] = 0.5
    held = Reading(0.0, 0, 0, row, expression="sadness")
    (event,) = events([held], [0.0, 0.5, 1.0])
    assert (event.expression, event.peak) == ("sadness", 0.125)


def test_people_are_kept_apart():
    told = film("hhhh", face_id=2) + film("nnhh", face_id=1)
    found = events(reversed(told), np.arange(4) / 10, shortest=0, merge=0)
    assert [(e.face_id, e.expression, e.start) for e in found] == [
        (1, "neutral", 0.0),
        (2, "happiness", 0.0),
        (1, "happiness", 0.2),
    ]


def test_nothing_seen():
    assert events([], []) == events([], [0.0, 0.1]) == []
    assert events([labelled(0.0, 0, "happiness")], [0.0]) == []


def test_what_cannot_be_counted():
    with pytest.raises(UsageError, match=r"face 0 is read at 0\.1 s, but no frame is"):
        events(film("hh"), [0.0])
    with pytest.raises(UsageError, match="face 0 is read twice"):
        events(film("hh") + film("h"), [0.0, 0.1])


def test_negative_lengths():
    with pytest.raises(UsageError, match="shortest and merge"):
        events([], [], merge=-1)


def face(face_id, chance, **more):
    chances = {"neutral": 1 - chance, "happiness": chance}
    return Face(face_id, (0, 0, 9, 9), 0.9, "happiness", chance, chances, **more)


def test_readings_of_observations():
    """Smoothed where they are smoothed; a frame that is broken is none."""
    even = Smoothed("neutral", 0.7, {"neutral": 0.7, "happiness": 0.3}, 0.1, -0.2)
    seen = Observation(
        "a.mp4", "ok", 9, 9, "m", (face(4, 0.8, smoothed=even), face(5, 0.6, bridged=True)), 7, 0.5
    )
    empty = Observation("a.mp4", "no_face", 9, 9, "m", (), 8, 0.6)
    broken = Observation("a.mp4", "unreadable", 0, 0, "m", error="broke off")
    found, times = readings([seen, empty, broken])
    assert times == [0.5, 0.6]
    one, two = found
    assert (one.t_sec, one.frame, one.face_id, one.bridged) == (0.5, 7, 4, False)
    assert (one.label, one.valence, one.arousal) == ("neutral", 0.1, -0.2)
    assert one.probability("happiness") == pytest.approx(0.3)
    assert one.probability("contempt") == 0
    assert (two.label, two.valence, two.bridged) == ("happiness", None, True)


def test_photos_have_no_time():
    with pytest.raises(UsageError, match=r"a\.jpg: a photo has no time"):
        readings([Observation("a.jpg", "ok", 9, 9, "m", (face(0, 0.8),))])

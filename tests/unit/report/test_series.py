"""Who was seen when: lengths of frames, shares, bins and gaps, with numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_recording import crowd_of, row, small_rows, write_csv

from mien.labels import EIGHT
from mien.report.moments import moments, peaks
from mien.report.reading import read_recording
from mien.report.series import bins, columns, frame_lengths, gaps, shares, spans
from mien.video.events import events
from mien.video.reading import Reading

NEUTRAL, HAPPINESS, ANGER = (EIGHT.index(name) for name in ("neutral", "happiness", "anger"))


@pytest.fixture
def small(tmp_path):
    return read_recording(write_csv(tmp_path / "small.csv", small_rows()))


def test_a_frame_counts_until_the_next_one_and_the_last_like_the_one_before():
    assert frame_lengths(np.array([0.0, 0.1, 0.4, 0.5])) == pytest.approx([0.1, 0.3, 0.1, 0.1])


def test_no_frame_counts_for_longer_than_a_second_or_half_as_long_again_as_usual():
    assert frame_lengths(np.array([0.0, 0.1, 0.2, 9.0, 9.3])) == pytest.approx(
        [0.1, 0.1, 1.0, 0.3, 0.3]
    )
    assert frame_lengths(np.array([0.0, 2.0, 4.0, 14.0, 16.0])).tolist() == [2, 2, 3, 2, 2]
    assert frame_lengths(np.arange(4) * 2.0).tolist() == [2, 2, 2, 2]


def test_photos_and_nothing():
    assert frame_lengths(np.array([np.nan, np.nan])).tolist() == [1, 1]
    assert frame_lengths(np.zeros(0)).tolist() == []
    assert frame_lengths(np.array([3.0])).tolist() == [0]


def test_shares_are_of_the_time_seen_and_leave_out_what_was_bridged(small):
    first, second = (shares(small, person) for person in small.persons)
    assert first.seconds[[HAPPINESS, ANGER]] == pytest.approx([0.4, 0.3])
    assert (first.seen, first.bridged) == (pytest.approx(0.7), pytest.approx(0.1))
    assert first.parts[HAPPINESS] == pytest.approx(4 / 7)
    assert first.parts.sum() == pytest.approx(1)
    assert second.seconds[NEUTRAL] == pytest.approx(0.4) and second.parts[NEUTRAL] == 1


def test_events_count_seconds_by_the_same_rule(small):
    """Two rooms say how long each expression was seen: a page must not contradict itself."""
    uneven = crowd_of(2, 20, 10)
    t = uneven.t + np.where(uneven.t > 12, 30.0, 0) + 0.03 * np.sin(40 * uneven.t)
    people = tuple(replace(p, t=t[p.frame]) for p in uneven.persons)
    uneven = replace(uneven, t=t, persons=people, lengths=frame_lengths(t))
    for recording in (small, uneven):
        for person in recording.persons:
            person = replace(person, bridged=np.zeros_like(person.bridged))
            found = events(readings_of(person), recording.t.tolist(), shortest=0, merge=0)
            told = [sum(e.seconds for e in found if e.expression == name) for name in EIGHT]
            assert shares(recording, person).seconds.tolist() == pytest.approx(told)


def readings_of(person):
    for i, shown in enumerate(person.shown):
        yield Reading(
            float(person.t[i]),
            int(person.frame[i]),
            person.face_id,
            person.values[i],
            bridged=bool(person.bridged[i]),
            expression=EIGHT[shown],
        )


def test_columns_are_frames_where_there_are_few(small):
    by = columns(small, 10)
    assert by.start == pytest.approx(np.arange(10) / 10)
    assert by.end == pytest.approx(np.arange(1, 11) / 10)
    assert by.of_frame.tolist() == list(range(10))


def test_columns_put_neighbours_together(small):
    by = columns(small, 5)
    assert by.of_frame.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert by.start == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert by.end == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_column_without_frames_is_no_column():
    recording = crowd_of(1, 10, 10)
    t = np.concatenate([np.arange(10) / 10, 50 + np.arange(10) / 10])
    by = columns(
        type(recording)("x", "m", np.arange(20), t, (), (), frame_lengths(t)), 4
    )  # 50.9 s in four: frames lie in the first and the last
    assert by.of_frame.tolist() == [0] * 10 + [1] * 10
    assert by.start.tolist() == [0, 50]
    assert by.end == pytest.approx([1.9, 51.0])


def test_bins_are_means_over_time(small):
    found = bins(small, small.persons[0], columns(small, 5))
    assert found.column.tolist() == [0, 1, 3, 4]  # nobody in the third
    assert found.shown.tolist() == [HAPPINESS, HAPPINESS, ANGER, ANGER]
    assert found.probabilities.sum(axis=1) == pytest.approx([1] * 4, abs=3e-4)
    assert found.probabilities[:, ANGER] == pytest.approx([0.02, 0.02, 0.86, 0.86])
    assert found.frame.tolist() == [0, 2, 6, 8]
    assert found.bridged.tolist() == [False] * 4  # half of the fourth is not most of it


def test_a_mean_is_weighted_by_how_long_frames_count(tmp_path):
    rows = [row(0, 0.0, 1, "anger"), row(1, 0.35, 1, "fear"), row(2, 0.45, 1, "fear")]
    recording = read_recording(write_csv(tmp_path / "t.csv", rows))
    assert recording.lengths == pytest.approx([0.35, 0.1, 0.1])
    found = bins(recording, recording.persons[0], columns(recording, 1))
    assert found.probabilities[0, ANGER] == pytest.approx((0.35 * 0.86 + 0.2 * 0.02) / 0.55)
    assert found.shown.tolist() == [ANGER]  # 0.35 s against 0.2 s
    assert found.valence is None


def test_spans_and_gaps(small):
    by = columns(small, 10)
    found = bins(small, small.persons[0], by)
    told = [(s.start, s.end, s.expression, s.bridged) for s in spans(found, by)]
    assert told == [
        (0.0, 0.4, HAPPINESS, False),
        (0.6, 0.7, ANGER, False),
        (0.7, pytest.approx(0.8), ANGER, True),
        (0.8, 1.0, ANGER, False),
    ]
    assert gaps(found, by, small) == [(0.4, 0.6)]
    second = bins(small, small.persons[1], by)
    assert gaps(second, by, small) == [(0.2, 0.8)]


def test_the_gaps_of_somebody_late_reach_from_the_start_and_to_the_end(tmp_path):
    rows = [row(i, i / 10, 1, "anger") if i in (3, 4) else row(i, i / 10) for i in range(8)]
    rows = [{**r, "status": "ok" if r["expression"] else "no_face"} for r in rows]
    recording = read_recording(write_csv(tmp_path / "late.csv", rows))
    by = columns(recording, 100)
    found = bins(recording, recording.persons[0], by)
    assert gaps(found, by, recording) == [(0, 0.3), (pytest.approx(0.5), pytest.approx(0.8))]


def test_frames_with_a_face_leave_out_what_was_bridged(small):
    assert small.with_face == 8 - 1 + 0  # 0-3 and 6-9, of which 7 is bridged
    assert small.duration == pytest.approx(1.0)


def test_moments_go_on_through_bridged_frames_but_peak_at_a_sighting(tmp_path):
    rows = [row(i, i / 10, 1, "anger", top=0.5 + 0.01 * i) for i in range(10)]
    rows[9] |= {"status": "bridged"}
    rows[4] |= {"status": "bridged"}
    recording = read_recording(write_csv(tmp_path / "t.csv", rows))
    (moment,) = moments(recording)
    assert (moment.face_id, moment.expression) == (1, "anger")
    assert (moment.start, moment.end) == (0, pytest.approx(1.0))
    assert (moment.peak_t, moment.peak_frame) == (0.8, 8)
    assert moment.peak == pytest.approx(0.58)


def test_short_stretches_are_no_moments(small):
    assert moments(small, shortest=0.5) == []
    assert [m.expression for m in moments(small, shortest=0.2)] == [
        "happiness",
        "neutral",
        "anger",
        "neutral",
    ]


def test_peaks_take_turns_so_that_rare_expressions_are_shown():
    class Found:
        def __init__(self, face_id, expression, start, peak):
            self.face_id, self.expression = face_id, expression
            self.start, self.peak = start, peak

    often = [Found(0, "neutral", i, 0.9 + i / 100) for i in range(5)]
    rare = Found(0, "fear", 2.5, 0.4)
    assert peaks([*often, rare], 2) == [rare, often[4]]
    assert peaks([*often, rare], 3) == [rare, often[3], often[4]]


def test_an_hour_has_at_most_the_columns_asked_for():
    recording = crowd_of(1, 600, 30)
    by = columns(recording, 2000)
    assert len(by.start) == 2000 and by.width == pytest.approx(0.3)
    found = bins(recording, recording.persons[0], by)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(len(found.column)))
    assert found.valence == pytest.approx(0.6 * np.sin(found.t / 20), abs=0.01)

"""Moving pictures through real detector and classifier, on frames made of the example photos."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from synthetic_people import portrait, scene, walk

from mien.errors import UsageError
from mien.pipeline import Analyzer
from mien.stream import Motion, analyze_stream, read, smooth
from mien.types import Faces, Frame, Unreadable
from mien.video.keyframes import Seen

FPS = 25


def frames_of(pictures):
    for i, rgb in enumerate(pictures):
        yield Frame("clip", rgb, rgb.shape[1], rgb.shape[0], index=i, t_sec=i / FPS)


@pytest.fixture(scope="module")
def analyzer():
    return Analyzer()


@pytest.fixture(scope="module")
def pictures(examples):
    """A smiling head that walks, and is gone for four frames."""
    return walk(examples / "obama.jpg", 40, gone=range(20, 24))


@pytest.fixture(scope="module")
def told(analyzer, pictures):
    return list(analyze_stream(frames_of(pictures), analyzer))


def test_one_result_a_frame_with_its_time(told):
    assert [r.frame for r in told] == list(range(40))
    assert [r.t_sec for r in told] == pytest.approx([i / FPS for i in range(40)])
    assert {r.status for r in told} == {"ok"}


def test_one_person_keeps_one_id_and_smiles(told):
    assert {f.face_id for r in told for f in r.faces} == {0}
    assert all(r.faces[0].smoothed.expression == "happiness" for r in told)
    assert np.mean([r.faces[0].probabilities["happiness"] for r in told]) > 0.8


def test_a_short_gap_is_bridged_and_nothing_else(told):
    assert [r.frame for r in told if r.faces[0].bridged] == [20, 21, 22, 23]


def test_boxes_follow_the_head(told):
    """It moves a pixel a frame to the right."""
    x = np.array([r.faces[0].box[0] for r in told])
    slope = np.polyfit(np.arange(40), x, 1)[0]
    assert slope == pytest.approx(1.0, abs=0.06)
    assert np.abs(np.diff(x)).max() < 6


def test_the_same_with_threads_and_without(analyzer, pictures, told):
    alone = list(analyze_stream(frames_of(pictures), analyzer, Motion(overlap=False)))
    assert alone == told


def test_as_often_searched_as_asked_for(analyzer, pictures):
    searched = []

    class Counted:
        classifier, crops, result = analyzer.classifier, analyzer.crops, analyzer.result
        find_near = None  # not to be used where it is said how often to search

        def find(self, frame):
            searched.append(frame.index)
            return analyzer.find(frame)

    list(analyze_stream(frames_of(pictures[:11]), Counted(), Motion(detect_every=5)))
    assert searched == [0, 5, 10]


def test_the_readings_are_those_of_the_single_pictures_where_they_were_searched(analyzer, pictures):
    told = list(analyze_stream(frames_of(pictures[:5]), analyzer, Motion(detect_every=1, smooth=0)))
    for result, frame in zip(told, frames_of(pictures[:5]), strict=True):
        alone = analyzer.observe(frame)
        assert [replace(f, face_id=0) for f in result.faces] == list(alone.faces)
        assert result.faces[0].smoothed is None


def test_two_people_keep_their_ids(analyzer, examples):
    left, right = (portrait(examples / f"{name}.jpg", 80) for name in ("obama", "biden"))
    pictures = [
        scene((left, 10 + 0.5 * i, 20), (right, 170 - 0.5 * i, 20), size=(260, 120))
        for i in range(20)
    ]
    told = list(analyze_stream(frames_of(pictures), analyzer))
    boxes = {n: [f.box[0] for r in told for f in r.faces if f.face_id == n] for n in (0, 1)}
    assert [len(b) for b in boxes.values()] == [20, 20]
    ways = sorted(float(np.polyfit(np.arange(20), b, 1)[0]) for b in boxes.values())
    assert ways == pytest.approx([-0.5, 0.5], abs=0.15)


def test_what_could_not_be_read_keeps_its_place(analyzer, pictures):
    frames = list(frames_of(pictures[:6]))
    told = list(analyze_stream([*frames[:3], Unreadable("clip", "damaged"), *frames[3:]], analyzer))
    assert [r.status for r in told] == ["ok"] * 3 + ["unreadable"] + ["ok"] * 3
    assert told[3].error == "damaged"


def test_frames_whose_times_run_back_are_left_out_and_told_once(analyzer):
    rgb = scene()
    times = [0.0, 0.1, 0.2, 0.05, 0.06, 0.3, 0.25]
    frames = [Frame("clip", rgb, 200, 150, index=i, t_sec=t) for i, t in enumerate(times)]
    told = list(analyze_stream(frames, analyzer))
    assert [r.status == "unreadable" for r in told] == [False, False, False, True, False, True]
    assert [r.frame for r in told if r.status != "unreadable"] == [0, 1, 2, 5]
    assert "from 0.200 s to 0.050 s" in told[3].error


def test_frames_without_a_face_and_no_frames_at_all(analyzer):
    empty = [scene() for _ in range(3)]
    assert [r.status for r in analyze_stream(frames_of(empty), analyzer)] == ["no_face"] * 3
    assert list(analyze_stream([], analyzer)) == []


def test_faces_of_several_frames_are_read_in_one_run(analyzer, pictures):
    seen = [
        Seen(frame, analyzer.find(frame), (0,), looked=True) for frame in frames_of(pictures[:8])
    ]
    runs = []

    class Counted:
        crops, result = analyzer.crops, analyzer.result

        def classifier(self, crops):
            runs.append(len(crops))
            return analyzer.classifier(crops)

    together = list(read(seen, Counted(), at_once=16))
    assert runs == [8]
    one_by_one = list(read(seen, Counted(), at_once=1))
    assert runs == [8] + [1] * 8
    for a, b in zip(together, one_by_one, strict=True):
        assert a.faces[0].probabilities == pytest.approx(b.faces[0].probabilities, abs=1e-5)


def test_smoothed_readings_stand_beside_the_raw_ones(analyzer, pictures):
    """The first is as it was; a step is covered by 1 - 1/e within the time constant."""
    results = list(analyze_stream(frames_of(pictures[:2]), analyzer, Motion(smooth=0)))
    first, second = results[0].faces[0], results[1].faces[0]
    tenth = Motion(smooth=1 / FPS)
    out = [r.faces[0] for r in smooth(results, tenth)]
    assert out[0].smoothed.probabilities == pytest.approx(first.probabilities, abs=1e-6)
    for label, raw in second.probabilities.items():
        before = first.probabilities[label]
        wanted = before + (1 - np.exp(-1)) * (raw - before)
        assert out[1].smoothed.probabilities[label] == pytest.approx(wanted, abs=1e-6)
    assert [replace(f, smoothed=None) for f in out] == [first, second]


def test_what_is_smoothed_is_uncertain_by_its_own_probability(analyzer, pictures):
    results = list(analyze_stream(frames_of(pictures[:2]), analyzer, Motion(smooth=0)))
    evened = [r.faces[0].smoothed for r in smooth(results, Motion(smooth=1 / FPS))]
    parts = [one.probability for one in evened]
    assert parts[0] != parts[1]
    middle = sum(parts) / 2
    asked = []

    def threshold():
        asked.append(1)
        return middle

    empty = [replace(result, faces=()) for result in results]
    assert len(list(smooth(empty, Motion(smooth=1 / FPS), threshold))) == 2 and not asked
    found = [r.faces[0] for r in smooth(results, Motion(smooth=1 / FPS), threshold)]
    assert [f.smoothed.uncertain for f in found] == [part < middle for part in parts]
    assert [f.uncertain for f in found] == [False, False]  # as they were read


def test_stopping_early_ends_the_threads(analyzer, pictures):
    before = threading.active_count()
    stream = analyze_stream(frames_of(pictures), analyzer)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_an_error_of_a_stage_comes_out(analyzer):
    def frames():
        yield from frames_of([scene()])
        raise RuntimeError("the camera fell")

    with pytest.raises(RuntimeError, match="the camera fell"):
        list(analyze_stream(frames(), analyzer))


@pytest.mark.parametrize("wrong", [{"detect_every": -1}, {"gap": -0.1}, {"smooth": float("nan")}])
def test_motion_refuses_what_makes_no_sense(wrong):
    with pytest.raises(UsageError):
        Motion(**wrong)


def test_no_faces_is_no_crash_in_pick():
    assert (
        len(Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)).pick(np.array([], int)))
        == 0
    )

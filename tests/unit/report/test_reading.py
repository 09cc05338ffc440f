"""Tables become recordings, or an error that names the file and the line."""

import json

import numpy as np
import pytest
from observations import UNDECODABLE, face, no_face, ok, unreadable
from synthetic_recording import row, small_rows, write_csv

from mien.errors import DataError, UsageError
from mien.io.sinks import open_sink
from mien.labels import EIGHT
from mien.report.reading import read_recording
from mien.report.table import COLUMNS, VIDEO_COLUMNS
from mien.types import Smoothed


def smoothed(expression, probability):
    rest = (1 - probability) / 7
    shares = {label: probability if label == expression else rest for label in EIGHT}
    return Smoothed(expression, probability, shares, 0.25, -0.5)


def observations():
    """Four frames: a face, the same with a smoothed reading, it bridged, and one without."""
    second = face("anger", probability=0.5, smoothed=smoothed("happiness", 0.72))
    return [
        ok("clip.mp4", face(), frame=0, t_sec=0.5),
        ok("clip.mp4", second, frame=1, t_sec=0.54),
        ok("clip.mp4", face("fear", bridged=True), frame=2, t_sec=0.58),
        no_face("clip.mp4").__class__("clip.mp4", "no_face", 320, 240, "tiny", frame=3, t_sec=0.62),
    ]


@pytest.fixture(params=["csv", "jsonl", "json", "parquet"])
def kind(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def written(path, kind, told, columns=VIDEO_COLUMNS):
    with open_sink(kind, path, columns) as sink:
        for observation in told:
            sink.write(observation)
    return path


def test_every_format_says_the_same(tmp_path, kind):
    recording = read_recording(written(tmp_path / f"t.{kind}", kind, observations()))
    assert (recording.source, recording.model, recording.timed) == ("clip.mp4", "tiny", True)
    assert recording.frame.tolist() == [0, 1, 2, 3]
    assert recording.t == pytest.approx([0.5, 0.54, 0.58, 0.62])
    (person,) = recording.persons
    assert (person.face_id, person.frame.tolist()) == (0, [0, 1, 2])
    assert person.bridged.tolist() == [False, False, True]
    assert [EIGHT[i] for i in person.shown] == ["happiness", "happiness", "fear"]
    assert person.probabilities[1, EIGHT.index("anger")] == 0.5
    assert person.values[1, EIGHT.index("happiness")] == 0.72
    assert person.values[0].tolist() == person.probabilities[0].tolist()  # nothing smoothed there
    assert person.valence[1] == 0.25 and person.arousal[1] == -0.5
    assert np.isnan(person.valence[0])
    assert person.boxes[0].tolist() == [10, 20, 110, 140]


def test_photos_are_one_set_of_faces(tmp_path, kind):
    told = [
        ok("a.jpg", face(), face("anger", face_id=1)),
        no_face("b.jpg"),
        unreadable("c.jpg", "the file is empty"),
        ok("d.jpg", face("fear", face_id=0)),
    ]
    recording = read_recording(written(tmp_path / f"t.{kind}", kind, told))
    assert recording.source == "4 photos" and not recording.timed
    (person,) = recording.persons
    assert person.face_id is None and person.name == "All faces"
    assert [EIGHT[i] for i in person.shown] == ["happiness", "anger", "fear"]
    assert person.frame.tolist() == [0, 0, 2]
    assert (recording.with_face, len(recording.frame)) == (2, 3)
    assert len(recording.breaks) == 1 and recording.lengths.tolist() == [1, 1, 1]
    assert person.smoothed is None and person.valence is None


def test_a_table_of_photos_without_the_columns_of_video(tmp_path):
    path = written(tmp_path / "t.csv", "csv", [ok("a.jpg", face())], COLUMNS)
    assert read_recording(path).source == "a.jpg"


def test_a_name_that_is_not_text(tmp_path):
    recording = read_recording(written(tmp_path / "t.csv", "csv", [ok(UNDECODABLE)]))
    assert recording.source == "caf\\udce9 \\udcff.jpg"


def test_people_and_their_frames(tmp_path):
    recording = read_recording(write_csv(tmp_path / "t.csv", reversed(small_rows())))
    assert [p.face_id for p in recording.persons] == [1, 2]
    assert recording.persons[0].frame.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert recording.persons[0].bridged.tolist() == [False] * 5 + [True, False, False]
    assert recording.persons[1].t == pytest.approx([0, 0.1, 0.8, 0.9])


def test_a_stretch_that_could_not_be_read(tmp_path):
    rows = small_rows()
    bad = row(0, "", status="unreadable", error="broke off after 0.3 s")
    recording = read_recording(write_csv(tmp_path / "t.csv", [*rows[:6], bad, *rows[6:]]))
    (gap,) = recording.breaks
    assert (gap.start, gap.reason) == (0.3, "broke off after 0.3 s")
    assert gap.end == 0.4
    assert len(recording.frame) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "fine"}, "status 'fine' is none of ok, bridged, no_face, unreadable"),
        ({"anger": "a lot"}, "anger is 'a lot', not a number"),
        ({"anger": "nan"}, "anger is 'nan'; an unknown number is an empty cell"),
        ({"anger": 1.5}, "anger is 1.5, not a probability"),
        ({"expression": "bored"}, "expression 'bored' is none of neutral"),
        ({"face_id": ""}, "a face without a face_id"),
        (dict.fromkeys(EIGHT, ""), "a face without probabilities"),
        ({"frame": 2.5}, "a whole number as its frame"),
        ({"t_sec": 7}, "frame 2 has two times, 0.2 and 7 s"),
        ({}, "face 1 is there twice in frame 2"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, change, words):
    rows = [row(i, i / 10, 1, "anger") for i in range(4)]
    rows.insert(3, {**rows[2], **change})
    path = write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(DataError) as told:
        read_recording(path)
    assert f"{path}, line 5: " in str(told.value) and words in str(told.value)


def test_times_that_do_not_rise(tmp_path):
    rows = [row(i, t, 1, "anger") for i, t in enumerate((0.0, 0.2, 0.1))]
    with pytest.raises(DataError, match="do not rise with the frames at frame 2"):
        read_recording(write_csv(tmp_path / "t.csv", rows))


def test_other_files(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="the column 'source' is missing"):
        read_recording(path)
    path.write_text(",".join(VIDEO_COLUMNS) + "\n")
    with pytest.raises(DataError, match="the table has no rows"):
        read_recording(path)
    path.write_text(",".join(VIDEO_COLUMNS) + "\nclip.mp4,0\n")
    with pytest.raises(DataError, match="line 2: 2 cells, the header has 39"):
        read_recording(path)
    path.write_text("a" * 200_000)
    with pytest.raises(DataError, match="line 1: field larger than field limit"):
        read_recording(path)
    with pytest.raises(UsageError, match="a table ends in"):
        read_recording(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="cannot be read"):
        read_recording(tmp_path / "none.csv")


def test_json_that_is_none_of_ours(tmp_path):
    path = tmp_path / "t.jsonl"
    good = {"source": "a", "status": "no_face", "model": "m"}
    path.write_text(json.dumps(good) + "\n[1]\n")
    with pytest.raises(DataError, match=r"line 2: not an object of mien's"):
        read_recording(path)
    path.write_text(json.dumps(good) + "\n\n{oops\n")
    with pytest.raises(DataError, match=r"line 3: not JSON"):
        read_recording(path)
    path.write_text(json.dumps({**good, "status": "ok", "faces": [{"face_id": 1}]}))
    with pytest.raises(DataError, match=r"line 1: a face without probabilities"):
        read_recording(path)


def test_several_videos_are_told_apart_by_their_name(tmp_path):
    rows = [row(i, i / 10, 1, "anger") for i in range(3)]
    other = [row(i, i / 5, 1, "fear", source="b.mp4") for i in range(2)]
    path = write_csv(tmp_path / "t.csv", rows + other)
    with pytest.raises(UsageError, match=r"choose one by --source: clip\.mp4, b\.mp4"):
        read_recording(path)
    assert read_recording(path, source="b.mp4").t == pytest.approx([0, 0.2])
    with pytest.raises(DataError, match=r"no row with the source 'c\.mp4'"):
        read_recording(path, source="c.mp4")

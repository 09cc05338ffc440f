"""The schema other programs are written against. Change an expectation here only on purpose."""

import json

import numpy as np
import pytest
from observations import UNDECODABLE, face, no_face, ok, one_of_each, unreadable

from mien.pipeline import describe
from mien.report.table import (
    COLUMNS,
    SCHEMA,
    VIDEO_COLUMNS,
    dataframe,
    marked,
    rows,
    to_dict,
)
from mien.types import Faces, Observation, Scores, Smoothed

PLAIN = (str, int, float, type(None), list, dict)


def test_the_columns():
    assert COLUMNS == (
        "source",
        "frame",
        "t_sec",
        "face_id",
        "status",
        "box_x0",
        "box_y0",
        "box_x1",
        "box_y1",
        "face_score",
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
        "expression",
        "probability",
        "valence",
        "arousal",
        "model",
        "schema",
        "uncertain",
    )
    assert SCHEMA == 1


def test_the_object_of_a_photo():
    photo = ok("photo.jpg", face(box=(10, 20.04, 110.26, 140), valence=0.71239, arousal=-0.3))
    assert to_dict(photo) == {
        "schema": 1,
        "source": "photo.jpg",
        "status": "ok",
        "width": 800,
        "height": 600,
        "model": "tiny",
        "faces": [
            {
                "face_id": 0,
                "box": [10.0, 20.0, 110.3, 140.0],
                "face_score": 0.9877,
                "expression": "happiness",
                "probability": 0.93,
                "probabilities": {
                    "neutral": 0.01,
                    "happiness": 0.93,
                    "surprise": 0.01,
                    "sadness": 0.01,
                    "anger": 0.01,
                    "disgust": 0.01,
                    "fear": 0.01,
                    "contempt": 0.01,
                },
                "valence": 0.7124,
                "arousal": -0.3,
            }
        ],
    }


def test_the_order_of_keys_is_part_of_the_schema():
    told = to_dict(ok())
    assert list(told) == ["schema", "source", "status", "width", "height", "model", "faces"]
    assert list(told["faces"][0]) == [
        "face_id",
        "box",
        "face_score",
        "expression",
        "probability",
        "probabilities",
        "valence",
        "arousal",
    ]
    assert list(told["faces"][0]["probabilities"]) == list(COLUMNS[10:18])


def test_objects_without_faces():
    assert to_dict(no_face("street.png")) == {
        "schema": 1,
        "source": "street.png",
        "status": "no_face",
        "width": 320,
        "height": 240,
        "model": "tiny",
        "faces": [],
    }
    assert to_dict(unreadable("x.jpg", "the file is empty")) == {
        "schema": 1,
        "source": "x.jpg",
        "status": "unreadable",
        "width": 0,
        "height": 0,
        "model": "tiny",
        "faces": [],
        "error": "the file is empty",
    }


@pytest.mark.parametrize("observation", one_of_each(), ids=ascii)
def test_json_takes_every_object(observation):
    told = to_dict(observation)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_a_classifier_says_becomes_native_numbers():
    boxes = np.array([[1.26, 2, 33, 44.04]], np.float32)
    shares = np.array([[0.25, 0.75]], np.float32)
    affect = np.array([0.5], np.float32)
    scores = Scores(shares, ("neutral", "happiness"), affect, affect)
    faces = describe(Faces(boxes, np.array([0.9], np.float32)), scores)
    observation = Observation("a.jpg", "ok", 64, 64, "tiny", faces)
    told = to_dict(observation)
    assert told["faces"][0]["box"] == [1.3, 2.0, 33.0, 44.0]
    assert told["faces"][0]["face_score"] == 0.9
    assert told["faces"][0]["probabilities"] == {"neutral": 0.25, "happiness": 0.75}
    assert {type(value) for value in leaves(told)} <= set(PLAIN)
    assert {type(value) for row in rows(observation) for value in row.values()} <= set(PLAIN)


def leaves(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield value
    for item in inner:
        yield from leaves(item)


def test_a_row_a_face():
    first, second = rows(one_of_each()[1])
    assert list(first) == list(second) == list(COLUMNS)
    assert (first["face_id"], second["face_id"]) == (0, 1)
    assert (first["frame"], first["t_sec"]) == (second["frame"], second["t_sec"]) == (12, 0.48)
    assert [second[f"box_{side}"] for side in ("x0", "y0", "x1", "y1")] == [1.3, 2.0, 3.0, 4.0]
    assert (second["expression"], second["probability"], second["anger"]) == ("anger", 0.5, 0.5)
    assert second["happiness"] == 0.0714
    assert (first["valence"], second["valence"]) == (0.7124, None)


def test_what_is_uncertain_is_said_where_it_is():
    smoothed = Smoothed("fear", 0.4, {"fear": 0.4, "neutral": 0.6}, uncertain=True)
    photo = ok("a.jpg", face(uncertain=True), face(face_id=1), face(face_id=2, smoothed=smoothed))
    told = to_dict(photo)["faces"]
    assert told[0]["uncertain"] is True and list(told[0])[-1] == "uncertain"
    assert "uncertain" not in told[1] and "uncertain" not in told[2]
    assert told[2]["smoothed"]["uncertain"] is True
    table = rows(photo, VIDEO_COLUMNS)
    assert [row["uncertain"] for row in table] == [1, 0, 0]
    assert [row["smooth_uncertain"] for row in table] == [None, None, 1]
    assert [type(row["uncertain"]) for row in table] == [int] * 3
    assert [marked(one) for one in photo.faces] == ["happiness?", "happiness", "happiness"]
    assert marked(smoothed) == "fear?"


def test_a_videos_columns_are_the_photos_and_more():
    assert VIDEO_COLUMNS[: len(COLUMNS)] == COLUMNS
    assert VIDEO_COLUMNS[len(COLUMNS) :] == (
        "smooth_expression",
        "smooth_probability",
        "smooth_valence",
        "smooth_arousal",
        *(f"smooth_{label}" for label in COLUMNS[10:18]),
        "smooth_uncertain",
        "error",
    )


@pytest.mark.parametrize("observation", [no_face(), unreadable()])
def test_one_row_for_a_picture_without_faces(observation):
    (row,) = rows(observation)
    assert list(row) == list(COLUMNS)
    filled = {name: value for name, value in row.items() if value is not None}
    assert filled == {
        "source": observation.source,
        "frame": 0,
        "status": observation.status,
        "model": "tiny",
        "schema": 1,
    }


def test_a_data_frame():
    pd = pytest.importorskip("pandas")
    table = dataframe(one_of_each()[:4])
    assert list(table.columns) == list(COLUMNS)
    assert list(table["status"]) == ["ok", "ok", "ok", "no_face", "unreadable"]
    assert list(table["happiness"].iloc[:2]) == [0.93, 0.93]
    assert table["face_id"].iloc[2] == 1 and table["face_id"].iloc[3] is pd.NA
    assert str(table["face_id"].dtype) == str(table["frame"].dtype) == "Int64"
    assert table["uncertain"].iloc[0] == 0 and table["uncertain"].iloc[3] is pd.NA
    assert str(table["valence"].dtype) == "float64" and table["valence"].isna().sum() == 4
    assert table["expression"].isna().tolist() == [False, False, False, True, True]


def test_an_empty_data_frame_has_its_columns_and_types():
    pytest.importorskip("pandas")
    table = dataframe([])
    assert list(table.columns) == list(COLUMNS) and len(table) == 0
    assert str(table["probability"].dtype) == "float64"


def test_a_data_frame_takes_names_that_are_not_text():
    pytest.importorskip("pandas")
    table = dataframe([no_face(UNDECODABLE)])
    assert table["source"].iloc[0] == "caf\\udce9 \\udcff.jpg"

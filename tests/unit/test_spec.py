import json
from dataclasses import asdict, replace

import pytest
from tiny_model import make_spec

from mien.errors import ModelError
from mien.labels import EIGHT, SEVEN
from mien.spec import FORMAT, KEY, AnswerSpec, ModelSpec


def read(raw):
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return ModelSpec.from_metadata({KEY: text}, "some.onnx")


def full_spec():
    rule = AnswerSpec({"ferplus": 0.7, "fer2013": 0.3}, {"ferplus": 0.5}, 1.25, "measured")
    return make_spec(
        answer=rule,
        metrics={"ferplus_accuracy": 0.81},
        training_data=("FER2013", "FER+ — voté"),
        intended_use="research",
        seed=7,
        commit="abc",
    )


def test_round_trip():
    spec = full_spec()
    again = ModelSpec.from_metadata({KEY: spec.to_json(), "other": "x"}, "some.onnx")
    assert again == spec
    assert [head.labels for head in again.heads] == [EIGHT, SEVEN]
    assert again.training_data[1] == "FER+ — voté"
    assert again.to_json() == spec.to_json()


def test_the_text_is_plain_json():
    raw = json.loads(full_spec().to_json())
    assert raw["format"] == FORMAT == 1
    assert raw["input"] == {"size": 16, "channels": 1, "crop": "square-v1", "std_floor": 8.0}
    assert raw["heads"][1]["labels"] == list(SEVEN)
    assert raw["answer"]["weights"] == {"ferplus": 0.7, "fer2013": 0.3}


def test_no_metadata_names_the_file_and_the_cure():
    with pytest.raises(ModelError, match=r"some\.onnx.*mien export"):
        ModelSpec.from_metadata({"author": "someone"}, "some.onnx")


def spoilt(**changes):
    return {**asdict(full_spec()), **changes}


def without(key):
    return {k: v for k, v in asdict(full_spec()).items() if k != key}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "not json",
        "[]",
        "null",
        "3",
        without("heads"),
        without("input"),
        without("answer"),
        without("name"),
        without("parameters"),
        spoilt(heads=3),
        spoilt(heads=[{"name": "ferplus"}]),
        spoilt(heads=["ferplus"]),
        spoilt(input={"size": 16}),
        spoilt(input=None),
        spoilt(answer={"weight": {}}),
        spoilt(surplus=1),
    ],
    ids=str,
)
def test_damage_is_a_model_error_that_names_the_file(raw):
    with pytest.raises(ModelError, match=r"some\.onnx"):
        read(raw)


@pytest.mark.parametrize("number", [0, 2, None, "1"])
def test_another_format_is_not_read(number):
    with pytest.raises(ModelError, match=f"format {number}, this mien reads 1"):
        read(spoilt(format=number))


def test_a_head_by_name():
    spec = full_spec()
    assert spec.head("fer2013") is spec.heads[1]
    with pytest.raises(ModelError, match="no head 'affect'; it has ferplus, fer2013"):
        spec.head("affect")


def test_a_changed_spec_is_another():
    spec = full_spec()
    assert replace(spec, seed=8) != spec

import json
from dataclasses import asdict, replace

import pytest
from tiny_model import make_spec

from mien.errors import ModelError
from mien.labels import EIGHT, SEVEN
from mien.spec import FORMAT, KEY, AffectMap, AnswerSpec, HeadSpec, ModelSpec

PLACES = {label: (i / 8, -i / 16) for i, label in enumerate(EIGHT)}


def read(raw):
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return ModelSpec.from_metadata({KEY: text}, "some.onnx")


def full_spec():
    rule = AnswerSpec({"ferplus": 0.7, "fer2013": 0.3}, {"ferplus": 0.5}, 1.25, "measured",
                      priors={"fer2013": (0.4, *[0.1] * 6)}, balance="fer2013")  # fmt: skip
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


def test_files_from_before_there_were_measured_priors_divide_training_shares_out():
    raw = asdict(full_spec())
    for name in ("priors", "balance"):
        del raw["answer"][name]
    rule = read(raw).answer
    assert (rule.priors, rule.balance, rule.temperature) == ({}, "", 1.25)


@pytest.mark.parametrize("parts", [[0.5, 0.5], [1 / 8] * 8, [0.0, *[1 / 6] * 6], [-1.0] * 7])
def test_priors_that_do_not_fit_their_head_are_damage(parts):
    raw = asdict(full_spec())
    raw["answer"]["priors"] = {"fer2013": parts}
    with pytest.raises(ModelError, match=r"some\.onnx.*priors of fer2013"):
        read(raw)


def test_priors_of_a_head_that_is_not_there_are_damage():
    raw = asdict(full_spec())
    raw["answer"]["priors"] = {"rafdb": [1 / 7] * 7}
    with pytest.raises(ModelError, match=r"some\.onnx.*rafdb"):
        read(raw)


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
        spoilt(affect=3),
        spoilt(affect={"head": "answer", "positions": PLACES}),
        spoilt(affect={"head": "answer", "positions": {"fear": [0.1]}, "source": "here"}),
        spoilt(affect={"head": "answer", "positions": {"fear": [0.1, 1.5]}, "source": "here"}),
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


def test_a_map_and_a_threshold_come_back():
    rule = AnswerSpec({"ferplus": 1.0}, {}, threshold=0.5, certain=0.8)
    spec = replace(full_spec(), affect=AffectMap("answer", PLACES, "a table"), answer=rule)
    again = read(spec.to_json())
    assert again == spec
    assert again.affect.positions["contempt"] == (7 / 8, -7 / 16)
    assert (again.answer.threshold, again.answer.certain) == (0.5, 0.8)


def test_a_file_from_before_there_were_maps_and_thresholds_is_read():
    raw = asdict(full_spec())
    del raw["affect"], raw["answer"]["threshold"], raw["answer"]["certain"]
    spec = read(raw)
    assert spec == full_spec()
    assert spec.affect is None and not spec.has_affect and spec.affect_kind == ""
    assert spec.answer.threshold == 0 and spec.uncertain_kind == ""


def test_where_valence_and_arousal_come_from():
    mapped = replace(full_spec(), affect=AffectMap("answer", PLACES, "a table"))
    assert mapped.has_affect
    assert mapped.affect_kind == (
        "position of the expressions on the circumplex (a table), not trained on ratings"
    )
    trained = replace(mapped, heads=(*mapped.heads, HeadSpec("affect", ("valence", "arousal"))))
    assert trained.has_affect and trained.affect_kind == "a head trained on ratings"


def test_which_answers_are_uncertain():
    rule = AnswerSpec({"ferplus": 1.0}, {}, threshold=0.4375, certain=0.85)
    assert replace(full_spec(), answer=rule).uncertain_kind == (
        "answers below 0.44; of the others at least 85% were right on validation faces"
    )

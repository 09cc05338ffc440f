"""Which data set and which head a metric's key is of."""

import pytest

from mien.report.measured import VALIDATION, sort_metrics

HEADS = ("fer2013", "ferplus", "affectnet", "affect", "answer")


def sorted_one(key):
    """The kind, set, head or output, and measure that a single key is sorted under."""
    told = sort_metrics({key: 0.5}, HEADS)
    found = [
        (kind, name, head, measure)
        for name, part in told.sets.items()
        for kind, groups in (("head", part.heads), ("affect", part.affect))
        for head, measures in groups.items()
        for measure, value in measures.items()
        if value == 0.5
    ]
    found += [("speed", measure) for measure in told.speed] + [("other", k) for k in told.others]
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("fer2013_accuracy", ("head", VALIDATION, "fer2013", "accuracy")),
        ("answer_recall_fear", ("head", VALIDATION, "answer", "recall_fear")),
        ("affectnet_n", ("head", VALIDATION, "affectnet", "n")),
        ("affectnet_answer_accuracy", ("head", "affectnet", "answer", "accuracy")),
        ("affectnet_affectnet_ece", ("head", "affectnet", "affectnet", "ece")),
        ("ckplus_ferplus_macro_f1", ("head", "ckplus", "ferplus", "macro_f1")),
        ("my_own_set_answer_n", ("head", "my_own_set", "answer", "n")),
        ("affect_valence_ccc", ("affect", VALIDATION, "valence", "ccc")),
        ("arousal_rmse", ("affect", VALIDATION, "arousal", "rmse")),
        ("affectnet_valence_ccc", ("affect", "affectnet", "valence", "ccc")),
        ("affectnet_affect_arousal_n", ("affect", "affectnet", "arousal", "n")),
        ("affectnet_answer_valence_pcc", ("affect", "affectnet", "valence", "pcc")),
        ("speed_batch1_ms", ("speed", "batch1_ms")),
        ("carbon", ("other", "carbon")),
        ("answered", ("other", "answered")),
    ],
)
def test_every_form_of_key(key, wanted):
    assert sorted_one(key) == wanted


def test_validation_comes_first_and_the_rest_keeps_its_order():
    keys = ("rafdb_answer_n", "fer2013_n", "affectnet_answer_n", "fer2013_accuracy")
    told = sort_metrics({key: float(i) for i, key in enumerate(keys)}, HEADS)
    assert list(told.sets) == [VALIDATION, "rafdb", "affectnet"]
    assert told.sets[VALIDATION].heads == {"fer2013": {"n": 1.0, "accuracy": 3.0}}


def test_nothing_measured():
    told = sort_metrics({}, HEADS)
    assert (told.sets, told.speed, told.others) == ({}, {}, {})

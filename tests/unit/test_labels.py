import itertools
import re

import pytest

from mien.errors import MienError, UsageError
from mien.labels import (
    ALIASES,
    CIRCUMPLEX,
    COLOURS,
    EIGHT,
    FER2013_CODES,
    LABEL_SETS,
    SEVEN,
    canonical,
)


def test_the_order_is_that_of_ferplus():
    assert EIGHT == (
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
    )
    assert EIGHT[:-1] == SEVEN
    assert LABEL_SETS == {"ferplus": EIGHT, "fer2013": SEVEN}


def test_the_numbers_in_fer2013s_files():
    assert dict(enumerate(FER2013_CODES)) == {
        0: "anger",
        1: "disgust",
        2: "fear",
        3: "happiness",
        4: "sadness",
        5: "surprise",
        6: "neutral",
    }
    assert sorted(FER2013_CODES) == sorted(SEVEN)


@pytest.mark.parametrize("label", EIGHT)
def test_canonical_names_stay(label):
    assert canonical(label) == label
    assert canonical(f"\t{label.upper()} \n") == label


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("happy", "happiness"),
        ("joy", "happiness"),
        ("scared", "fear"),
        ("afraid", "fear"),
        ("fearful", "fear"),
        ("angry", "anger"),
        ("sad", "sadness"),
        ("surprised", "surprise"),
        ("disgusted", "disgust"),
        ("contemptuous", "contempt"),
        ("calm", "neutral"),
        ("  Happy ", "happiness"),
    ],
)
def test_aliases(said, meant):
    assert canonical(said) == meant


def test_no_alias_is_a_label_and_each_leads_to_one():
    assert not set(ALIASES) & set(EIGHT)
    assert set(ALIASES.values()) <= set(EIGHT)


@pytest.mark.parametrize("word", ["", "happyness", "angr y", "0", "neutral,happiness"])
def test_other_words_are_refused_with_those_that_are_known(word):
    with pytest.raises(UsageError, match="contempt") as caught:
        canonical(word)
    assert repr(word) in str(caught.value)
    assert isinstance(caught.value, MienError | ValueError)


def test_every_label_has_a_place_on_the_circumplex():
    assert tuple(CIRCUMPLEX) == EIGHT
    assert len(set(CIRCUMPLEX.values())) == 8
    assert all(-1 <= value <= 1 for place in CIRCUMPLEX.values() for value in place)
    pleasant = [label for label, (valence, _) in CIRCUMPLEX.items() if valence > 0]
    calm = [label for label, (_, arousal) in CIRCUMPLEX.items() if arousal < 0]
    assert (pleasant, calm) == (["happiness", "surprise"], ["sadness"])
    assert CIRCUMPLEX["neutral"] == (0, 0)


def test_every_label_has_a_colour_of_its_own():
    assert tuple(COLOURS) == EIGHT
    assert len(set(COLOURS.values())) == 8
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in COLOURS.values())


def test_colours_are_far_apart():
    rgb = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS.values()]
    gaps = [sum(abs(a - b) for a, b in zip(p, q, strict=True)) for p, q in _pairs(rgb)]
    assert min(gaps) >= 60


def _pairs(items):
    return itertools.combinations(items, 2)

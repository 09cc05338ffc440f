"""FER+ votes become targets: rows worked out by hand from the published rules."""

import os
from pathlib import Path

import numpy as np
import pytest

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.train.data import fer2013, ferplus
from mien.train.data.tables import csv_rows

UNKNOWN, NF = 8, 9
RULES = ("majority", "probability", "crossentropy", "multi_target")


def votes(**counts):
    """A row of ten counts, by label."""
    row = [0] * 10
    for label, n in counts.items():
        row[{"unknown": UNKNOWN, "nf": NF}.get(label) or EIGHT.index(label)] = n
    return row


def target(rule, **counts):
    """What one row becomes: a dictionary of the labels that got anything."""
    (row,) = ferplus.targets(np.array([votes(**counts)]), rule)
    return {label: pytest.approx(float(v)) for label, v in zip(EIGHT, row, strict=True) if v}


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"anger": 10}, {"anger": 1}),
        ({"anger": 6, "fear": 4}, {"anger": 1}),
        ({"anger": 5, "fear": 5}, {}),
        ({"anger": 5, "fear": 3, "sadness": 2}, {}),  # half is not more than half
        ({"anger": 4, "fear": 2, "sadness": 1, "neutral": 1, "disgust": 1, "surprise": 1}, {
            "anger": 1  # 4 of the 6 that are left when single votes are gone
        }),
        ({"unknown": 6, "anger": 4}, {}),
        ({"nf": 10}, {}),
        ({"anger": 4, "fear": 3, "nf": 3}, {}),
        ({"contempt": 7, "unknown": 3}, {"contempt": 1}),
    ],
)  # fmt: skip
def test_majority(counts, wanted):
    assert target("majority", **counts) == wanted


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"anger": 10}, {"anger": 1}),
        # 80 % are reached at once; the rest is left out.
        ({"anger": 8, "fear": 2}, {"anger": 1}),
        # 70 % are not: the next label is taken, too.
        ({"anger": 7, "fear": 3}, {"anger": 0.7, "fear": 0.3}),
        # A single vote is nothing: 6 and 3 of 9.
        ({"anger": 6, "fear": 3, "sadness": 1}, {"anger": 6 / 9, "fear": 3 / 9}),
        # 3 of 4, exactly 75 %, are enough.
        ({"anger": 6, "fear": 2}, {"anger": 1}),
        # Labels that tie are taken together.
        ({"anger": 5, "fear": 5}, {"anger": 0.5, "fear": 0.5}),
        ({"anger": 4, "fear": 3, "sadness": 3}, {"anger": 0.4, "fear": 0.3, "sadness": 0.3}),
        ({"anger": 4, "fear": 2, "sadness": 2, "neutral": 2}, {}),  # a tie makes it four labels
        ({"anger": 3, "fear": 3, "sadness": 2, "neutral": 2}, {}),
        # 50 and 30 % are enough: sadness is left out.
        ({"anger": 5, "fear": 3, "sadness": 2}, {"anger": 5 / 8, "fear": 3 / 8}),
        # Unknown, or not a face, first: dropped.
        ({"unknown": 6, "anger": 4}, {}),
        ({"nf": 8, "anger": 2}, {}),
        # Behind another label they end the list and are left out.
        ({"anger": 6, "unknown": 4}, {"anger": 1}),
        ({"anger": 4, "unknown": 3, "fear": 3}, {"anger": 4 / 7, "fear": 3 / 7}),
        # 4 of 10 is not more than half.
        ({"anger": 4, "nf": 4, "fear": 2}, {}),
        # In a tie with unknown the label comes first; 5 of 10 is not more than half.
        ({"anger": 5, "unknown": 5}, {}),
    ],
)
def test_crossentropy(counts, wanted):
    assert target("crossentropy", **counts) == wanted
    assert target("probability", **counts) == wanted


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"anger": 10}, {"anger": 1}),
        # All that hold 30 % count the same.
        ({"anger": 7, "fear": 3}, {"anger": 0.5, "fear": 0.5}),
        ({"anger": 8, "fear": 2}, {"anger": 1}),
        ({"anger": 4, "fear": 3, "sadness": 3}, {"anger": 1 / 3, "fear": 1 / 3, "sadness": 1 / 3}),
        ({"anger": 5, "fear": 2, "sadness": 3}, {"anger": 0.5, "sadness": 0.5}),
        # Half of the votes is not enough.
        ({"anger": 5, "fear": 2, "sadness": 2, "neutral": 1}, {"anger": 1}),  # 5 of 9
        ({"anger": 4, "fear": 2, "sadness": 2}, {}),  # 4 of 8
        ({"anger": 2, "fear": 2, "sadness": 2, "neutral": 2, "disgust": 2}, {}),
        # Unknown counts among those that hold, and drops the face where it is the strongest.
        ({"unknown": 6, "anger": 4}, {}),
        ({"anger": 6, "unknown": 4}, {"anger": 1}),
        ({"anger": 5, "nf": 5}, {"anger": 1}),
    ],
)
def test_multi_target(counts, wanted):
    assert target("multi_target", **counts) == wanted


@pytest.mark.parametrize("rule", RULES)
def test_single_votes_alone_are_nothing(rule):
    each = dict.fromkeys((*EIGHT, "unknown", "nf"), 1)
    assert target(rule, **each) == {}
    assert target(rule) == {}
    assert target(rule, fear=1, anger=9) == {"anger": 1}


@pytest.mark.parametrize("rule", RULES)
def test_every_row_is_a_distribution_or_zeros(rule):
    counts = np.random.default_rng(0).multinomial(10, [0.1] * 10, 500)
    out = ferplus.targets(counts, rule)
    assert out.dtype == np.float32
    assert out.shape == (500, 8)
    sums = out.sum(axis=1)
    assert set(np.round(sums, 5).tolist()) == {0.0, 1.0}
    assert out.min() >= 0


def test_the_votes_are_not_changed():
    counts = np.array([votes(anger=7, fear=3)])
    ferplus.targets(counts, "crossentropy")
    assert counts.tolist() == [votes(anger=7, fear=3)]


def test_an_unknown_rule():
    with pytest.raises(UsageError, match="no FER\\+ rule 'most'"):
        ferplus.targets(np.zeros((1, 10)), "most")


def real_folder():
    here = Path(__file__).resolve().parents[3] / "data" / "fer2013"
    chosen = os.environ.get("MIEN_DATA")
    for folder in (here, *([Path(chosen), Path(chosen) / "fer2013"] if chosen else [])):
        if any((folder / name).is_file() for name in fer2013.VOTES_NAMES):
            return folder
    return None


@pytest.mark.data
@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("majority", (25_057, 3_199)),
        ("crossentropy", (27_953, 3_505)),
        ("multi_target", (27_668, 3_472)),
    ],
)
def test_how_many_faces_of_the_real_data_are_kept(rule, kept):
    folder = real_folder()
    if folder is None:
        pytest.skip("needs FER+ in data/fer2013 or MIEN_DATA")
    path = next(folder / n for n in fer2013.VOTES_NAMES if (folder / n).is_file())
    usage = np.array([row[0] for _, row in csv_rows(path)][1:])
    targets = ferplus.targets(fer2013.read_votes(path, usage.tolist()), rule)
    known = targets.sum(axis=1) > 0
    counted = tuple(int(known[usage == split].sum()) for split in ("Training", "PublicTest"))
    assert counted == kept


def test_usual_labels_are_what_such_votes_are_labelled() -> None:
    """Where all agree on happiness, 3 of 4 faces being labelled 0 makes 0 three times as likely."""
    votes = np.zeros((8, 10), np.float32)
    votes[:4, 1], votes[4:, 3] = 10, 10
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 1], np.intp)

    usual = ferplus.usual_labels(votes, codes, 2)

    assert usual.dtype == np.float32
    np.testing.assert_allclose(usual[:4], [[0.75, 0.25]] * 4, atol=2e-3)
    np.testing.assert_allclose(usual[4:], [[0.0, 1.0]] * 4, atol=2e-3)


def test_split_votes_are_usually_labelled_in_between_and_no_votes_keep_their_label() -> None:
    """A face half of whose voters say each is labelled either way; without votes, its own label."""
    votes = np.zeros((22, 10), np.float32)
    votes[:10, 1], votes[10:20, 3] = 10, 10
    votes[20, [1, 3]] = 5
    codes = np.array([0] * 10 + [1] * 10 + [0, 1], np.intp)

    usual = ferplus.usual_labels(votes, codes, 2)

    np.testing.assert_allclose(usual[20], [0.5, 0.5], atol=0.02)
    np.testing.assert_array_equal(usual[21], [0, 1])

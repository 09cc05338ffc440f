"""The record of every reader: classes and affect side by side."""

import dataclasses

import numpy as np
import pytest

from mien.errors import DataError
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot

NAN = float("nan")
LABELS = {"a": ("x", "y"), "affect": AFFECT_LABELS}


def rows(affect=((0.5, -1.0), (NAN, 0.2), (NAN, NAN)), codes=(0, 1, -1), **changes):
    targets = {
        "a": one_hot(np.array(codes), 2),
        "affect": np.array(affect, np.float32),
    }
    images = np.zeros((3, 4, 4), np.uint8)
    return dataclasses.replace(Rows(images, targets, LABELS, ("0", "1", "2")), **changes)


def test_what_is_known():
    assert rows().labelled("a").tolist() == [True, True, False]
    assert rows().labelled("affect").tolist() == [True, True, False]
    zero = rows(affect=((0.0, 0.0), (0.0, NAN), (NAN, NAN)))
    assert zero.labelled("affect").tolist() == [True, True, False]  # zero is a value


def test_counts():
    assert rows().counts("a") == {"x": 1, "y": 1}
    assert rows().counts("affect") == {"valence": 1, "arousal": 2}


@pytest.mark.parametrize(
    ("head", "value", "said"),
    [
        (
            "affect",
            1.5,
            "head 'affect': the target of face 1 is 1.5; expected numbers from -1 to 1",
        ),
        ("affect", -2.0, "the target of face 1 is -2"),
        ("a", NAN, "head 'a': the target of face 1 is nan; expected parts of a distribution"),
        ("a", -0.1, "the target of face 1 is -0.1"),
    ],
)
def test_values_that_cannot_be(head, value, said):
    targets = {h: t.copy() for h, t in rows().targets.items()}
    targets[head][1, 0] = value
    with pytest.raises(DataError, match=said):
        rows(targets=targets)


def test_a_wrong_shape():
    with pytest.raises(DataError, match=r"head 'affect': \(3, 3\) targets, 3 faces"):
        rows(targets={"affect": np.zeros((3, 3), np.float32)})


def test_the_digest_sees_affect_and_not_the_subjects():
    assert rows().digest() == rows(subjects=("p", "q", "r")).digest()
    other = rows(affect=((0.5, -1.0), (NAN, 0.3), (NAN, NAN)))
    assert other.digest() != rows().digest()
    assert rows().digest() == rows().digest()


def test_taking_some():
    some = rows(subjects=("p", "q", "r")).take(np.array([2, 0]))
    assert some.names == ("2", "0") and some.subjects == ("r", "p")
    assert some.labelled("affect").tolist() == [False, True]
    assert rows().head(2).names == ("0", "1")

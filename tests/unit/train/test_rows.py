"""The record of every reader: classes and affect side by side."""

import dataclasses

import numpy as np
import pytest

from mien.errors import DataError, UsageError
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot, renamed, union

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


def others():
    """Two larger faces with labels of their own, and one of those of `rows` in another order."""
    targets = {
        "b": np.array([[1.0], [0.0]], np.float32),
        "a": np.array([[0.75, 0.25], [0, 0]], np.float32),
    }
    labels = {"b": ("z",), "a": ("y", "x")}
    return Rows(np.full((2, 8, 8), 9, np.uint8), targets, labels, ("3", "4"), ("me", "you"))


def test_a_union_has_the_heads_of_both():
    both = union([rows(), others()])
    assert dict(both.labels) == {"a": ("x", "y"), "affect": AFFECT_LABELS, "b": ("z",)}
    assert both.targets["a"].tolist() == [[1, 0], [0, 1], [0, 0], [0.25, 0.75], [0, 0]]
    assert both.targets["b"].tolist() == [[0], [0], [0], [1], [0]]
    assert both.labelled("affect").tolist() == [True, True, False, False, False]
    assert both.images.shape == (5, 4, 4)
    assert both.images[:, 0, 0].tolist() == [0, 0, 0, 9, 9]
    assert (both.names, both.subjects) == (("0", "1", "2", "3", "4"), None)
    assert union([others(), others()]).subjects == ("me", "you", "me", "you")


def test_a_union_that_cannot_be():
    with pytest.raises(DataError, match="head 'b' has no label w, only z"):
        union([others(), dataclasses.replace(others(), labels={"b": ("w",), "a": ("y", "x")})])
    colour = dataclasses.replace(others(), images=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="grey and colour"):
        union([rows(), colour])


def test_heads_by_other_names():
    new = renamed(rows(), {"a": "c"})
    assert dict(new.labels) == {"c": ("x", "y"), "affect": AFFECT_LABELS}
    assert new.targets["c"].tolist() == [[1, 0], [0, 1], [0, 0]]
    for wrong in ({"a": "affect"}, {"affect": "c"}):
        with pytest.raises(UsageError, match="affect keeps its name"):
            renamed(rows(), wrong)
    with pytest.raises(UsageError, match="no head z to be renamed; there are a, affect"):
        renamed(rows(), {"z": "c"})
    with pytest.raises(UsageError, match="heads cannot be renamed so"):
        renamed(others(), {"a": "b"})

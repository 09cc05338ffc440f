"""What fields mean, and records out of what a YAML file holds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from mien.errors import DataError
from mien.fields import build, field_texts, inner_type


@dataclass(frozen=True)
class Inner:
    name: str = "x"
    """Its
    name."""


@dataclass(frozen=True)
class Outer:
    """A record."""

    many: tuple[int, ...] = ()
    """How many."""
    kind: Literal["a", "b"] = "a"
    plain: int = 3  # nothing below it
    part: float | None = None
    """A part."""
    parts: dict[str, float] = field(default_factory=dict)
    file: Path = Path("f")
    names: list[str] | None = None
    inner: Inner = field(default_factory=Inner)
    """The rest."""

    def __post_init__(self):
        """No field's text."""


def test_the_text_below_a_field_is_what_it_means():
    assert field_texts(Outer) == {"many": "How many.", "part": "A part.", "inner": "The rest."}
    assert field_texts(Inner) == {"name": "Its\nname."}


def test_a_record_is_built():
    raw = {
        "many": [1, 2],
        "kind": "b",
        "part": 1,
        "parts": {"x": 2, "y": "1e-4"},
        "file": "a/b",
        "names": ["p"],
        "inner": {"name": "y"},
    }
    made = build(Outer, raw, "f.yaml")
    assert made == Outer((1, 2), "b", 3, 1.0, {"x": 2.0, "y": 1e-4}, Path("a/b"), ["p"], Inner("y"))
    assert isinstance(made.part, float)
    assert build(Outer, {"part": None, "names": None}, "f.yaml") == build(Outer, {}, "") == Outer()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"inner": {"nam": 1}}, r"^f\.yaml: inner: unknown key 'nam'; did you mean 'name'\?$"),
        ({"inner": {"name": 1}}, r"^f\.yaml: inner: name is 1; expected str$"),
        ({"zzz": 1}, r"^f\.yaml: unknown key 'zzz'$"),
        ({"many": [1, "2"]}, r"^f\.yaml: many is '2'; expected int$"),
        ({"many": 1}, r"^f\.yaml: many is 1; expected tuple$"),
        ({"kind": "c"}, r"^f\.yaml: kind is 'c'; expected one of a, b$"),
        ({"plain": None}, r"^f\.yaml: plain is None; expected int$"),
        ({"plain": True}, r"^f\.yaml: plain is True; expected int$"),
        ({"part": False}, r"^f\.yaml: part is False; expected float$"),
        ({"inner": 3}, r"^f\.yaml: inner: expected a mapping, found int$"),
        ([], r"^f\.yaml: expected a mapping, found list$"),
    ],
)
def test_what_is_refused(raw, said):
    with pytest.raises(DataError, match=said):
        build(Outer, raw, "f.yaml")


def test_the_type_behind_an_optional_one():
    assert inner_type(int | None) is inner_type(int) is int
    assert inner_type(list[str] | None) == list[str]

"""Records whose fields are settings: what each field means, and its value out of a YAML file.

The recipes of `mien train` and the flags of the other verbs are such records.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mien.errors import DataError

T = TypeVar("T")

_EXPONENT = r"[+-]?\d+(\.\d*)?[eE][+-]?\d+"  # compiled when it is needed


def field_texts(kind: type[Any]) -> dict[str, str]:
    """What each field of the dataclass `kind` means: the text below it in its class.

    It is read from the source, which takes milliseconds: call it where a help text is wanted.
    """
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(str(text.value.value))
        for field, text in itertools.pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def build(kind: type[T], raw: Any, where: str) -> T:
    """The dataclass `kind` made of `raw`, what a YAML file holds; the rest are its defaults.

    Args:
        kind: a dataclass; fields that are dataclasses themselves are mappings in the file.
        raw: what was read.
        where: the file's name, for errors.

    Raises:
        DataError: `raw` is no mapping, an unknown key, a value of another type than its field's, or
            a field without a default that is not there.
    """
    given = settings(raw, get_type_hints(kind), where)
    for field in dataclasses.fields(cast(Any, kind)):
        needed = field.default is dataclasses.MISSING is field.default_factory
        if needed and field.name not in given:
            raise DataError(f"{where}: the key {field.name!r} is missing")
    return kind(**given)


def settings(raw: Any, hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The mapping `raw` with its values checked against the types `hints` of the keys there may be.

    Raises:
        DataError: as `build`. The error names the file, the key, and the nearest key there is.
    """
    if not isinstance(raw, dict):
        raise DataError(f"{where}: expected a mapping, found {type(raw).__name__}")
    for key in raw:
        if key not in hints:
            from difflib import get_close_matches  # not needed by those who make no mistake

            close = get_close_matches(str(key), hints, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise DataError(f"{where}: unknown key {key!r}{hint}")
    return {key: convert(hints[key], value, f"{where}: {key}") for key, value in raw.items()}


def convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`: lists become tuples, integers floats, texts paths.

    Raises:
        DataError: it is of another type; the error begins with `where`.
    """
    if dataclasses.is_dataclass(hint):
        return build(cast(type[Any], hint), value, where)
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else convert(inner_type(hint), value, where)
    if origin is Literal:
        if value not in parts:
            raise DataError(f"{where} is {value!r}; expected one of {', '.join(map(str, parts))}")
        return value
    if origin in (tuple, list) and isinstance(value, list):
        return origin(convert(parts[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {str(k): convert(parts[1], v, where) for k, v in value.items()}
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and re.fullmatch(_EXPONENT, value):
        return float(value)  # YAML 1.1 takes 1e-4, without a point, for text
    if hint is Any or (type(value) is hint):
        return value
    raise DataError(f"{where} is {value!r}; expected {getattr(hint, '__name__', hint)}")


def inner_type(hint: Any) -> Any:
    """The type behind an optional one, as int behind ``int | None``."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint

"""One function signature gives a verb's flags, their help and their checks, over argparse.

Libraries that do this take longer to import than a photo takes to read: see
docs/decisions/0003-argparse.md for the figures.
"""

from __future__ import annotations

import argparse
import inspect
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def call(verb: Callable[..., int], argv: Sequence[str], *, prog: str) -> int:
    """Parse the words `argv` by the signature of `verb` and call it with them.

    Positional-only parameters become positional arguments, keyword-only ones flags: ``min_face``
    is ``--min-face``. Understood are str, int, float, Path, bool (a switch, off by default),
    Literal (a choice), ``tuple[T, ...]`` (any number), ``list[T]`` (a flag that may be given more
    than once), and each of these or None. The docstring's first paragraphs and its ``Args:`` are
    the help. Wrong words exit with status 2.
    """
    values = vars(parser_of(verb, prog).parse_args(list(argv)))
    parameters = inspect.signature(verb).parameters.values()
    first = [values.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY]
    return verb(*(tuple(v) if isinstance(v, list) else v for v in first), **values)


def parser_of(verb: Callable[..., int], prog: str) -> argparse.ArgumentParser:
    """The parser that `call` uses."""
    about, help_of = read_docstring(inspect.getdoc(verb) or "")
    parser = argparse.ArgumentParser(
        prog=prog,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    hints = get_type_hints(verb)
    for parameter in inspect.signature(verb).parameters.values():
        _add(parser, parameter, hints[parameter.name], help_of.get(parameter.name, ""))
    return parser


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """A Google-style docstring's text before ``Args:``, and what that says of each argument."""
    about, _, listed = text.partition("\nArgs:\n")
    help_of: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 4:
            name, _, rest = line.strip().partition(": ")
            help_of[name] = rest
        elif indent > 4 and name:
            help_of[name] += " " + line.strip()
    return about.strip(), help_of


def _add(
    parser: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any, help: str
) -> None:
    kind, many = _plain(hint)
    required = parameter.default is parameter.empty
    options: dict[str, Any] = {"help": help.replace("%", "%%")}
    if not required:
        options["default"] = parameter.default
        if parameter.default not in (None, False, ()):
            options["help"] += f" (default: {parameter.default})"
    if get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    elif kind is not bool:
        options["type"] = kind
    if parameter.kind is parameter.POSITIONAL_ONLY:
        nargs = "*" if many else None if required else "?"
        parser.add_argument(parameter.name, nargs=nargs, **options)
        return
    names = [f"--{parameter.name.replace('_', '-')}"]
    if parameter.name == "output":
        names.insert(0, "-o")
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
        options |= {"action": "append", "type": kind}
    if kind is bool:
        options["action"] = "store_true"
    elif get_origin(kind) is not Literal:
        options["metavar"] = _metavar(kind)
    parser.add_argument(*names, dest=parameter.name, required=required, **options)


def _plain(hint: Any) -> tuple[Any, bool]:
    """The type behind an optional or a tuple of any length, and whether it was such a tuple."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")

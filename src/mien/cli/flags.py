"""One function signature gives a verb's flags, their help and their checks, over argparse.

Libraries that do this take longer to import than a photo takes to read: see
docs/decisions/0003-argparse.md for the figures.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from mien.errors import DataError, UsageError
from mien.fields import field_texts, inner_type, settings

_REQUIRED: Any = inspect.Parameter.empty
_CONFIG = "A YAML file whose keys are these flags; flags on the command line go before it."


def call(verb: Callable[..., int], argv: Sequence[str], *, prog: str, config: bool = False) -> int:
    """Parse the words `argv` by the signature of `verb` and call it with them.

    Positional-only parameters become positional arguments, keyword-only ones flags: ``min_face``
    is ``--min-face``. Understood are str, int, float, Path, bool (a switch, off by default),
    Literal (a choice), ``tuple[T, ...]`` (any number), ``list[T]`` (a flag that may be given more
    than once), and each of these or None. A frozen dataclass is opened: each field is a flag, but
    for those that `Without` names, and the verb gets the record. The docstring's first paragraphs
    and its ``Args:`` are the help; a field that these do not name is told by the text below it.
    Wrong words exit with status 2.

    Args:
        verb: what is called; its exit status is returned.
        argv: the words behind the verb's name.
        prog: the name shown in the help.
        config: add a flag ``--config``: a YAML file of further flags.
    """
    flags = list(flags_of(verb))
    parser = _Parser(verb, prog, flags, defaults=False)
    if config:
        parser.add_argument("--config", metavar="PATH", type=Path, help=_CONFIG)
    said = vars(parser.parse_args(list(argv)))
    written = said.pop("config", None)
    values = {flag.name: flag.default for flag in flags}
    values |= {} if written is None else read_flags(written, flags)
    values |= said
    return verb(*_positional(flags, values), **_named(flags, values))


def parser_of(verb: Callable[..., int], prog: str) -> argparse.ArgumentParser:
    """A parser of the words that `call` understands, which knows the defaults, too."""
    return _Parser(verb, prog, flags_of(verb), defaults=True)


class Without:
    """Fields that are no flags, as in ``options: Annotated[Options, Without("max_pixels")]``."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields


class Flag(NamedTuple):
    """One flag of a verb, or one of its positional arguments.

    A named tuple, since the command makes this class at every start: a dataclass takes 1 ms more.
    """

    name: str
    hint: Any
    default: Any
    """`inspect.Parameter.empty` where the flag must be given."""
    positional: bool = False
    parameter: str = ""
    """The parameter of the verb that takes the record of which this is a field."""
    record: Any = None
    """That record, with the fields that are no flags as the verb wants them."""


def flags_of(verb: Callable[..., int]) -> Iterator[Flag]:
    """The flags of a verb, in the order of its signature, with its records opened."""
    hints = get_type_hints(verb, include_extras=True)
    for parameter in inspect.signature(verb).parameters.values():
        kind, left_out = _record(hints[parameter.name])
        default = parameter.default
        if kind is None:
            hint, positional = hints[parameter.name], parameter.kind is parameter.POSITIONAL_ONLY
            any_number = positional and default is _REQUIRED and _elements(hint)[1]
            yield Flag(parameter.name, hint, () if any_number else default, positional)
            continue
        record = kind() if default is _REQUIRED else default
        for name, hint in get_type_hints(kind).items():
            if name not in left_out:
                value = getattr(record, name)
                yield Flag(name, hint, value, parameter=parameter.name, record=record)


def read_flags(path: Path, flags: Iterable[Flag]) -> dict[str, Any]:
    """The flags that the YAML file `path` sets, by name; ``min-face`` may be ``min_face``.

    Raises:
        UsageError: no such file, no YAML, an unknown key, or a value of another type.
    """
    import yaml

    hints = {flag.name: flag.hint for flag in flags if not flag.positional}
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--config {path}: not a readable YAML file ({error})") from error
    named = raw
    if isinstance(raw, dict):
        named = {str(key).replace("-", "_"): value for key, value in raw.items()}
        if len(named) < len(raw):
            raise UsageError(f"--config {path}: a key is there twice, with - and with _")
    try:
        return settings({} if raw is None else named, hints, str(path))
    except DataError as error:
        raise UsageError(f"--config {error}") from error


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


class _Parser(argparse.ArgumentParser):
    """A parser that looks for its help texts once somebody asks for them."""

    def __init__(
        self, verb: Callable[..., int], prog: str, flags: Iterable[Flag], *, defaults: bool
    ) -> None:
        super().__init__(
            prog=prog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=None if defaults else argparse.SUPPRESS,
            allow_abbrev=False,
        )
        self._verb = verb
        self._told = [(flag, _add(self, flag, defaults)) for flag in flags]

    def format_help(self) -> str:
        """The help, with what the docstring and the records' sources say of each flag."""
        self.description, texts = read_docstring(inspect.getdoc(self._verb) or "")
        records = {flag.parameter: flag.record for flag, _ in self._told if flag.parameter}
        below = {parameter: field_texts(type(record)) for parameter, record in records.items()}
        for flag, action in self._told:
            source = texts if flag.name in texts else below[flag.parameter]
            told = " ".join(source[flag.name].split())
            if flag.default not in (None, False, (), _REQUIRED):
                told += f" (default: {flag.default})"
            action.help = told.replace("%", "%%")
        return super().format_help()


def _add(parser: argparse.ArgumentParser, flag: Flag, defaults: bool) -> argparse.Action:
    kind, many = _elements(flag.hint)
    required = flag.default is _REQUIRED
    known = not required and (defaults or flag.positional)
    options: dict[str, Any] = {"default": flag.default} if known else {}
    if get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    elif kind is not bool:
        options["type"] = kind
    if flag.positional:
        nargs = "*" if many else None if required else "?"
        return parser.add_argument(flag.name, nargs=nargs, **options)
    names = [f"--{flag.name.replace('_', '-')}"]
    if flag.name == "output":
        names.insert(0, "-o")
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
        options |= {"action": "append", "type": kind}
    if kind is bool:
        options["action"] = "store_true"
    elif get_origin(kind) is not Literal:
        options["metavar"] = _metavar(kind)
    return parser.add_argument(*names, dest=flag.name, required=required, **options)


def _positional(flags: Iterable[Flag], values: dict[str, Any]) -> list[Any]:
    chosen = [values[flag.name] for flag in flags if flag.positional]
    return [tuple(value) if isinstance(value, list) else value for value in chosen]


def _named(flags: Iterable[Flag], values: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments, those of a record put together."""
    named: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}
    for flag in flags:
        if flag.parameter:
            named[flag.parameter] = flag.record
            fields.setdefault(flag.parameter, {})[flag.name] = values[flag.name]
        elif not flag.positional:
            named[flag.name] = values[flag.name]
    return named | {name: replace(named[name], **chosen) for name, chosen in fields.items()}


def _record(hint: Any) -> tuple[Any, tuple[str, ...]]:
    """The dataclass that a parameter takes, or None, and those of its fields that are no flags."""
    left_out: tuple[str, ...] = ()
    if get_origin(hint) is Annotated:
        hint, without = get_args(hint)
        left_out = without.fields
    return (hint, left_out) if is_dataclass(hint) else (None, ())


def _elements(hint: Any) -> tuple[Any, bool]:
    """The type behind an optional or a tuple of any length, and whether it was such a tuple."""
    hint = inner_type(hint)
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")

"""Signatures and records as flags, and flags out of a YAML file."""

import importlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from mien.cli.flags import Without, call, parser_of
from mien.errors import UsageError

# Every flag with its kind and default: who changes one here changes it for users.
FLAGS = {
    "analyze": """
        paths str* ()
        --format table|json|jsonl|csv|parquet None
        -o --output Path None
        --draw Path None
        --model str mien-small
        --detector str auto
        --min-face float 0.0
        --min-score float None
        --max-faces int None
        --max-side int 640
        --max-pixels int 100000000
        --device auto|cpu|cuda cpu
        --threads int 1
        --mirror switch False
        --prior str
        --jobs int 0
        --quiet switch False
    """,
    "video": """
        file Path required
        --csv Path None
        --jsonl Path None
        --parquet Path None
        --draw Path None
        --report Path None
        --srt Path None
        --every int 1
        --fps float None
        --start float None
        --end float None
        --detect-every int 0
        --gap float 0.5
        --smooth float 0.3
        --model str mien-small
        --detector str auto
        --min-face float 0.0
        --min-score float None
        --max-faces int None
        --max-side int 640
        --device auto|cpu|cuda cpu
        --threads int 1
        --mirror switch False
        --prior str
        --no-faces switch False
        --blur switch False
        --one-thread switch False
        --quiet switch False
    """,
    "camera": """
        source str? 0
        --csv Path None
        --jsonl Path None
        --max-seconds float None
        --fps float None
        --smooth float 0.3
        --model str mien-small
        --detector str auto
        --min-face float 0.0
        --min-score float None
        --max-faces int None
        --max-side int 640
        --device auto|cpu|cuda cpu
        --threads int 1
        --mirror switch False
        --prior str
        --quiet switch False
    """,
    "serve": """
        --host str 127.0.0.1
        --port int 8000
        --token str None
        --allow-host str... None
        --model str mien-small
        --also str... None
        --detector str auto
        --min-score float None
        --max-faces int None
        --max-side int 640
        --mirror switch False
        --prior str
        --workers int 0
        --max-pixels int 25000000
        --max-mb int 20
        --max-waiting int 64
        --keep float 900.0
        --quiet switch False
    """,
    "reproduce": """
        paper tian2022|yu2023|yang2023|ngo2020|lee2023 required
        --data Path required
        --out Path None
        --quick switch False
        --budget quick|cpu|full None
        --seeds int None
        --epochs int None
        --limit int None
        --folds int None
        --only str... None
        --precision fp32|bf16 fp32
        --start str... None
        --device cpu|cuda cpu
        --threads int 0
        --quiet switch False
    """,
}


def written_out(action):
    kind = "|".join(action.choices or ()) or getattr(action.type, "__name__", "switch")
    kind += {"_AppendAction": "..."}.get(type(action).__name__, "")
    kind += action.nargs if action.nargs in ("*", "?") else ""
    default = "required" if action.required else action.default
    return f"{' '.join(action.option_strings or [action.dest])} {kind} {default}".rstrip()


@pytest.mark.parametrize("verb", FLAGS)
def test_flags_are_neither_lost_nor_renamed_nor_changed(verb):
    actions = parser_of(getattr(importlib.import_module(f"mien.cli.{verb}"), verb), "")._actions
    now = {written_out(action) for action in actions if action.dest != "help"}
    assert now == {line.strip() for line in FLAGS[verb].strip().splitlines()}


@dataclass(frozen=True)
class Light:
    """A record."""

    colour: Literal["red", "green"] = "red"
    """Which
    colour."""
    watts: float = 5.0
    """100 % is the most."""
    hidden: int = 1
    """No flag."""

    def __post_init__(self):
        """Refuse."""
        if self.watts < 0:
            raise UsageError("watts are 0 or more")


STRONG = Light(watts=60, hidden=2)
got = {}


def lit(
    rooms: tuple[str, ...],
    /,
    *,
    name: str,
    light: Light,
    hours: int | None = None,
    only: list[str] | None = None,
    output: Path = Path("out"),
    dry: bool = False,
) -> int:
    """Light a house.

    Args:
        rooms: Where.
        name: Whose.
        light: Not shown.
        hours: For how long; 50 %
            of a day.
        only: Again and again.
        output: A file.
        dry: Do nothing.
    """
    got.clear()
    got.update(locals())
    return 7


def shaded(*, light: Annotated[Light, Without("colour", "hidden")] = STRONG) -> int:
    """Light less.

    Args:
        light: Not shown.
        watts: Not 100 %.
    """
    got.clear()
    got["light"] = light
    return 0


def test_words_become_arguments_and_fields_a_record():
    words = ["a", "b", "--name", "x", "--watts", "2", "--only", "p", "--only", "q", "-o", "f"]
    assert call(lit, words, prog="lit") == 7
    assert got == {
        "rooms": ("a", "b"),
        "name": "x",
        "light": Light(watts=2.0),
        "hours": None,
        "only": ["p", "q"],
        "output": Path("f"),
        "dry": False,
    }
    call(lit, ["--name=x", "--dry", "--hidden=9", "--colour=green", "--hours=3"], prog="lit")
    assert (got["rooms"], got["dry"], got["hours"], got["only"]) == ((), True, 3, None)
    assert got["light"] == Light("green", hidden=9)


def test_positional_arguments_that_may_be_left_out(tmp_path):
    def show(
        action: Literal["list", "show"] = "list", path: Path | None = None, /, *, n: int = 1
    ) -> int:
        """Show."""
        got.clear()
        got.update(locals())
        return 0

    (tmp_path / "f").write_text("n: 2")
    for words, want in (
        ([], ("list", None, 1)),
        (["show"], ("show", None, 1)),
        (["show", "a", "--n=3"], ("show", Path("a"), 3)),
        (["--config", str(tmp_path / "f")], ("list", None, 2)),
    ):
        call(show, words, prog="show", config=True)
        assert (got["action"], got["path"], got["n"]) == want


def test_a_record_given_as_default_keeps_what_is_no_flag():
    call(shaded, [], prog="shaded")
    assert got["light"] == STRONG
    call(shaded, ["--watts", "3"], prog="shaded")
    assert got["light"] == Light(watts=3.0, hidden=2)
    with pytest.raises(SystemExit) as ended:
        call(shaded, ["--hidden", "3"], prog="shaded")
    assert ended.value.code == 2


def test_what_the_record_refuses_is_a_usage_error():
    with pytest.raises(UsageError, match="watts are 0 or more"):
        call(shaded, ["--watts", "-1"], prog="shaded")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--name"),
        (["--name=x", "--watts=much"], "--watts: invalid float value: 'much'"),
        (["--name=x", "--colour=blue"], "--colour: invalid choice: 'blue'"),
        (["--name=x", "--wat=3"], "--wat=3"),
        (["--name=x", "--config=f"], "--config=f"),  # this one has no such file
    ],
)
def test_wrong_words(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        call(lit, words, prog="lit")
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_has_the_texts_of_docstring_and_record(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = " ".join(parser_of(lit, "lit").format_help().split())
    assert "usage: lit [-h] --name TEXT [--colour {red,green}] [--watts X]" in text
    assert "Light a house. positional arguments: rooms Where. options:" in text
    assert "--colour {red,green} Which colour. (default: red) --watts X 100 % is the most." in text
    assert "--hours N For how long; 50 % of a day. --only TEXT Again and again." in text
    assert "-o PATH, --output PATH A file. (default: out) --dry Do nothing." in text
    assert "Not shown" not in text
    text = " ".join(parser_of(shaded, "shaded").format_help().split())
    assert "--watts X Not 100 %. (default: 60)" in text and "--hidden" not in text


def test_the_sources_are_read_for_the_help_alone():
    """Reading them takes longer than all the rest of the parsing."""
    code = (
        "import inspect, sys\n"
        "def refuse(*_): raise AssertionError('the help was read')\n"
        "inspect.getsource = inspect.getdoc = refuse\n"
        "import mien.cli.analyze, mien.cli.flags\n"
        "mien.cli.flags.call(lambda: 0, [], prog='x')\n"
        "try: mien.cli.analyze.run(['gone.jpg', '--quiet', '--jobs', 'x'])\n"
        "except SystemExit as ended: print(ended.code, 'yaml' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2 False\n", done.stderr


def with_file(tmp_path, text, *words):
    path = tmp_path / "house.yaml"
    path.write_text(text, encoding="utf-8")
    return call(lit, ["--config", str(path), *words], prog="lit", config=True)


def test_a_file_of_flags(tmp_path):
    text = "colour: green\nwatts: 4\nonly: [p]\noutput: there/f\ndry: true\nhours: null\n"
    assert with_file(tmp_path, text, "a", "--name", "x") == 7
    assert got["light"] == Light("green", 4.0)
    assert isinstance(got["light"].watts, float)
    assert (got["rooms"], got["only"], got["dry"]) == (("a",), ["p"], True)
    assert (got["output"], got["hours"]) == (Path("there/f"), None)


def test_flags_on_the_command_line_go_before_the_file(tmp_path):
    text = "{colour: green, watts: 1e-3, only: [p, q], hours: 9}"
    with_file(tmp_path, text, "--name=x", "--colour=red", "--only=r", "--watts=5.0")
    assert got["light"] == Light("red", 5.0)  # also where they say the default
    assert (got["only"], got["hours"]) == (["r"], 9)


def test_keys_with_dashes_and_an_empty_file(tmp_path):
    @dataclass(frozen=True)
    class Long:
        two_words: int = 1
        """Two."""

    globals()["Long"] = Long

    def long(*, record: "Long") -> int:
        """Do."""
        return record.two_words

    for text, number in (("two-words: 2", 2), ("two_words: 3", 3), ("# nothing", 1)):
        (tmp_path / "f").write_text(text)
        words = ["--config", str(tmp_path / "f")]
        assert call(long, words, prog="long", config=True) == number
    (tmp_path / "f").write_text("{two-words: 2, two_words: 3}")
    with pytest.raises(UsageError, match=r"f: a key is there twice, with - and with _"):
        call(long, words, prog="long", config=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wats: 3", r"house\.yaml: unknown key 'wats'; did you mean 'watts'\?"),
        ("rooms: [a]", r"house\.yaml: unknown key 'rooms'"),
        ("watts: much", r"house\.yaml: watts is 'much'; expected float"),
        ("watts: true", r"house\.yaml: watts is True; expected float"),
        ("hours: 1.5", r"house\.yaml: hours is 1\.5; expected int"),
        ("colour: blue", r"house\.yaml: colour is 'blue'; expected one of red, green"),
        ("only: p", r"house\.yaml: only is 'p'; expected list"),
        ("only: [1]", r"house\.yaml: only is 1; expected str"),
        ("output: 3", r"house\.yaml: output is 3; expected Path"),
        ("dry: 'yes'", r"house\.yaml: dry is 'yes'; expected bool"),
        ("- watts", r"house\.yaml: expected a mapping, found list"),
        ("{", r"house\.yaml: not a readable YAML file"),
    ],
)
def test_what_a_file_cannot_say(tmp_path, text, said):
    with pytest.raises(UsageError, match=f"--config .*{said}"):
        with_file(tmp_path, text, "--name=x")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.yaml: not a readable YAML file .*No such file"):
        call(lit, ["--name=x", "--config", "gone.yaml"], prog="lit", config=True)


@pytest.mark.parametrize("verb", ["analyze", "video", "camera", "serve"])
def test_the_verbs_take_a_file(verb, tmp_path):
    (tmp_path / "f.yaml").write_text("max-face: 3")
    module = importlib.import_module(f"mien.cli.{verb}")
    words = [] if verb == "serve" else ["x.mp4"]
    with pytest.raises(UsageError, match=r"unknown key 'max_face'; did you mean 'max_faces'"):
        module.run([*words, "--config", str(tmp_path / "f.yaml")])

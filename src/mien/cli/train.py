"""`mien train`: a recipe and a data set become a run folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from mien.cli.flags import parser_of
from mien.cli.main import OK
from mien.cli.progress import Progress
from mien.errors import MissingExtraError, UsageError


def train(recipe: Path, /, *, data: Path, out: Path | None = None) -> int:
    """Train a network from a recipe; run again after a kill, it goes on where it stopped.

    Every field of the recipe is a flag too: --epochs 40 --optim.lr 0.05 --model.name tian2022_b.

    Args:
        recipe: The YAML file that says what to train and how.
        data: The folder of the data set, or one that holds it under its usual name; with
            data.also, of all the sets.
        out: The run folder, by default runs/<recipe>.
    """
    return train_recipe(recipe, data, out, [])


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    require_train("training")
    from mien.train.config import field_help

    parser = parser_of(train, "mien train")
    parser.epilog = "fields of the recipe:\n" + field_help()
    chosen, fields = parser.parse_known_args(list(argv))
    return train_recipe(chosen.recipe, chosen.data, chosen.out, fields)


def require_train(what: str) -> None:
    """Raise a `MissingExtraError` unless the extra ``train`` is installed."""
    for package in ("torch", "onnx", "safetensors", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(what, "train")


def train_recipe(recipe: Path, data: Path, out: Path | None, fields: Sequence[str]) -> int:
    """Train as `recipe` says with the words `fields` set over it, such as --epochs 40."""
    from mien.train.config import load_config
    from mien.train.run import run_training

    out = out or Path("runs") / recipe.stem
    config = load_config(recipe, _overrides(fields))
    _say(f"the run goes to {out}")
    with Progress("steps", sys.stderr.isatty()) as bar:

        def progress(done: int, total: int, loss: float) -> None:
            bar.total(total)
            bar.step(done, f"loss {loss:.3f}")

        def epoch_done(epoch: dict[str, float]) -> None:
            _say("  ".join(f"{k} {v:.4g}" for k, v in epoch.items()))

        run_training(config, data, out, progress=progress, epoch_done=epoch_done, say=_say)
    sys.stdout.write(f"{out}\n")
    return OK


def _overrides(words: Sequence[str]) -> dict[str, str]:
    """``--optim.lr 0.05 --epochs=3`` as a mapping of dotted fields to texts."""
    found, left = {}, list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not (equals or left):
            raise UsageError(f"{word!r}: fields are set as --optim.lr 0.05")
        found[name] = value if equals else left.pop(0)
    return found


def _say(text: str) -> None:
    sys.stderr.write(f"mien: {text}\n")

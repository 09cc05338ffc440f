"""`mien distill`: a recipe, a data set and teachers become a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mien.cli.flags import parser_of
from mien.cli.train import require_train, train_recipe


def distill(recipe: Path, /, *, teacher: list[Path], data: Path, out: Path | None = None) -> int:
    """Train a network from a recipe and from what other networks say of the same faces.

    It is `mien train` with `distil.teachers`; every field of the recipe is a flag here, too, those
    of `loss` with kd_ and bound_ in their names above all. A teacher must share a head with the
    recipe: the same name and the same labels.

    Args:
        recipe: The YAML file that says what to train and how.
        teacher: A run folder or an exported .onnx file; may be given several times, then their
            answers are averaged.
        data: The folder of the data set, or one that holds it under its usual name.
        out: The run folder, by default runs/<recipe>-distilled.
    """
    return _distill(recipe, teacher, data, out, [])


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    require_train("distillation")
    from mien.train.config import field_help

    parser = parser_of(distill, "mien distill")
    parser.epilog = "fields of the recipe:\n" + field_help()
    chosen, fields = parser.parse_known_args(list(argv))
    return _distill(chosen.recipe, chosen.teacher, chosen.data, chosen.out, fields)


def _distill(
    recipe: Path, teachers: Sequence[Path], data: Path, out: Path | None, fields: Sequence[str]
) -> int:
    named = json.dumps([str(path) for path in teachers], ensure_ascii=False)
    out = out or Path("runs") / f"{recipe.stem}-distilled"
    return train_recipe(recipe, data, out, [*fields, "--distil.teachers", named])

"""`mien export`: a run folder becomes one ONNX file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mien.cli.flags import call
from mien.cli.main import OK
from mien.cli.train import require_train
from mien.errors import UsageError


def export(
    run: Path,
    /,
    *,
    data: Path,
    output: Path,
    recipe: Path | None = None,
) -> int:
    """Write the network of a run as ONNX: calibrated, checked against PyTorch, self-describing.

    Args:
        run: A folder that `mien train` made.
        data: The folder of the data set: temperatures are fitted on its validation split.
        output: The .onnx file to write.
        recipe: Take the `release` section from this recipe, not from the run's own copy.
    """
    if output.suffix != ".onnx":
        raise UsageError(f"--output must end in .onnx, not {output.name!r}")
    require_train("export")
    from mien.train.config import load_config
    from mien.train.export import export as write
    from mien.train.run import load_run, read_splits

    made = load_run(run)
    if recipe is not None:
        made = made.with_release(load_config(recipe).release)
    spec = write(made, read_splits(made.config, data)[1], output)
    for name, value in spec.metrics.items():
        sys.stderr.write(f"  {name:32} {value:g}\n")
    sys.stdout.write(f"{output}\n")
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(export, argv, prog="mien export")

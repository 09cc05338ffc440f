"""`mien export`: a run folder becomes one ONNX file; models become a page for any web server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mien.cli.flags import call
from mien.cli.main import OK
from mien.cli.train import require_train
from mien.errors import UsageError
from mien.runtime.classify import DEFAULT_MODEL


def export(
    run: Path | None = None,
    /,
    *,
    data: Path | None = None,
    output: Path | None = None,
    recipe: Path | None = None,
    web: Path | None = None,
    model: list[str] | None = None,
    ort: Path | None = None,
) -> int:
    """Write the network of a run as ONNX: calibrated, checked against PyTorch, self-describing.

    With --web, and without a run: write the page of `mien serve` as a folder that reads pictures
    in the browser alone, once any web server serves it. It needs YuNet (`mien models pull yunet`)
    and the npm package onnxruntime-web (`npm pack onnxruntime-web`); no torch.

    Args:
        run: A folder that `mien train` made.
        data: The folder of the data set: temperatures are fitted on its validation split.
        output: The .onnx file to write.
        recipe: Take the `release` section from this recipe, not from the run's own copy.
        web: The folder to write the page to.
        model: With --web: a model's name or .onnx file; may be repeated. By default mien-tiny.
        ort: With --web: the npm package onnxruntime-web, as .tgz or unpacked. By default that of
            node_modules in the current folder.
    """
    if web is not None:
        if run is not None or data is not None or output is not None or recipe is not None:
            raise UsageError("--web takes models, not a run: leave out RUN, --data and --output")
        return _web(web, model or [DEFAULT_MODEL], ort)
    if run is None or data is None or output is None:
        raise UsageError("a run, --data and --output are needed; or --web: see mien export --help")
    if model is not None or ort is not None:
        raise UsageError("--model and --ort go with --web")
    return _onnx(run, data, output, recipe)


def _onnx(run: Path, data: Path, output: Path, recipe: Path | None) -> int:
    if output.suffix != ".onnx":
        raise UsageError(f"--output must end in .onnx, not {output.name!r}")
    require_train("export")
    from mien.train.config import load_config
    from mien.train.export import export as write
    from mien.train.network import load_run
    from mien.train.run import read_splits

    made = load_run(run)
    if recipe is not None:
        made = made.with_release(load_config(recipe).release)
    spec = write(made, read_splits(made.config, data)[1], output)
    for name, value in spec.metrics.items():
        sys.stderr.write(f"  {name:32} {value:g}\n")
    sys.stdout.write(f"{output}\n")
    return OK


def _web(folder: Path, models: Sequence[str], ort: Path | None) -> int:
    from mien.serve.static import write_static

    size = write_static(folder, models=models, ort=ort)
    sys.stderr.write(
        f"{folder}: {size / 1e6:.1f} MB. Try it: python -m http.server --bind 127.0.0.1 "
        f"--directory {folder}\n"
    )
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(export, argv, prog="mien export")

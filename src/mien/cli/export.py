"""`mien export`: a run folder becomes one ONNX file; models become a page for any web server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.flags import call
from mien.cli.main import OK
from mien.cli.train import require_train
from mien.errors import UsageError
from mien.runtime.classify import DEFAULT_MODEL
from mien.spec import ModelSpec

if TYPE_CHECKING:
    from mien.train.data.rows import Rows
    from mien.train.held import Held
    from mien.train.network import Run


def export(
    run: str | None = None,
    /,
    *,
    data: Path | None = None,
    output: Path | None = None,
    recipe: Path | None = None,
    int8: bool = False,
    web: Path | None = None,
    model: list[str] | None = None,
    ort: Path | None = None,
) -> int:
    """Write the network of a run as ONNX: calibrated, checked against PyTorch, self-describing.

    Beside the run's other pictures go reliability-HEAD.png and .json: how far confidence is right;
    and predictions-HEAD.csv: what is said of each validation face.

    With --web, and without a run: write the page of `mien serve` as a folder that reads pictures
    in the browser alone, once any web server serves it. It needs YuNet (`mien models pull yunet`)
    and the npm package onnxruntime-web (`npm pack onnxruntime-web`); no torch.

    Args:
        run: A folder that `mien train` made; or a model's name or .onnx file, whose default answer
            and temperatures are then fitted again as --recipe says.
        data: The folder of the data set, or one that holds it under its usual name:
            temperatures are fitted on its validation split.
        output: The .onnx file to write.
        recipe: Take the `release` section from this recipe, not from the run's own copy.
        int8: Write OUTPUT-int8.onnx, too, and compare both in the run's int8.json. Ranges are taken
            from the training split. Where the recipe's release is int8, OUTPUT is, and
            OUTPUT-fp32.onnx lies beside it.
        web: The folder to write the page to.
        model: With --web: a model's name or .onnx file; may be repeated. By default mien-small.
        ort: With --web: the npm package onnxruntime-web, as .tgz or unpacked. By default that of
            node_modules in the current folder.
    """
    if web is not None:
        if int8 or any(flag is not None for flag in (run, data, output, recipe)):
            raise UsageError("--web takes models, not a run: leave out RUN, --data and --output")
        return _web(web, model or [DEFAULT_MODEL], ort)
    if run is None or data is None or output is None:
        raise UsageError("a run, --data and --output are needed; or --web: see mien export --help")
    if model is not None or ort is not None:
        raise UsageError("--model and --ort go with --web")
    if output.suffix != ".onnx":
        raise UsageError(f"--output must end in .onnx, not {output.name!r}")
    require_train("export")
    from mien.train.exported import exported_file

    if (Path(run) / "config.yaml").exists() or (file := exported_file(run)) is None:
        return _onnx(Path(run), data, output, recipe, int8)
    if recipe is None or int8:
        raise UsageError("a model that is exported already needs --recipe, and takes no --int8")
    return _again(file, data, output, recipe)


def _again(file: Path, data: Path, output: Path, recipe: Path) -> int:
    """Write an exported model with what the recipe's release says now."""
    from mien.train.config import load_config
    from mien.train.export import export_again
    from mien.train.run import read_splits

    config = load_config(recipe)
    _, validation = read_splits(config, data)
    _tell(export_again(file, config.release, validation, output))
    sys.stdout.write(f"{output}\n")
    return OK


def _onnx(run: Path, data: Path, output: Path, recipe: Path | None, int8: bool) -> int:
    from mien.runtime.classify import load_classifier
    from mien.train.config import load_config
    from mien.train.export import export as write
    from mien.train.held import folds_of, held_out
    from mien.train.network import averaged, load_run, renormed
    from mien.train.quantise import ask_int8
    from mien.train.reliability import write_reliability
    from mien.train.run import read_splits

    made = load_run(run)
    if recipe is not None:
        made = made.with_release(load_config(recipe).release)
    training, validation = read_splits(made.config, data)
    mean = renormed(averaged(made), training)
    shared, folds = folds_of(made, training, validation, data)
    held = held_out(shared, folds)
    released = made.config.release.precision
    if int8 and released == "fp16":
        raise UsageError("--int8 is made of a float32 file, and this recipe's release is fp16")
    small = output if released == "int8" else output.with_name(f"{output.stem}-int8.onnx")
    whole = output.with_name(f"{output.stem}-fp32.onnx") if released == "int8" else output
    _tell(write(mean, held, whole))
    sys.stdout.write(f"{whole}\n")
    if int8 or released == "int8":
        rounded = held_out(shared, folds, ask_int8)
        _int8(mean, whole, small, training, rounded)
        sys.stdout.write(f"{small}\n")
        held = rounded if released == "int8" else held
    write_reliability(run, load_classifier(output), held)
    return OK


def _int8(run: Run, source: Path, path: Path, training: Rows, held: Held) -> None:
    """Write the int8 file and say what it costs and gains."""
    from mien.train.quantise import MAY_LOSE, export_int8
    from mien.train.run import write_json

    spec, compared = export_int8(run, source, path, training, held)
    write_json(run.folder / "int8.json", compared.to_dict())
    _tell(spec)
    for head, (ours, theirs) in compared.accuracy.items():
        apart = compared.difference[head]
        sys.stderr.write(
            f"  {head}: accuracy {100 * ours:.2f} % in fp32, {100 * theirs:.2f} % in int8; "
            f"{100 * apart.agreement:.1f} % of the faces have the same label, probabilities "
            f"differ by up to {apart.largest:.2f}\n"
        )
    first, second = compared.speed
    sys.stderr.write(
        f"  processor time of a face {first.batch1_ms:.2f} ms in fp32, {second.batch1_ms:.2f} in "
        f"int8; in batches of 64 {first.batch64_ms:.2f} and {second.batch64_ms:.2f} ms; "
        f"{compared.size[0]:,} and {compared.size[1]:,} bytes\n"
        f"  int8 is {'' if compared.worth else 'not '}worth it here: at most {100 * MAY_LOSE:g} "
        "points lost in every head, and less time both ways\n"
    )


def _tell(spec: ModelSpec) -> None:
    """Write the figures inside the file to stderr."""
    sys.stderr.write(f"{spec.name} {spec.version}, {spec.precision}\n")
    for name, value in spec.metrics.items():
        if "_recall_" not in name and "_n_" not in name:  # those of each class are on the card
            sys.stderr.write(f"  {name:36} {value:g}\n")


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

"""A float ONNX file made int8: static quantisation by ONNX Runtime, and what it costs.

Activations become unsigned, weights signed 8-bit numbers, weights with a scale per output channel
(Jacob et al. 2018). Processors without VNNI multiply such pairs by ``pmaddubsw``, whose 16-bit sums
saturate: with full-range weights mien-tiny lost 3.7 points there, so weights keep to seven bits.
A few activations reach far beyond the rest, and a scale for all of them cost 1.8 points: ranges
are cut at a percentile, chosen on training faces by how near the answers stay to the float file's.
The first convolution and the linear classifiers stay float, as is usual: they cost no time, and a
third fewer of mien-small's labels change.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.metrics import softmax
from mien.runtime.classify import load_classifier
from mien.runtime.session import open_session
from mien.spec import ANSWER, ModelSpec
from mien.train.data.rows import AFFECT, Rows
from mien.train.export import describe, with_release, write_draft
from mien.train.fitting import fit_spec
from mien.train.graph import write_spec
from mien.train.held import Fold, Held
from mien.train.network import Run
from mien.train.parity import Difference, Speed, differences, measure_speed, probabilities_of
from mien.types import Floats, Image

if TYPE_CHECKING:
    from onnx import NodeProto

#: Where ranges may be cut, in per cent of an activation's values; 100 is its whole range.
PERCENTILES = (99.9, 99.95, 99.99, 100.0)
#: Training faces that ranges are taken from, and as many others that the percentile is chosen on.
FACES = 300
#: The accuracy that an int8 file may lose and still be worth having.
MAY_LOSE = 0.003
_BATCH = 20


@dataclass(frozen=True)
class Comparison:
    """An int8 file beside the float file it was made from, measured on validation faces."""

    percentile: float
    accuracy: dict[str, tuple[float, float]]
    """By head and "answer": of the float file, and of the int8 file."""
    difference: dict[str, Difference]
    speed: tuple[Speed, Speed]
    """Of the float file, and of the int8 file."""
    size: tuple[int, int]
    """Bytes of both."""

    @property
    def worth(self) -> bool:
        """Whether no head loses more than `MAY_LOSE`, and a face and a batch cost less time."""
        first, second = self.speed
        near = all(ours - theirs <= MAY_LOSE for ours, theirs in self.accuracy.values())
        quick = second.batch1_ms < first.batch1_ms and second.batch64_ms < first.batch64_ms
        return near and quick

    def to_dict(self) -> dict[str, Any]:
        """Native types only, ready for JSON."""
        return {**asdict(self), "worth": self.worth}


def export_int8(
    run: Run, source: Path, path: Path, training: Rows, held: Held
) -> tuple[ModelSpec, Comparison]:
    """Write the int8 form of the exported file `source` to `path`, with a spec of its own.

    Temperatures are fitted and figures measured on `held` as `mien.train.export.export` does
    it. It has the released name, and the figures that the recipe quotes, if the recipe's precision
    is int8; otherwise they are the float file's, and its name has "-int8" behind it.

    Args:
        run: the run that `source` was exported from.
        source: the float file.
        path: the file to write.
        training: faces that ranges of activations are taken from.
        held: faces that the run was not trained on; where folds answer, in int8 (`ask_int8`).

    Raises:
        DataError: fewer than two training faces.
    """
    beside = path.with_name(f".{path.stem}.part.onnx")
    try:
        percentile = quantise(source, beside, training.images[sample(len(training))])
        heads = load_classifier(source).spec.heads  # whose biases have come along
        write_spec(beside, replace(describe(run), heads=heads))
        draft = load_classifier(beside)
        spec = fit_spec(draft, run.config.release, held)
        spec = replace(with_release(spec, run.config.release, "int8"), precision="int8")
        write_spec(beside, spec, draft.spec)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return spec, compare(source, path, percentile, held.rows.images)


def ask_int8(fold: Fold) -> Mapping[str, Floats]:
    """The answers of the fold's network in int8, with ranges of faces that it has seen."""
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        write_draft(fold.network, whole)
        quantise(whole, small, fold.seen.images[sample(len(fold.seen))])
        write_spec(small, describe(fold.network))
        return load_classifier(small).logits(fold.held.images)


def compare(source: Path, path: Path, percentile: float, crops: Image) -> Comparison:
    """Measure the int8 file `path` beside the float file `source`; both have their figures."""
    first, second = load_classifier(source), load_classifier(path)
    names = [head.name for head in first.spec.heads if head.name != AFFECT]
    ours, theirs = first.spec.metrics, second.spec.metrics
    keys = {name: f"{name}_accuracy" for name in (*names, ANSWER)}
    slow, quick = measure_speed([source, path], crops[:64])
    return Comparison(
        percentile,
        {name: (ours[key], theirs[key]) for name, key in keys.items() if key in ours},
        differences(probabilities_of(first, crops), probabilities_of(second, crops)),
        (slow, quick),
        (source.stat().st_size, path.stat().st_size),
    )


def quantise(source: Path, path: Path, crops: Image) -> float:
    """Write the int8 form of the float file `source` to `path`, without its description.

    Args:
        source: a file that `mien export` wrote.
        path: the file to write.
        crops: training faces (n, h, w) or (n, h, w, 3): every other one gives the ranges, and on
            the others the percentile is chosen whose answers are nearest to the float file's.

    Returns:
        The percentile that ranges are cut at.

    Raises:
        DataError: fewer than two faces.
    """
    if len(crops) < 2:
        raise DataError(f"int8 takes its ranges from training faces, and there are {len(crops)}")
    x = load_classifier(source).prepare(crops)
    wanted = _outputs(source, x[1::2])
    with tempfile.TemporaryDirectory() as folder:
        tried = {p: Path(folder) / f"{p:g}.onnx" for p in PERCENTILES}
        _quantise(source, tried, x[::2])
        distances = {p: distance(wanted, _outputs(file, x[1::2])) for p, file in tried.items()}
        nearest = min(distances, key=lambda p: distances[p])
        shutil.copyfile(tried[nearest], path)
    return nearest


def sample(n: int) -> NDArray[np.intp]:
    """Which of `n` training faces are used: the same ones each time."""
    order = np.random.default_rng(0).permutation(n)[: 2 * FACES]
    return np.sort(order)


def distance(wanted: Mapping[str, Floats], found: Mapping[str, Floats]) -> float:
    """How far outputs (n, k) by head are from the wanted ones: the sum over heads of a mean.

    Of classes it is the mean Kullback-Leibler divergence of the probabilities, of affect the mean
    squared difference.
    """
    total = 0.0
    for head, ours in wanted.items():
        if head == AFFECT:
            total += float(np.mean((ours - found[head]) ** 2))
            continue
        p = softmax(ours)
        ratio = np.log(np.maximum(p, 1e-9)) - np.log(np.maximum(softmax(found[head]), 1e-9))
        total += float((p * ratio).sum(axis=1).mean())
    return total


class _Faces:
    """Batches of prepared crops, as ONNX Runtime asks for them: a range of batches at a time."""

    def __init__(self, x: Floats) -> None:
        self._batches = [x[i : i + _BATCH] for i in range(0, len(x), _BATCH)]
        self._waiting = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._waiting = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Floats] | None:
        batch = next(self._waiting, None)
        return None if batch is None else {"crops": batch}


def _quantise(source: Path, tried: Mapping[float, Path], x: Floats) -> None:
    """Write an int8 file for each percentile; ONNX Runtime's notes on stdout are swallowed."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = next(iter(tried.values())).with_name("prepared.onnx")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises on the root logger to do what was done here
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            left_float = _ends(onnx.load(prepared).graph.node)
            for percentile, path in tried.items():
                quantize_static(
                    prepared,
                    path,
                    _Faces(x),
                    quant_format=QuantFormat.QOperator,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=left_float,
                    per_channel=True,
                    reduce_range=True,
                    calibrate_method=CalibrationMethod.Percentile,
                    # One batch at a time: all activations of all faces would not fit in memory.
                    extra_options={"CalibPercentile": percentile, "CalibStridedMinMax": 1},
                )
    finally:
        root.setLevel(level)


def _ends(nodes: Sequence[NodeProto]) -> list[str]:
    """The names of those before the second convolution, and of the linear classifiers.

    A network of fewer convolutions has none: little would be left of it.
    """
    convolutions = [at for at, node in enumerate(nodes) if node.op_type == "Conv"]
    if len(convolutions) < 2:
        return []
    stem = [node.name for node in nodes[: convolutions[1]]]
    return [*stem, *(node.name for node in nodes if node.op_type == "Gemm")]


def _outputs(path: Path, x: Floats) -> dict[str, Floats]:
    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(None, {"crops": x[i : i + _BATCH]}) for i in range(0, len(x), _BATCH)]
    return {
        name: np.concatenate(column)
        for name, column in zip(names, zip(*parts, strict=True), strict=True)
    }

"""ONNX files: a network's graph is written, and the notes that a file carries are its spec."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mien.spec import KEY, ModelSpec

OPSET = 18


class _Tuple(nn.Module):
    """The network with its outputs in a fixed order: ONNX has no dictionaries."""

    def __init__(self, model: nn.Module, heads: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.heads = model, heads

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        logits = self.model(crops)
        return tuple(logits[head] for head in self.heads)


def write_graph(
    model: nn.Module, heads: tuple[str, ...], channels: int, size: int, path: Path
) -> None:
    """Write `model` as ONNX with a free batch size: input "crops", one output per head."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            _Tuple(model, heads).eval(),
            (torch.zeros(2, channels, size, size),),
            str(path),
            input_names=["crops"],
            output_names=list(heads),
            dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def write_spec(path: Path, spec: ModelSpec) -> None:
    """Put `spec` into the ONNX file `path`, in the place of whatever notes it carries."""
    onnx.save(with_spec(path, spec), path)


def with_spec(path: Path, spec: ModelSpec) -> onnx.ModelProto:
    """What the ONNX file `path` holds, with `spec` in the place of whatever notes it carries."""
    model = onnx.load(path)
    _strip(model)
    onnx.helper.set_model_props(model, {KEY: spec.to_json()})
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, a third of the file: shapes, stack traces with their paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
    used = {node.domain for node in graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)

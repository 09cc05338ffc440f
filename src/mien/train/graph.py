"""ONNX files: a network's graph is written, and the notes that a file carries are its spec."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mien.errors import ModelError
from mien.spec import KEY, HeadSpec, ModelSpec
from mien.types import Floats

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


def write_spec(path: Path, spec: ModelSpec, before: ModelSpec | None = None) -> None:
    """Put `spec` into the ONNX file `path`, as `with_spec` does."""
    onnx.save(with_spec(path, spec, before), path)


def with_spec(path: Path, spec: ModelSpec, before: ModelSpec | None = None) -> onnx.ModelProto:
    """What the ONNX file `path` holds, with `spec` in the place of whatever notes it carries.

    Args:
        path: the file.
        spec: its new notes.
        before: what it was until now, if biases were fitted since: they are put into its heads.

    Raises:
        ModelError: biases for a head that is no linear layer with biases.
    """
    model = onnx.load(path)
    for old, new in zip(before.heads, spec.heads, strict=True) if before else ():
        if old.biases != new.biases:
            _add(model, new.name, np.subtract(biases_of(new), biases_of(old)))
    _strip(model)
    onnx.helper.set_model_props(model, {KEY: spec.to_json()})
    return model


def biases_of(head: HeadSpec) -> Floats:
    """What the logits of `head` have had added to them (k,), zeros if nothing."""
    return np.asarray(head.biases or [0.0] * len(head.labels), np.float32)


def _add(model: onnx.ModelProto, head: str, more: Floats) -> None:
    """Raise the biases of the linear layer whose output is `head`."""
    (node,) = (node for node in model.graph.node if head in node.output)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    if node.op_type != "Gemm" or len(node.input) < 3 or node.input[2] not in tensors:
        raise ModelError(
            f"the head {head} ends in {node.op_type}, not in a linear layer with biases of its "
            "own; leave it out of release.bias_corrected"
        )
    tensor = tensors[node.input[2]]
    raised = onnx.numpy_helper.to_array(tensor) + more
    tensor.CopyFrom(onnx.numpy_helper.from_array(raised, tensor.name))


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

"""A real ONNX model whose answers can be worked out by hand, made without torch.

The network sees three things in a standardised crop: how much lighter its right half is than its
left, its bottom half than its top, and one diagonal pair of quarters than the other. Logits are
`FERPLUS` or `FER2013` times those three, plus a bias. In the pictures of `halves` the first two
are exactly -1, 0 or 1.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mien.labels import EIGHT, SEVEN
from mien.spec import KEY, AnswerSpec, HeadSpec, InputSpec, ModelSpec

SIZE = 16
FLOOR = 8.0

# Rows: right, bottom, diagonal. Columns: the labels in mien's order.
FERPLUS = np.array(
    [
        [0.0, 2.0, -0.5, -2.0, 0.4, 0.1, -0.3, 0.2],
        [0.5, -0.2, -1.5, 1.8, 1.0, 0.3, -0.7, 0.1],
        [0.0, 0.3, 0.6, -0.1, -1.2, 0.9, 0.2, -0.4],
    ],
    np.float32,
)
FERPLUS_BIAS = np.array([1.0, 0.2, -0.1, 0.0, -0.3, -0.8, -0.6, -0.9], np.float32)
FER2013 = np.array(
    [
        [0.2, 1.1, -0.4, -1.3, 0.7, -0.1, 0.5],
        [-0.6, 0.1, -0.9, 0.8, 1.4, 0.0, 0.3],
        [0.1, -0.5, 0.2, 0.6, -0.7, 0.4, 0.8],
    ],
    np.float32,
)
FER2013_BIAS = np.array([0.5, 0.3, 0.0, 0.1, -0.2, -0.7, 0.2], np.float32)
AFFECT = np.array([[2.0, 0.0], [0.0, 0.25], [0.0, 0.0]], np.float32)

FERPLUS_PRIORS = (0.36, 0.26, 0.12, 0.12, 0.09, 0.02, 0.02, 0.01)
FER2013_PRIORS = (0.17, 0.25, 0.11, 0.17, 0.14, 0.02, 0.14)


@dataclass(frozen=True)
class Head:
    """An output: `weights` (3, k) and `bias` (k,) in the order of `labels`."""

    weights: np.ndarray
    bias: np.ndarray
    spec: HeadSpec


PLUS = Head(FERPLUS, FERPLUS_BIAS, HeadSpec("ferplus", EIGHT, 1.0, FERPLUS_PRIORS))
TEN13 = Head(FER2013, FER2013_BIAS, HeadSpec("fer2013", SEVEN, 1.0, FER2013_PRIORS))


def heated(head, temperature):
    """The head with that temperature."""
    return replace(head, spec=replace(head.spec, temperature=temperature))


def reordered(head, labels, *, relabel=True):
    """The head with its columns in the order of `labels`; `relabel` tells the spec so."""
    at = [head.spec.labels.index(label) for label in labels]
    priors = tuple(head.spec.priors[i] for i in at)
    spec = replace(head.spec, labels=tuple(labels), priors=priors) if relabel else head.spec
    return Head(head.weights[:, at], head.bias[at], spec)


def patterns(channels=1, size=SIZE):
    """What the network sees, (channels * size * size, 3); a mean of products, summed over channels.

    With three channels only red and blue count, blue the other way round.
    """
    sign = np.where(np.arange(size) < size // 2, -1.0, 1.0)
    ones = np.ones(size)
    planes = [np.outer(ones, sign), np.outer(sign, ones), np.outer(sign, sign)]
    weights = [1.0] if channels == 1 else [1.0, 0.0, -1.0]
    columns = [np.concatenate([w * plane.ravel() for w in weights]) for plane in planes]
    return (np.stack(columns, axis=1) / (channels * size * size)).astype(np.float32)


def make_spec(heads=(PLUS, TEN13), *, channels=1, answer=None, **changes):
    """The spec that `write_model` puts into the file."""
    spec = ModelSpec(
        name="tiny-test",
        version="1",
        input=InputSpec(SIZE, channels, "square-v1", FLOOR),
        heads=tuple(head.spec for head in heads),
        answer=answer or AnswerSpec({"ferplus": 1.0}, {}),
        parameters=sum(h.weights.size + h.bias.size for h in heads),
        macs=3 * 256 * channels,
        licence="CC0-1.0",
        training_data=("none",),
        command="none",
    )
    return replace(spec, **changes)


def write_model(path, heads=(PLUS, TEN13), *, channels=1, answer=None, affect=False, metadata=None):
    """Write the model to `path` and return it; `metadata` replaces what is put into the file."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    outputs = [(head.spec.name, head.weights, head.bias) for head in heads]
    if affect:
        outputs.append(("affect", AFFECT, np.zeros(2, np.float32)))
    constants = [numpy_helper.from_array(patterns(channels), "patterns")]
    nodes = [
        helper.make_node("Flatten", ["crops"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "patterns"], ["seen"]),
    ]
    for name, weights, bias in outputs:
        constants += [
            numpy_helper.from_array(weights, f"{name}.w"),
            numpy_helper.from_array(bias, f"{name}.b"),
        ]
        nodes.append(helper.make_node("Gemm", ["seen", f"{name}.w", f"{name}.b"], [name]))
    tensor = helper.make_tensor_value_info
    crops = tensor("crops", TensorProto.FLOAT, ["batch", channels, SIZE, SIZE])
    told = [tensor(n, TensorProto.FLOAT, ["batch", w.shape[1]]) for n, w, _ in outputs]
    graph = helper.make_graph(nodes, "tiny", [crops], told, constants)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    if metadata is None:
        metadata = {KEY: make_spec(heads, channels=channels, answer=answer).to_json()}
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def halves(side="right", size=SIZE, low=0, high=255):
    """A grey crop (size, size), light on one side: right, left, bottom or top."""
    dark_first = np.where(np.arange(size) < size // 2, low, high).astype(np.uint8)
    line = dark_first if side in ("right", "bottom") else dark_first[::-1]
    crop = np.broadcast_to(line, (size, size))
    return np.ascontiguousarray(crop if side in ("right", "left") else crop.T)


def logits_of(head, right=0.0, bottom=0.0, diagonal=0.0):
    """The head's logits (k,) for a crop in which the network sees these three."""
    return np.array([right, bottom, diagonal], np.float32) @ head.weights + head.bias


def softmaxed(logits):
    """Probabilities of one row of logits, in plain float64."""
    powers = np.exp(np.asarray(logits, np.float64))
    return powers / powers.sum()

"""Weights in half the bytes, in a graph of one matrix."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402

from mien.errors import ModelError  # noqa: E402
from mien.train.halve import halve  # noqa: E402


def write(path, weights, bias):
    """A file that computes x @ weights + bias."""
    held = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "weights", "bias"], ["y"])],
        "gemm",
        [held("x", onnx.TensorProto.FLOAT, ["n", len(weights)])],
        [held("y", onnx.TensorProto.FLOAT, ["n", len(bias)])],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.fixture
def parts():
    draw = np.random.default_rng(0)
    return draw.normal(size=(64, 32)).astype(np.float32), draw.normal(size=32).astype(np.float32)


def test_large_weights_alone_are_rounded(tmp_path, parts):
    weights, bias = parts
    write(tmp_path / "gemm.onnx", weights, bias)
    before = (tmp_path / "gemm.onnx").stat().st_size
    assert halve(tmp_path / "gemm.onnx") == 1
    assert before - (tmp_path / "gemm.onnx").stat().st_size == pytest.approx(4096, abs=100)
    x = np.eye(64, dtype=np.float32)
    rounded = weights.astype(np.float16).astype(np.float32)
    assert run(tmp_path / "gemm.onnx", x) == pytest.approx(rounded + bias, abs=1e-6)
    assert np.abs(rounded / weights - 1).max() <= 1 / 2048


@pytest.mark.parametrize("large", [70_000.0, np.nan])
def test_weights_that_float16_cannot_hold_leave_the_file_as_it_was(tmp_path, parts, large):
    weights, bias = parts
    weights[3, 4] = large
    path = tmp_path / "gemm.onnx"
    write(path, weights, bias)
    before = path.read_bytes()
    with pytest.raises(ModelError, match="weights goes above 65,504"):
        halve(path)
    assert path.read_bytes() == before

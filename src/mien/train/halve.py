"""An ONNX file of half the size: large weights are stored as float16, and the arithmetic stays.

Each of them is cast back to float32 inside the graph. ONNX Runtime does that once, when it loads
the file, so that nothing becomes slower; a weight changes by at most one part in 2048.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from mien.errors import ModelError

#: Smaller tensors, the biases, stay as they are: a cast for each would take more than it saves.
SMALLEST = 1024


def halve(path: Path) -> int:
    """Store the large float32 weights of the ONNX file `path` as float16, in place.

    Returns:
        How many tensors were halved.

    Raises:
        ModelError: a weight is too large for float16, above 65,504; the file is as it was.
    """
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= SMALLEST:
            name, stored = tensor.name, f"{tensor.name}.float16"
            tensor.CopyFrom(onnx.numpy_helper.from_array(_half(tensor), stored))
            casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return len(casts)


def _half(tensor: onnx.TensorProto) -> NDArray[np.float16]:
    whole = onnx.numpy_helper.to_array(tensor)
    if not np.abs(whole).max() <= np.finfo(np.float16).max:
        raise ModelError(
            f"the tensor {tensor.name} goes above 65,504, which float16 cannot hold; release the "
            "model as fp32"
        )
    return whole.astype(np.float16)

"""The layers of a network that dlib has serialised, read without dlib.

dlib writes a network from its input to its output, each layer as its kind, what it was made with,
and its parameters. Whole numbers are a byte that tells their length, and then that many bytes,
lowest first; text is its length and its bytes; a tensor is a 2, its four sizes, and 32-bit floats.
What lies between the layers is of no interest here: layers are found by their kinds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.types import Floats

_LAYER = re.compile(rb"\x01\x05(con_4)|\x01\x07(affine_)")
_TENSOR = 2
_LENGTH = 0x0F
"""The bits of a number's first byte that are its length."""


@dataclass(frozen=True)
class DlibLayer:
    """A layer with parameters.

    Attributes:
        kind: "con_4", a convolution, or "affine_", a factor and an offset for each channel.
        values: float32 (n,), all its parameters in a row: filters (outputs, inputs, height, width)
            and then biases; or factors and then offsets.
    """

    kind: str
    values: Floats


def read_dlib(path: Path) -> list[DlibLayer]:
    """The convolutions and affine layers of a ``.dat`` file, from the input on.

    Raises:
        DataError: no such file, or one that holds no layers or ends within one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    found = _LAYER.finditer(data)
    layers = [DlibLayer(_kind(layer), _tensor(path, data, layer.end())) for layer in found]
    if not layers:
        raise DataError(f"{path}: no network of dlib's; it has no convolutions")
    return layers


def _kind(layer: re.Match[bytes]) -> str:
    return str(layer[layer.lastindex or 0], "ascii")


def _tensor(path: Path, data: bytes, at: int) -> Floats:
    """The tensor that starts at the byte `at`, flat."""
    numbers = []
    for _ in range(5):  # what it is and its four sizes
        length = (data[at] if at < len(data) else 0) & _LENGTH
        numbers.append(int.from_bytes(data[at + 1 : at + 1 + length], "little"))
        at += 1 + length
    what, *sizes = numbers
    if what != _TENSOR:
        raise DataError(f"{path}: a layer of a form that is not known here, at byte {at}")
    size = math.prod(sizes)
    if at + 4 * size > len(data):
        raise DataError(f"{path}: ends within a layer; fetch it again")
    return np.frombuffer(data, "<f4", size, at).astype(np.float32)

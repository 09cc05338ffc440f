"""Tensors by name out of files that others made, without running what the files say.

A pickle is a program: loading one with `pickle.load` runs it. The public VGGFace2 weights are a
pickle all the same, so `read_tensors` gives it an unpickler that knows how to build dictionaries,
text, numbers and NumPy arrays of numbers, by stand-ins in this module, and nothing else.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.errors import DataError, UsageError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of weights as tensors by name, on the CPU.

    Args:
        path: by its ending: ``.pkl``, a pickled dictionary of NumPy arrays, Python 2's too;
            ``.npz``; ``.safetensors``; ``.pth`` or ``.pt``, PyTorch's state dictionary, from whose
            names ``module.`` is taken off.

    Returns:
        Tensors in the order of the file.

    Raises:
        UsageError: another ending.
        DataError: no such file, a damaged one, one that holds something other than arrays of
            numbers by name, or a pickle that calls for anything but them, naming it.
    """
    if path.suffix not in READERS:
        raise UsageError(f"{path}: weights are read from {', '.join(READERS)} files")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content = READERS[path.suffix](path)
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path}: holds no dictionary of weights but a {type(content).__name__}")
    return {name: _tensor(path, name, value) for name, value in content.items()}


def _tensor(path: Path, name: object, value: object) -> Tensor:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiu":
        native = np.asarray(value)
        # PyTorch shares no big-endian and no read-only memory.
        value = torch.from_numpy(native.astype(native.dtype.newbyteorder("=")))
    if not isinstance(name, str) or not isinstance(value, Tensor):
        raise DataError(f"{path}: {name!r} is not an array of numbers but {_kind(value)}")
    return value


def _kind(value: object) -> str:
    what = type(value).__name__
    return f"{what} of {value.dtype}" if isinstance(value, np.ndarray) else what


#: What damaged files raise.
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (*_DAMAGE, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from mien.train import checkpoint

    return checkpoint.load(path)[0]


def _read_torch(path: Path) -> Any:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (*_DAMAGE, OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, Mapping):
        return content
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            content = _ArraysOnly(file, encoding="latin1").load()
        except _RefusedError as error:
            raise DataError(f"{path}: refused: it {error}; weights need no such thing") from error
        except _DAMAGE as error:
            raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        return content
    return {k: v.values if isinstance(v, _Array) else v for k, v in content.items()}


READERS: dict[str, Callable[[Path], Any]] = {
    ".pkl": _read_pickle,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
}
"""What reads a file of weights, by its ending."""


def _unreadable(path: Path, error: Exception) -> DataError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return DataError(f"{path}: not a readable file of weights ({first})")


class _RefusedError(pickle.UnpicklingError):
    """A pickle asked for something that is not on the list."""


class _Numbers:
    """In place of ``numpy.dtype``: floats or integers of some width and byte order."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[<>=|]?[fiu]\d", code):
            raise _RefusedError(f"holds an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """In place of ``numpy.ndarray``, made empty by ``_reconstruct`` and filled by its state."""

    values: np.ndarray[Any, Any] | None = None

    def __init__(self, kind: object = None, shape: object = None, code: object = None) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.values = _from_bytes(data, kind).reshape(shape, order="F" if fortran else "C")


def _from_buffer(data: Any, kind: Any, shape: Any, order: str) -> _Array:
    """In place of NumPy's ``_frombuffer``, which pickles of protocol 5 use."""
    array = _Array()
    array.values = _from_bytes(data, kind).reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(kind: Any, data: Any) -> Any:
    """In place of NumPy's ``scalar``: the one number in `data`."""
    return _from_bytes(data, kind)[0]


def _from_bytes(data: Any, kind: Any) -> np.ndarray[Any, Any]:
    # Python 2's bytes come as text.
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, kind.dtype)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """In place of ``codecs.encode``, which Python 3 uses for bytes in pickles that 2 can read."""
    if encoding != "latin1":
        raise _RefusedError(f"encodes text as {encoding!r}")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Numbers,
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = _Array
    _KNOWN[f"{_core}.multiarray", "scalar"] = _scalar
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _ArraysOnly(pickle.Unpickler):
    """An unpickler whose pickles can name nothing but what is in `_KNOWN`."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for ``module.name``, or an error that names it."""
        if (module, name) not in _KNOWN:
            raise _RefusedError(f"asks for {module}.{name}")
        # A partial of its own for each: a pickle may set attributes of whatever it named.
        return partial(_KNOWN[module, name])

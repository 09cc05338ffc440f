"""ONNX Runtime sessions that say what they run on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mien.errors import ModelError, UsageError

Device = Literal["auto", "cpu", "cuda"]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(model: Path, *, device: Device = "cpu", threads: int = 1) -> Any:
    """Open an `onnxruntime.InferenceSession` of the file `model`.

    Args:
        model: the ONNX file.
        device: "cuda" where ONNX Runtime cannot give it is an error that says why; "auto" takes
            CUDA where it is there, else the CPU.
        threads: CPU threads inside one operator. One is quickest for small networks run face by
            face; batches gain from two.
    """
    import onnxruntime as ort

    if device not in ("auto", *PROVIDERS):
        raise UsageError(f"no device {device!r}; known: auto, cpu, cuda")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = _providers(device, ort.get_available_providers())
    refusals = _refusals(ort)
    try:
        session = ort.InferenceSession(str(model), options, providers=wanted)
    except refusals as error:
        raise ModelError(f"{model}: ONNX Runtime cannot load it ({_first_line(error)})") from error
    if device == "cuda" and device_of(session) != "cuda":
        raise UsageError(
            "device cuda was asked for, but ONNX Runtime fell back to the CPU: a CUDA or cuDNN "
            "library is missing. Use --device auto to allow the CPU."
        )
    return session


def device_of(session: Any) -> str:
    """The device that `session` really runs on: "cpu" or "cuda"."""
    first = session.get_providers()[0]
    return next((name for name, provider in PROVIDERS.items() if provider == first), first)


def _providers(device: Device, available: Sequence[str]) -> list[str]:
    cuda = PROVIDERS["cuda"] in available
    if device == "cuda" and not cuda:
        raise UsageError(
            "device cuda was asked for, but this onnxruntime has no CUDA. Install it with: "
            "pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    if device == "cpu" or not cuda:
        return [PROVIDERS["cpu"]]
    return [PROVIDERS["cuda"], PROVIDERS["cpu"]]


def _refusals(ort: Any) -> tuple[type[Exception], ...]:
    """The errors of a session that cannot be opened: ONNX Runtime's have no base of their own."""
    kinds = vars(ort.capi.onnxruntime_pybind11_state).values()
    own = (k for k in kinds if isinstance(k, type) and issubclass(k, Exception))
    return (*own, OSError, RuntimeError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]

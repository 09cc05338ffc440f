"""Weights and training states as safetensors files, written beside and moved into place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.errors import DataError


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON-able facts `about` to `path`; a kill leaves the old file."""
    beside = path.with_name(path.name + ".part")
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    save_file(plain, beside, metadata={"mien": json.dumps(about)})
    beside.replace(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote: the tensors and the facts."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("mien", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable checkpoint ({error})") from error


def digest(path: Path) -> str:
    """SHA-256 of the file, by which weights are known wherever they lie."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with ``prefix.`` in front of their names."""
    return {f"{prefix}.{name}": t for name, t in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors whose names start with ``prefix.``, without it."""
    return {
        k.removeprefix(prefix + "."): t for k, t in tensors.items() if k.startswith(prefix + ".")
    }


def optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by ``<parameter>/<entry>``, e.g. ``stem.weight/momentum_buffer``."""
    return {
        f"{name}/{entry}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for entry, value in optimiser.state[parameter].items()
        if value is not None
    }


def restore_optimiser(
    model: nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimiser_tensors` gave."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, entry = key.rsplit("/", 1)
        parameter = parameters[name]
        # AdamW counts its steps on the CPU wherever the weights are.
        device = "cpu" if entry == "step" else parameter.device
        optimiser.state[parameter][entry] = value.to(device)

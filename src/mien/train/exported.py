"""The network of an exported file again, to be trained on: what `mien.train.export` did, undone.

The files that come with mien are what is left of their runs. An export folds each BatchNorm into
the convolution before it, so that of ``gamma (x - mu) / sigma + beta`` only scaled weights and one
bias are left; int8 rounds those. In training a BatchNorm goes by its batches, so the folded ones
are split again: the mean and the deviation of what comes in are measured on faces, and gamma and
beta are what makes the answers those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mien.errors import DataError
from mien.metrics import softmax
from mien.runtime.classify import Classifier, load_classifier
from mien.runtime.store import bundled, resolve
from mien.train.data.rows import AFFECT, evenly_spaced
from mien.train.models import build
from mien.train.models.norms import measure_norms
from mien.types import Floats, Image

FACES = 512
"""Faces at most that BatchNorm's statistics are measured on, evenly spaced."""
DIFFERS = 0.01
"""How far the probabilities of a face may differ in the mean: half the sum over the classes."""
ROUNDED = 0.05
"""That of an int8 file, which rounds what passes through it, faces unlike its own most."""

FOLDED = ".weight_bias"
"""The bias that is left of a BatchNorm is called so, behind its convolution's name. A convolution
with a bias of its own has it there."""
_NORM = ("weight", "bias", "running_mean", "running_var")
#: Inputs of a quantised layer: of its input the scale; of its weights the numbers, scale and zero;
#: and the bias.
_QUANTISED = {"QLinearConv": (1, 3, 4, 5, 8), "QGemm": (1, 3, 4, 5, 6)}


def exported_file(source: str) -> Path | None:
    """The file that `source` names: a bundled model or an ``.onnx`` file; None is a run folder.

    Raises:
        ModelError: a file that is not there.
        DataError: nothing of that name is there.
    """
    names = bundled()
    if source.endswith(".onnx") or source in names:
        return resolve(source)
    if not Path(source).is_dir():
        raise DataError(
            f"{source}: not a run folder, nor a model that comes with mien ({', '.join(names)})"
        )
    return None


def exported_weights(path: Path, options: Mapping[str, Any], crops: Image) -> dict[str, Tensor]:
    """The state dictionary of the network in the file `path` that `mien export` wrote.

    Args:
        path: the file, in fp32, fp16 or int8.
        options: those of its architecture, such as ``{"activation": "hardswish"}``; a file does not
            tell them.
        crops: faces to measure BatchNorm's statistics on, uint8 (n, h, w) or (n, h, w, 3).

    Raises:
        ModelError: a file that is damaged or without mien's metadata.
        UsageError: options that the architecture does not have.
        DataError: layers or answers that are not those of this architecture with these options.
    """
    classifier = load_classifier(path)
    spec = classifier.spec
    heads = {head.name: len(head.labels) for head in spec.heads}
    model = build(spec.architecture, heads, channels=spec.input.channels, **options).eval()
    crops = crops[evenly_spaced(len(crops), FACES)]
    x = torch.from_numpy(classifier.prepare(crops))
    stored = onnx.load(path)
    tensors = _tensors(stored)
    folded = {
        norm: tensors.get(f"{convolution}{FOLDED}", torch.zeros(()))
        for convolution, norm in _norms_behind(model, x[:2]).items()
        if f"{norm}.running_mean" not in tensors
    }
    own = model.state_dict()
    taken = {k: t for k, t in tensors.items() if k in own and t.shape == own[k].shape}
    told = {*taken, *(f"{norm}.{part}" for norm in folded for part in _NORM)}
    if unknown := [k for k in own if k not in told and not k.endswith("num_batches_tracked")]:
        raise DataError(
            f"{path}: its layers are not those of {spec.architecture} with the options "
            f"{dict(options)} (nothing for {', '.join(unknown[:3])})"
        )
    model.load_state_dict(taken, strict=False)
    _unfold(model, folded, x)
    _check(model, classifier, crops, x, path, ROUNDED if _is_int8(stored) else DIFFERS)
    return model.state_dict()


def _tensors(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Every float of the file by the name that the network gives it; int8 times its scale."""
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    floats: dict[str, Floats] = {
        name.removesuffix(".float16"): array.astype(np.float32)
        for name, array in stored.items()
        if array.dtype.kind == "f"
    }
    for node in model.graph.node:
        if node.op_type not in _QUANTISED:
            continue
        incoming, weight, scale, zero, bias = _QUANTISED[node.op_type]
        column = (-1, *[1] * (stored[node.input[weight]].ndim - 1))
        steps = stored[node.input[scale]]
        numbers = stored[node.input[weight]].astype(np.float32)
        numbers -= stored[node.input[zero]].reshape(column)
        floats[_plain(node.input[weight])] = numbers * steps.reshape(column)
        if len(node.input) > bias and node.input[bias]:
            each = stored[node.input[incoming]] * steps
            floats[_plain(node.input[bias])] = stored[node.input[bias]] * each
    return {k.removeprefix("model."): torch.from_numpy(v.copy()) for k, v in floats.items()}


def _is_int8(model: onnx.ModelProto) -> bool:
    return any(node.op_type in _QUANTISED for node in model.graph.node)


def _plain(name: str) -> str:
    return name.removesuffix("_quantized")


@torch.no_grad()
def _norms_behind(model: nn.Module, x: Tensor) -> dict[str, str]:
    """The BatchNorm that is given what a convolution puts out, by the convolution's name."""
    names = {module: name for name, module in model.named_modules()}
    made: list[tuple[Tensor, str]] = []
    norms: dict[str, str] = {}

    def convolved(module: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
        made.append((out, names[module]))

    def normed(module: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
        norms.update({name: names[module] for maps, name in made if maps is args[0]})

    hooks = [
        module.register_forward_hook(convolved if isinstance(module, nn.Conv2d) else normed)
        for module in names
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return norms


@torch.no_grad()
def _unfold(model: nn.Module, biases: Mapping[str, Tensor], x: Tensor) -> None:
    """Split what was folded: the answers to `x`, and to all else, stay; BatchNorm is itself again.

    First each norm only adds what is left of it, ``1 * (x - 0) / 1 + bias``; then it is given the
    statistics of what comes in.
    """
    modules = dict(model.named_modules())
    norms = []
    for name, bias in biases.items():
        norm = modules[name]
        assert isinstance(norm, nn.BatchNorm2d)
        norms.append(norm)
        for part, value in zip(_NORM, (1.0, bias, 0.0, 1.0 - norm.eps), strict=True):
            getattr(norm, part).copy_(torch.as_tensor(value))
    measure_norms(model, norms, x)


@torch.no_grad()
def _check(
    model: nn.Module, classifier: Classifier, crops: Image, x: Tensor, path: Path, most: float
) -> None:
    """The probabilities of each head must be those of the file, but for `most` in the mean."""
    ours, theirs = model(x), classifier.logits(crops)
    for head in classifier.spec.heads:
        if head.name == AFFECT:
            continue
        difference = softmax(ours[head.name].numpy()) - softmax(theirs[head.name])
        moved = np.abs(difference).sum(axis=1).mean() / 2
        if not moved <= most:
            raise DataError(
                f"{path}: {classifier.spec.architecture} with these options answers otherwise than "
                f"the file: the probabilities of {head.name} differ by {moved:.1%}, of {len(x)} "
                f"faces in the mean, where {most:.0%} are allowed. Give model.options as in the "
                "recipe of the file"
            )

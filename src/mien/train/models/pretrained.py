"""Public weights into our networks, every tensor by its name and shape.

SENet-50: ``senet50_ft_weight.pkl`` or ``senet50_scratch_weight.pkl`` of VGGFace2-pytorch by
cydonia999, a pickled dictionary of NumPy arrays [found; the names of the files: inferred]. EmoNet:
``emonet_8.pth`` of face-analysis/emonet, a state dictionary of 682 tensors [found]. Neither could
be tried by mien's authors: the tests load files of their own making, in those formats. Any of the
forms that `mien.train.models.weight_files` reads will do. dlib's face recognition network:
``dlib_face_recognition_resnet_model_v1.dat``, in dlib's own form, which was tried. None of them
comes with mien.

What the networks must be given with these weights is in `mien.train.models.inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mien.errors import DataError, UsageError
from mien.labels import EIGHT
from mien.train.models.dlib_file import read_dlib
from mien.train.models.weight_files import READERS, read_tensors

EMONET_LABELS = (
    "neutral",
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
"""The order of the eight expressions in ``emonet_8.pth``, which is AffectNet's [found]."""

Layer = TypeVar("Layer", bound=nn.Module)

DLIB = ".dat"
"""The ending of a network that dlib serialised."""

SENET50_CLASSIFIER = ("fc.weight", "fc.bias")
EMONET_CLASSIFIER = ("emo_fc_2.3.weight", "emo_fc_2.3.bias")


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor of a file of weights. The names are those of the file.

    Attributes:
        source: the file.
        taken: tensors that are in the network now.
        missing: tensors of the network that the file does not have.
        unexpected: tensors of the file that the network does not have.
        other_shape: tensors of both that differ in shape, with the two shapes: file, network.
    """

    source: str
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __str__(self) -> str:
        """One line: how many were taken, and the first few of the others, but for counters."""
        missing = [name for name in self.missing if not _is_counter(name)]
        shapes = [f"{name} {tuple(a)} for {tuple(b)}" for name, a, b in self.other_shape]
        parts = [f"{len(self.taken)} tensors taken from {self.source}"]
        listed = {"missing": missing, "unexpected": self.unexpected, "other shape": shapes}
        parts += [f"{len(n)} {what} ({_first(n)})" for what, n in listed.items() if n]
        return "; ".join(parts)


def public_file(source: str) -> Path | None:
    """The file of public weights that `source` names, by its ending; None is something else."""
    path = Path(source)
    return path if path.suffix in (*READERS, DLIB) else None


def load_public(
    path: Path, architecture: str, model: nn.Module, labels: Mapping[str, Sequence[str]]
) -> LoadReport:
    """Load public weights into `model`, an `architecture` with a head for each of `labels`.

    Raises:
        DataError: an unreadable file, or one with other tensors.
        UsageError: an architecture that there are no public weights for.
    """
    if architecture in ("senet50", "senet_small"):
        return load_senet50(path, model)
    if architecture == "emonet":
        eight = (names for names in labels.values() if sorted(names) == sorted(EMONET_LABELS))
        return load_emonet(path, model, labels=next(eight, EIGHT))
    if architecture == "dlib_resnet":
        return load_dlib_resnet(path, model)
    raise UsageError(
        f"{path}: public weights are known for senet50, emonet and dlib_resnet, not {architecture}"
    )


def load_senet50(path: Path, model: nn.Module, *, head: str | None = None) -> LoadReport:
    """Load public VGGFace2 weights into a `senet50`, all or nothing.

    Every tensor must be there and fit, but for two: BatchNorm's counters, which the pickles may
    lack, and the classifier ``fc``. That goes to the head `head` if it has as many outputs; 8,631
    identities do not fit eight expressions, and the head stays as it is.

    Args:
        path: the file.
        model: what `senet50` built, with ``input="pixels"`` or "restored" if it is to be of use.
        head: the head that ``fc`` goes to; without it the only one, or none where there are more.

    Returns:
        What was taken and what was not.

    Raises:
        DataError: an unreadable file, or one with other tensors; the model is as it was then.
        UsageError: no such head.
    """
    return _load(path, read_tensors(path), model, _senet_names(model, head), SENET50_CLASSIFIER)


def senet50_public_state(model: nn.Module, *, head: str | None = None) -> dict[str, Tensor]:
    """The tensors of a `senet50` under the names of the public files, `head` being ``fc``.

    Other heads keep their names. Saved as ``.npz`` or ``.safetensors`` it is what `load_senet50`
    and the public code read.
    """
    ours = {own: public for public, own in _senet_names(model, head).items()}
    return {ours.get(name, name): tensor for name, tensor in model.state_dict().items()}


def load_emonet(path: Path, model: nn.Module, *, labels: Sequence[str] = EIGHT) -> LoadReport:
    """Load ``emonet_8.pth`` into an `emonet`, all or nothing.

    Every tensor must be there and fit, but for BatchNorm's counters and the classifier, if the
    network has another number of outputs than the ten of the file: then it stays as it is.

    Args:
        path: the file.
        model: what `emonet` built with ``{"expression": 8, "affect": 2}``, or such heads under
            other names, and with ``input="pixels"`` or "restored" if it is to be of use.
        labels: the order that the eight expressions are to have in the network. The file has
            `EMONET_LABELS`; the rows of the classifier are put in this order.

    Returns:
        What was taken and what was not.

    Raises:
        DataError: an unreadable file, or one with other tensors; the model is as it was then.
        UsageError: `labels` are not the eight, or the network's ten outputs are split otherwise.
    """
    sizes = tuple(getattr(getattr(model, "heads", None), "sizes", {}).values())
    if sum(sizes) == 10 and sizes != (8, 2):
        raise UsageError(f"emonet's ten outputs are 8 expressions, then 2 of affect, not {sizes}")
    if sorted(labels) != sorted(EMONET_LABELS):
        raise UsageError(f"labels must be these in any order: {', '.join(EMONET_LABELS)}")
    tensors = read_tensors(path)
    order = [*(EMONET_LABELS.index(label) for label in labels), 8, 9]
    for name in EMONET_CLASSIFIER:
        if name in tensors and tensors[name].shape[:1] == (len(order),):
            tensors[name] = tensors[name][order]
    return _load(path, tensors, model, {}, EMONET_CLASSIFIER)


def load_dlib_resnet(path: Path, model: nn.Module) -> LoadReport:
    """Load ``dlib_face_recognition_resnet_model_v1.dat`` into a `dlib_resnet`, all or nothing.

    The heads stay as they are. dlib's convolutions have biases and a factor and an offset for each
    channel behind them, which BatchNorm becomes: its running mean is the bias, taken off, and its
    running variance one. In training it would go by its batches instead: see `measure_norms`.

    Args:
        path: the file.
        model: what `dlib_resnet` built, with ``input="pixels"`` or "restored".

    Returns:
        What was taken and what was not.

    Raises:
        DataError: an unreadable file, or another network; the model is as it was then.
    """
    return _load(path, _dlib_tensors(path, model), model, {}, ())


def _dlib_tensors(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The state dictionary of `model` out of dlib's file, layer by layer, without the heads."""
    convolutions = _named(model, nn.Conv2d)
    wanted = [
        layer
        for convolution in convolutions.values()
        for count in [convolution.out_channels]
        for layer in [("con_4", convolution.weight.numel() + count), ("affine_", 2 * count)]
    ]
    layers = read_dlib(path)
    if [(layer.kind, len(layer.values)) for layer in layers] != wanted:
        found, here = sum(len(layer.values) for layer in layers), sum(n for _, n in wanted)
        raise DataError(
            f"{path}: not the weights of this network: {len(layers)} layers of {found} numbers, "
            f"for {len(wanted)} of {here}; dlib_resnet takes them with its option input: restored"
        )
    tensors: dict[str, Tensor] = {}
    values = iter(torch.from_numpy(layer.values) for layer in layers)
    for (name, convolution), (behind, norm) in zip(
        convolutions.items(), _named(model, nn.BatchNorm2d).items(), strict=True
    ):
        count = convolution.out_channels
        filters, biases = torch.split(next(values), [convolution.weight.numel(), count])
        tensors[f"{name}.weight"] = filters.reshape(convolution.weight.shape)
        tensors[f"{behind}.weight"], tensors[f"{behind}.bias"] = torch.split(next(values), count)
        tensors[f"{behind}.running_mean"] = -biases
        tensors[f"{behind}.running_var"] = torch.full((count,), 1 - norm.eps)
    return tensors


def _named(model: nn.Module, kind: type[Layer]) -> dict[str, Layer]:
    """The layers of one kind by their names, in the order in which they were made."""
    return {name: module for name, module in model.named_modules() if isinstance(module, kind)}


def _senet_names(model: nn.Module, head: str | None) -> dict[str, str]:
    """Our names of ``fc.weight`` and ``fc.bias``; empty where no head is to be theirs."""
    heads = list(getattr(model, "heads", ()))
    if head is None and len(heads) == 1:
        head = heads[0]
    if head is None:
        return {}
    if head not in heads:
        raise UsageError(f"the network has no head {head!r}; it has {', '.join(heads)}")
    return {f"fc.{part}": f"heads.{head}.{part}" for part in ("weight", "bias")}


def _load(
    path: Path,
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    renamed: Mapping[str, str],
    classifier: tuple[str, ...],
) -> LoadReport:
    """Copy `tensors` into `model`, where the file's names `renamed` mean others of the model's."""
    public = {own: name for name, own in renamed.items()}
    own = {public.get(name, name): tensor for name, tensor in model.state_dict().items()}
    fitting = [k for k in own if k in tensors and tensors[k].shape == own[k].shape]
    report = LoadReport(
        str(path),
        tuple(fitting),
        tuple(k for k in own if k not in tensors),
        tuple(k for k in tensors if k not in own),
        tuple(
            (k, tuple(tensors[k].shape), tuple(own[k].shape))
            for k in own
            if k in tensors and tensors[k].shape != own[k].shape
        ),
    )
    if not _acceptable(report, tensors, own, classifier):
        raise DataError(f"{path}: not the weights of this network: {report}")
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(tensors[name])
    return report


def _acceptable(
    report: LoadReport,
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    classifier: tuple[str, ...],
) -> bool:
    """Whether nothing but counters and the classifier's outputs differ."""
    free = {*classifier, *(k for k in own if k.startswith("heads."))}
    free |= {k for k in own if _is_counter(k)}
    missing = set(report.missing) - free
    unexpected = set(report.unexpected) - set(classifier)
    resized = [k for k, a, b in report.other_shape if k not in free or a[1:] != b[1:]]
    return not (missing or unexpected or resized) and all(k in tensors for k in classifier)


def _is_counter(name: str) -> bool:
    """Whether it is BatchNorm's count of batches, which nothing here depends on."""
    return name.endswith("num_batches_tracked")


def _first(names: Sequence[str]) -> str:
    shown = 5
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")

"""Public weights into our networks, every tensor by its name and shape.

SENet-50: ``senet50_ft_weight.pkl`` or ``senet50_scratch_weight.pkl`` of VGGFace2-pytorch by
cydonia999, a pickled dictionary of NumPy arrays [found; the names of the files: inferred]. EmoNet:
``emonet_8.pth`` of face-analysis/emonet, a state dictionary of 682 tensors [found]. Neither comes
with mien, and neither could be tried by its authors: the tests load files of their own making, in
those formats. Any of the forms that `mien.train.models.weight_files` reads will do.

What the networks must be given with these weights is in `mien.train.models.inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mien.errors import DataError, UsageError
from mien.labels import EIGHT
from mien.train.models.weight_files import read_tensors

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
        """One line: how many were taken, and the first few of the others by name."""
        shapes = [f"{name} {tuple(a)} for {tuple(b)}" for name, a, b in self.other_shape]
        parts = [f"{len(self.taken)} tensors taken from {self.source}"]
        listed = {"missing": self.missing, "unexpected": self.unexpected, "other shape": shapes}
        parts += [f"{len(n)} {what} ({_first(n)})" for what, n in listed.items() if n]
        return "; ".join(parts)


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
    free |= {k for k in own if k.endswith("num_batches_tracked")}
    missing = set(report.missing) - free
    unexpected = set(report.unexpected) - set(classifier)
    resized = [k for k, a, b in report.other_shape if k not in free or a[1:] != b[1:]]
    return not (missing or unexpected or resized) and all(k in tensors for k in classifier)


def _first(names: Sequence[str]) -> str:
    shown = 5
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")

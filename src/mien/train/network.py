"""The network of a run: built, started from another run's weights, loaded again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import DataError, UsageError
from mien.runtime.classify import load_classifier
from mien.train import checkpoint
from mien.train.config import TrainConfig, load_config
from mien.train.data.loader import TensorData, plain_batches
from mien.train.data.readers import split_name
from mien.train.data.rows import Rows, evenly_spaced
from mien.train.exported import exported_file, exported_weights
from mien.train.models import build
from mien.train.models.norms import measure_norms
from mien.train.models.pretrained import load_public, public_file
from mien.train.sections import DataConfig, ReleaseConfig
from mien.types import Image

#: Faces of a batch, and as many mirror images, that BatchNorm's statistics are measured on.
_NORM_BATCH = 250

WEIGHTS = {"last": "last.safetensors", "best": "best.safetensors"}


@dataclass(frozen=True)
class Run:
    """A finished run: its settings and its averaged network."""

    config: TrainConfig
    model: nn.Module
    labels: dict[str, tuple[str, ...]]
    folder: Path
    about: dict[str, Any]
    """What its data.json says."""
    commit: str

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The splits that it, and what it started and learnt from, was trained on."""
        return tuple(self.about["trained_on"])

    def with_release(self, release: ReleaseConfig) -> Run:
        """The same network with another `release` section."""
        return replace(self, config=replace(self.config, release=release))


def averaged(run: Run) -> Run:
    """The run with the mean of its weights and those of the runs that its release names.

    Networks trained on from one another lie in one valley, where the mean of their weights, with
    BatchNorm's statistics, is often better than each (Wortsman et al. 2022, "model soups").

    Raises:
        DataError: no such run, or one of another network.
    """
    release = run.config.release
    others = [load_run(Path(source)) for source in (*release.average, *release.folds)]
    if not others:
        return run
    for other in others:
        if other.config.model != run.config.model or other.labels != run.labels:
            raise DataError(
                f"release: {other.folder} is a run of another network than {run.folder}, and "
                "cannot be averaged with it"
            )
    states = [one.model.state_dict() for one in (run, *others)]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if t.is_floating_point() else t
        for name, t in states[0].items()
    }
    model = copy.deepcopy(run.model)
    model.load_state_dict(mean)
    seen = _once(split for one in (run, *others) for split in one.trained_on)
    return replace(run, model=model, about={**run.about, "trained_on": seen})


@torch.no_grad()
def renormed(run: Run, training: Rows) -> Run:
    """The run with BatchNorm's statistics of faces as they are, not as they were augmented.

    Those that came of the training are of shifted, turned and blurred faces, and those of a mean of
    weights are of no network at all; Izmailov et al. 2018 (section 3.2) take them anew for that.

    Args:
        run: as many faces are taken as its `release.norm_faces` says, none if that is 0.
        training: its training faces. Those taken are evenly spaced; their mirror images count, too.
    """
    wanted = run.config.release.norm_faces
    if not wanted:
        return run
    at = evenly_spaced(len(training), wanted)
    faces = TensorData(training.take(at), (), run.config.model.size, "cpu")
    model = copy.deepcopy(run.model)
    norms = {m: m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    for x, _ in plain_batches(faces, _NORM_BATCH):
        model(torch.cat([x, x.flip(-1)]))
    for norm, momentum in norms.items():
        norm.momentum = momentum
    return replace(run, model=model.eval())


def first_network(
    config: TrainConfig, about: Mapping[str, Any], crops: Image, say: Callable[[str], None]
) -> nn.Module:
    """The network that a run starts with.

    Args:
        config: the run's.
        about: what its data.json says.
        crops: training faces; BatchNorm's statistics are measured on them, but for a run's.
        say: told how much was taken over from elsewhere.

    Raises:
        DataError: what `config.init` names is not there, or has a network that does not fit.
        UsageError: public weights that are not for this architecture, or are to grow.
    """
    model = _network(config, about["labels"], about["channels"])
    if not config.init:
        return model
    if public := public_file(config.init):
        return _from_public(model, public, config, about, crops, say)
    if file := exported_file(config.init):
        tensors = exported_weights(file, config.model.options, crops)
    else:
        tensors, _ = checkpoint.load(Path(config.init) / WEIGHTS["last"])
    (grow_from if config.grow else start_from)(model, tensors, config.init, say)
    return model


def _from_public(
    model: nn.Module,
    file: Path,
    config: TrainConfig,
    about: Mapping[str, Any],
    crops: Image,
    say: Callable[[str], None],
) -> nn.Module:
    """`model` with the public weights of `file`, its BatchNorm by the statistics of `crops`."""
    if config.grow:
        raise UsageError(f"{file}: grow is for run folders and exported files, not public weights")
    say(str(load_public(file, config.model.name, model, about["labels"])))
    some = crops[evenly_spaced(len(crops), _NORM_BATCH)]
    faces = TensorData(Rows(some, {}, {}, ()), (), config.model.size, "cpu")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    measure_norms(model.eval(), norms, next(plain_batches(faces, len(faces)))[0])
    return model.train()


def digest_of_start(source: str) -> str:
    """SHA-256 of the weights that `source` names, wherever they lie."""
    file = public_file(source) or exported_file(source)
    return checkpoint.digest(file or Path(source) / WEIGHTS["last"])


def trained_on(config: TrainConfig) -> tuple[str, ...]:
    """The splits that a run of `config` knows: its own, and its start's and its teachers'.

    Raises:
        DataError: a start or teacher that is no run and no exported file.
        ModelError: one that is no file of `mien export`.
    """
    known = [split for source in config.sources for split in known_by(source)]
    return _once((*_splits(config.data), *known))


def known_by(source: str) -> tuple[str, ...]:
    """The splits of our data sets that `source`, a start or a teacher, was trained on."""
    if public_file(source):
        return ()
    if file := exported_file(source):
        return load_classifier(file).spec.trained_on
    _, about = _read(Path(source))
    return tuple(about["trained_on"])


def _splits(data: DataConfig) -> tuple[str, ...]:
    """The splits that training faces are taken from; `held_out` takes some of the validation's."""
    seen = []
    for part in data.sets:
        seen.append(split_name(part.reader, part.train, part.options))
        if part.validation and part.options.get("held_out"):
            seen.append(split_name(part.reader, part.validation, part.options))
    return _once(seen)


def _once(splits: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(splits))


def load_run(out: Path) -> Run:
    """Load the network that a run in the folder `out` made: the last epoch, or the best one."""
    config, about = _read(out)
    weights = out / WEIGHTS[config.keep]
    if not weights.exists():
        raise DataError(f"{out}: no {weights.name} yet; let `mien train` finish an epoch")
    labels = {head: tuple(names) for head, names in about["labels"].items()}
    model = _network(config, labels, about["channels"])
    tensors, _ = checkpoint.load(weights)
    model.load_state_dict(tensors)
    made = json.loads((out / "environment.json").read_text(encoding="utf-8"))
    return Run(config, model.eval(), labels, out, about, made["commit"])


def _read(out: Path) -> tuple[TrainConfig, dict[str, Any]]:
    """The settings of the run in the folder `out`, and what its data.json says."""
    if not (out / "config.yaml").exists():
        raise DataError(f"{out}: not a run folder (no config.yaml); `mien train` makes one")
    config = load_config(out / "config.yaml")
    about = json.loads((out / "data.json").read_text(encoding="utf-8"))
    about.setdefault("trained_on", _splits(config.data))  # a run of before it was noted
    return config, about


def start_from(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str, say: Callable[[str], None]
) -> None:
    """Give `model` the weights `tensors` of `source`, as far as names and shapes agree.

    Heads with other labels, say, stay as they are; `say` is told how much was taken over.

    Raises:
        DataError: nothing agrees.
    """
    own = model.state_dict()
    fitting = {k: t for k, t in tensors.items() if k in own and own[k].shape == t.shape}
    if not fitting:
        raise DataError(f"{source}: no weights there fit this network")
    model.load_state_dict(fitting, strict=False)
    new = sorted({k.rpartition(".")[0] for k in own.keys() - fitting.keys()})
    say(f"{len(fitting)} of {len(own)} tensors from {source}; new: {', '.join(new) or 'none'}")


def grow_from(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str, say: Callable[[str], None]
) -> None:
    """Make `model` answer as the narrower network of `source`, whose weights are `tensors`, does.

    That network's channels become the first ones of each layer. What comes in from the new channels
    is zero there at first, while the new channels keep the random weights by which they read all
    others: nothing is lost, and no two channels are alike as in Net2Net (Chen et al. 2016). For
    layers whose channels are summed or kept apart, with BatchNorm between them.

    Raises:
        DataError: its layers have other names, or one of them is wider.
    """
    own = model.state_dict()
    if own.keys() != tensors.keys():
        odd = ", ".join(sorted(own.keys() ^ tensors.keys())[:3])
        raise DataError(f"{source}: not a narrower form of this network, by its layers ({odd})")
    for name, small in tensors.items():
        if not _fits_into(small, own[name]):
            shapes = f"{tuple(small.shape)}, here {tuple(own[name].shape)}"
            raise DataError(f"{source}: {name} does not fit into this network's ({shapes})")
        own[name] = _grown(small, own[name])
    model.load_state_dict(own)
    say(f"grown from {source}")


def _fits_into(small: Tensor, large: Tensor) -> bool:
    return (
        small.ndim == large.ndim
        and small.shape[2:] == large.shape[2:]
        and all(s <= n for s, n in zip(small.shape, large.shape, strict=True))
    )


def _grown(small: Tensor, large: Tensor) -> Tensor:
    """`large` (outputs, inputs, ...) with `small` in its corner and zeros beside that."""
    grown = large.clone()
    if small.ndim > 1:
        grown[: small.shape[0]] = 0
    grown[tuple(slice(n) for n in small.shape)] = small
    return grown


def _network(
    config: TrainConfig, labels: Mapping[str, tuple[str, ...]], channels: int
) -> nn.Module:
    heads = {head: len(names) for head, names in labels.items()}
    return build(config.model.name, heads, channels=channels, **config.model.options)

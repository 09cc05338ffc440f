"""What a training run is made of. The fields are the YAML keys and the command-line flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

import yaml

from mien.errors import DataError, UsageError
from mien.fields import build, field_texts
from mien.train.data.augment import AugmentConfig
from mien.train.precision import Precision
from mien.train.sections import (
    DataConfig,
    DistilConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    ReleaseConfig,
)


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. `mien train` reads it from a recipe; any field can be set by its flag."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    init: str = ""
    """A run, exported file, bundled model or public weights to tune; empty starts at random."""
    grow: bool = False
    """The network of `init` is narrower: its channels become the first ones of this network."""
    teacher: str = ""
    """A run folder whose network's answers are mixed into the training targets; empty is none."""
    teacher_weight: float = 0.5
    """The teacher's part of each target, 0 to 1."""
    epochs: int = 30
    """Passes over the training split."""
    early_epochs: int = 0
    """The first so many epochs see smaller pictures, which is quicker (Tan & Le 2021)."""
    early_size: int = 36
    """The side in pixels of those smaller pictures."""
    freeze_epochs: int = 0
    """The first so many epochs train the heads alone; BN's statistics stay, too."""
    freeze: tuple[str, ...] = ()
    """Parts of the network that stay as they are throughout, such as ``[conv1, bn1, layer1]``."""
    batch: int = 64
    """Faces per step."""
    smoothing: float = 0.0
    """Label smoothing of every head."""
    head_weights: dict[str, float] = field(default_factory=dict)
    """How much each head counts in the loss; 1 where it is not named."""
    seed: int = 0
    """Fixes the initial weights, the order of faces and every augmentation."""
    precision: Precision = "fp32"
    """bf16 autocast is quicker on CPUs with AVX-512 BF16 and on GPUs, and far slower elsewhere."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train. Asking for cuda where there is none is an error."""
    threads: int = 0
    """CPU threads; 0 leaves it to PyTorch. A resumed run gives equal weights at equal threads."""
    compile: bool = False
    """Compile the network first: a sixth to a third quicker on a CPU. Needs a C++ compiler."""
    keep: Literal["last", "best"] = "last"
    """Export the last epoch, or the one with the best validation accuracy of the first head."""
    release: ReleaseConfig = field(default_factory=ReleaseConfig)

    @property
    def sources(self) -> tuple[str, ...]:
        """The run folders, files and bundled models that it starts and learns from."""
        named = (self.init, self.teacher, *self.distil.teachers)
        return tuple(dict.fromkeys(source for source in named if source))

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.epochs < 1 or self.batch < 2:
            raise UsageError("epochs must be at least 1 and batch at least 2")
        if self.optim.sharpness < 0:
            raise UsageError("optim.sharpness must not be below 0")
        if not 0 <= self.optim.ema < 1:
            raise UsageError("optim.ema must be in [0, 1)")
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError("teacher_weight must be in [0, 1]")
        if not 0 <= self.data.relabel <= 1:
            raise UsageError("data.relabel must be in [0, 1]")
        if any(weight <= 0 for weight in self.head_weights.values()):
            raise UsageError("head_weights must be above 0; leave a head out by data.heads")
        if not self.data.heads:
            raise UsageError("data.heads must name at least one head")
        if self.grow and not self.init:
            raise UsageError("grow needs init, the run folder of the narrower network")
        if self.freeze_epochs < 0 or self.optim.backbone_lr < 0:
            raise UsageError("freeze_epochs and optim.backbone_lr must not be below 0")
        if self.data.votes == "multi_target" and self.loss.kind in ("weighted", "cluster"):
            raise UsageError(
                "data.votes multi_target has a loss of its own, without class weights: choose "
                "other votes, or loss.kind softmax or centre"
            )
        if self.augment.mixup < 0:
            raise UsageError("augment.mixup must not be below 0")
        mixed, has_centres = self.augment.mixup, self.loss.kind in ("centre", "cluster")
        if mixed and (has_centres or self.data.votes == "multi_target"):
            raise UsageError(
                "augment.mixup gives faces two labels: choose loss.kind softmax or weighted, and "
                "data.votes other than multi_target"
            )
        if self.compile and has_centres:
            raise UsageError(
                "compile hides the features that loss.kind centre and cluster look at: choose "
                "another loss.kind, or compile: false"
            )
        if self.distil.live and not self.distil.teachers:
            raise UsageError("distil.live needs a teacher in distil.teachers")


def load_config(path: Path, overrides: Mapping[str, str] | None = None) -> TrainConfig:
    """Read a recipe: YAML whose keys are the fields above; an unknown key is an error.

    Args:
        path: the recipe.
        overrides: fields that are set otherwise, e.g. ``{"optim.lr": "0.05"}``, as YAML texts.

    Raises:
        DataError: no such recipe, or one that cannot be read.
        UsageError: an override that is no field.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such recipe; it is a YAML file, as those in recipes/ are")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, text in (overrides or {}).items() if isinstance(raw, dict) else ():
            _set(raw, key.replace("-", "_").split("."), yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: not a readable recipe ({error})") from error
    return build(TrainConfig, raw, str(path))


def field_help() -> str:
    """Every field with its default and what it means, a line each, for the command's help."""
    return "\n".join(_field_lines(TrainConfig, ""))


def save_config(config: TrainConfig, path: Path) -> None:
    """Write `config` so that `load_config` gives an equal one."""
    text = yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def _set(raw: Any, keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        if isinstance(raw, list) and key.isdigit() and int(key) < len(raw):
            raw = raw[int(key)]  # data.also.0
        else:
            raw = raw.setdefault(key, {}) if isinstance(raw, dict) else None
    if not isinstance(raw, dict):
        raise UsageError(f"{'.'.join(keys)} is not a field of the recipe")
    raw[keys[-1]] = value


def _field_lines(kind: type[Any], prefix: str) -> Iterator[str]:
    """The lines of `field_help`; what a field means is the text below it in its class."""
    texts = field_texts(kind)
    default = kind()
    hints = get_type_hints(kind)
    for name, hint in hints.items():
        if dataclasses.is_dataclass(hint):
            yield from _field_lines(cast(type[Any], hint), f"{prefix}{name}.")
        else:
            yield f"  --{prefix}{name} {getattr(default, name)!r}: {texts[name]}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value

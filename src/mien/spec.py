"""ModelSpec: what a model file says about itself.

It is stored as JSON under the key ``mien`` of the ONNX metadata and read from there. Nothing about
a model is ever guessed from its name or its shapes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.errors import ModelError

KEY = "mien"
FORMAT = 1


@dataclass(frozen=True)
class InputSpec:
    """What a crop must be turned into."""

    size: int
    """Side of the square input in pixels."""
    channels: int
    """1 for grey, 3 for RGB."""
    crop: str
    """Name of the crop recipe that the model was measured with."""
    std_floor: float
    """Each crop becomes (x - mean(x)) / max(std(x), std_floor), x in 0..255."""


@dataclass(frozen=True)
class HeadSpec:
    """One output of the network: logits over labels."""

    name: str
    labels: tuple[str, ...]
    temperature: float = 1.0
    """Logits are divided by this before the softmax (Guo et al. 2017)."""
    priors: tuple[float, ...] = ()
    """Share of each label in the training data, in the order of `labels`."""


@dataclass(frozen=True)
class AnswerSpec:
    """How heads make the default answer over all eight labels.

    Each head's calibrated log-probabilities less ``prior_strength`` times its log priors are turned
    into probabilities again, and these are averaged with the `weights`. A label that a head does
    not have takes its probability from the heads that do.
    """

    weights: dict[str, float]
    prior_strength: dict[str, float]
    temperature: float = 1.0
    why: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """A model's description: how to run it, where it comes from, what it may be used for."""

    name: str
    version: str
    input: InputSpec
    heads: tuple[HeadSpec, ...]
    answer: AnswerSpec
    parameters: int
    """Everything that was learnt, BN's running statistics included."""
    macs: int
    """Multiply-accumulates for one face."""
    licence: str
    training_data: tuple[str, ...]
    command: str
    """The command that trained it."""
    seed: int = 0
    architecture: str = ""
    commit: str = ""
    created: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    intended_use: str = ""
    format: int = FORMAT

    def head(self, name: str) -> HeadSpec:
        """The head called `name`; a `ModelError` lists those there are."""
        for head in self.heads:
            if head.name == name:
                return head
        known = ", ".join(h.name for h in self.heads)
        raise ModelError(f"{self.name} has no head {name!r}; it has {known}")

    def to_json(self) -> str:
        """The text that goes into the file."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> ModelSpec:
        """Read the spec out of a file's metadata; `source` names the file in errors."""
        if KEY not in metadata:
            raise ModelError(
                f"{source}: no mien metadata inside. Only models written by `mien export` say what "
                "they need (size, labels, normalisation)."
            )
        try:
            raw = json.loads(metadata[KEY])
            if raw.get("format") != FORMAT:
                raise ModelError(
                    f"{source}: metadata format {raw.get('format')}, this mien reads {FORMAT}. "
                    "Update mien, or export the model again."
                )
            return _parse(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{source}: damaged mien metadata ({error!r})") from error


def _parse(raw: dict[str, Any]) -> ModelSpec:
    fields = dict(raw)
    fields["input"] = InputSpec(**raw["input"])
    fields["heads"] = tuple(
        HeadSpec(h["name"], tuple(h["labels"]), h["temperature"], tuple(h["priors"]))
        for h in raw["heads"]
    )
    fields["answer"] = AnswerSpec(**raw["answer"])
    fields["training_data"] = tuple(raw["training_data"])
    return ModelSpec(**fields)

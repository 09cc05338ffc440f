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

ANSWER = "answer"
"""What stands for the default answer where a head's name could stand."""

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
    biases: tuple[float, ...] = ()
    """What `mien export` added to the logits (Alexandari et al. 2020); the file's have it."""


@dataclass(frozen=True)
class AnswerSpec:
    """How heads make the default answer over all eight labels.

    Each head's calibrated log-probabilities less ``prior_strength`` times its log priors are turned
    into probabilities again, and these are averaged with the `weights`. A label that a head does
    not have takes its probability from the heads that do. A head's priors are its training shares,
    or those that `priors` has.
    """

    weights: dict[str, float]
    prior_strength: dict[str, float]
    temperature: float = 1.0
    why: str = ""
    threshold: float = 0.0
    """An answer whose probability lies below this is uncertain; 0 is never."""
    certain: float = 0.0
    """The part of the others that was right on the validation faces, at least."""
    priors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By head, what is divided out in the place of its training shares."""
    balance: str = ""
    """The head whose labels were made equally frequent to measure `priors`; empty: none were."""


@dataclass(frozen=True)
class AffectMap:
    """Valence and arousal of a network that was not trained on ratings of them.

    They are the mean position on the circumplex: the sum over the labels of p(label) times the
    label's position. So they lie among the positions, and say nothing that the probabilities do
    not say.
    """

    head: str
    """Whose calibrated probabilities: a head's name, or "answer" for the default answer's."""
    positions: dict[str, tuple[float, float]]
    """Valence and arousal of each of its labels, -1 to 1."""
    source: str
    """Where the positions were published."""


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
    affect: AffectMap | None = None
    """How valence and arousal are told without a head "affect"; None: they are not."""
    precision: str = "fp32"
    """What the weights are stored as: fp32, fp16 (computed with as fp32) or int8."""
    failures: tuple[str, ...] = ()
    """Where the model is known to be wrong, a sentence each."""
    machine: str = ""
    """What the speeds among the metrics were measured on."""
    trained_on: tuple[str, ...] = ()
    """Splits that its training, or that of what it came of, took faces from: reader and name."""

    def head(self, name: str) -> HeadSpec:
        """The head called `name`; a `ModelError` lists those there are."""
        for head in self.heads:
            if head.name == name:
                return head
        known = ", ".join(h.name for h in self.heads)
        raise ModelError(f"{self.name} has no head {name!r}; it has {known}")

    @property
    def has_affect(self) -> bool:
        """Whether the model tells valence and arousal, by a head of its own or by a map."""
        return self.affect is not None or any(head.name == "affect" for head in self.heads)

    @property
    def affect_kind(self) -> str:
        """A phrase on where valence and arousal come from; empty where there are none."""
        if any(head.name == "affect" for head in self.heads):
            return "a head trained on ratings"
        if self.affect is None:
            return ""
        source = self.affect.source
        return f"position of the expressions on the circumplex ({source}), not trained on ratings"

    @property
    def uncertain_kind(self) -> str:
        """A phrase on which answers are marked as uncertain; empty where none is."""
        rule = self.answer
        if not rule.threshold:
            return ""
        told = f"answers below {rule.threshold:.2f}"
        return f"{told}; of the others at least {rule.certain:.0%} were right on validation faces"

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
        HeadSpec(
            h["name"],
            tuple(h["labels"]),
            h["temperature"],
            tuple(h["priors"]),
            tuple(h.get("biases", ())),
        )
        for h in raw["heads"]
    )
    fields["answer"] = _parse_answer(raw["answer"], fields["heads"])
    fields["training_data"] = tuple(raw["training_data"])
    fields["failures"] = tuple(raw.get("failures", ()))
    fields["trained_on"] = tuple(raw.get("trained_on", ()))
    if raw.get("affect") is not None:
        fields["affect"] = _parse_affect(**raw["affect"])
    return ModelSpec(**fields)


def _parse_answer(raw: Mapping[str, Any], heads: tuple[HeadSpec, ...]) -> AnswerSpec:
    priors = {name: tuple(parts) for name, parts in raw.get("priors", {}).items()}
    labels = {head.name: head.labels for head in heads}
    for name, parts in priors.items():
        if len(parts) != len(labels[name]) or not all(part > 0 for part in parts):
            raise ValueError(f"the priors of {name} are {parts}, not one above 0 for each label")
    return AnswerSpec(**{**raw, "priors": priors})


def _parse_affect(head: str, positions: dict[str, list[float]], source: str) -> AffectMap:
    for label, place in positions.items():
        if len(place) != 2 or not all(-1 <= value <= 1 for value in place):
            raise ValueError(f"the position of {label} is {place}, not two numbers from -1 to 1")
    return AffectMap(head, {label: (v, a) for label, (v, a) in positions.items()}, source)

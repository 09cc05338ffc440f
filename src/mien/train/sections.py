"""The sections of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mien.errors import UsageError
from mien.faces.crop import CURRENT
from mien.train.data.ferplus import Rule
from mien.train.losses.classification import WeightRule
from mien.train.losses.distillation import BoundSign
from mien.train.losses.regression import RegressionName

Reader = Literal["fer2013", "folder", "ckplus", "affectnet", "rafdb", "manifest", "identities"]


@dataclass(frozen=True)
class AlsoConfig:
    """A further data set: its faces are trained on together with the first set's."""

    reader: Reader
    """What reads it."""
    train: str
    """The split that is trained on."""
    validation: str = ""
    """The split that is measured beside the first set's; empty is none."""
    path: str = ""
    """Where it lies, below --data; empty is its usual name: fer2013, CK+48 or affectnet."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the reader takes besides, such as ``{crop: detect}``; see its docstring."""
    heads: dict[str, str] = field(default_factory=dict)
    """Other names for its heads, such as ``{ckplus: ferplus}``; heads of one name are one."""
    repeat: int = 1
    """How often each of its training faces is seen an epoch."""

    def __post_init__(self) -> None:
        """Refuse a set that would not be seen."""
        if self.repeat < 1:
            raise UsageError("data.also: repeat must be at least 1; leave the set out instead")


@dataclass(frozen=True)
class DataConfig:
    """Which faces are trained on and which the run is watched on."""

    reader: Reader = "fer2013"
    """The data set; folder is ``<split>/<expression>/*.jpg``, identities ``<person>/*.jpg``."""
    path: str = ""
    """Where it lies below --data. Empty is its usual name there or, without others, --data."""
    also: tuple[AlsoConfig, ...] = ()
    """Further sets: reader, train, validation, path, options, heads, repeat of each."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the reader takes besides, such as ``{colour: true}``; see its docstring."""
    train: str = "Training"
    """The split that is trained on."""
    validation: str = "PublicTest"
    """The split that is measured after each epoch; its figures choose nothing unless keep=best."""
    votes: Rule = "crossentropy"
    """How FER+ votes become targets."""
    relabel: float = 0.0
    """The part of a face's FER2013 target that is what faces with its votes usually are called."""
    heads: tuple[str, ...] = ("fer2013", "ferplus")
    """The heads to train, out of those the data have labels for."""
    sampler: Literal["natural", "balanced"] = "natural"
    """Each face once an epoch, or faces drawn so that the classes of the first head are equal."""
    limit: int = 0
    """Use the first so many faces of each split only; 0 is all."""

    @property
    def sets(self) -> tuple[DataConfig | AlsoConfig, ...]:
        """The first set and the further ones."""
        return (self, *self.also)


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    name: str = "mien_tiny"
    """A registered architecture; `mien models --architectures` lists them."""
    options: dict[str, Any] = field(default_factory=dict)
    """Its options, such as ``{activation: relu}``."""
    size: int = 48
    """Side of the square input in pixels."""


@dataclass(frozen=True)
class OptimConfig:
    """How the weights are moved."""

    name: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum, or AdamW."""
    lr: float = 0.1
    """Peak learning rate, reached after the warm-up, falling to zero along a cosine."""
    backbone_lr: float = 1.0
    """The learning rate of all but the heads, as a part of `lr`; below 1 to fine-tune."""
    momentum: float = 0.9
    """Momentum of SGD, or the first beta of AdamW."""
    weight_decay: float = 1e-4
    """Decay of the weights of convolutions and linear layers; norms and biases have none."""
    warmup: float = 1.0
    """Length of the linear warm-up in epochs."""
    sharpness: float = 0.0
    """How far from the weights gradients are taken, towards a higher loss (SAM); 0 is at them."""
    clip: float = 5.0
    """Largest norm of the gradient; 0 turns clipping off."""
    ema: float = 0.999
    """Decay of the running average of the weights, which is what is measured and exported."""


@dataclass(frozen=True)
class LossConfig:
    """What is made small; see `mien.train.losses` for the equations."""

    kind: Literal["softmax", "weighted", "centre", "cluster"] = "softmax"
    """Cross-entropy; weighted by class; plain with centre loss; weighted with cluster loss."""
    class_weights: WeightRule = "min_over_count"
    """The weights of "weighted" and "cluster", out of the class counts of the training split."""
    normalise: bool = False
    """Divide weighted losses by the sum of the weights: they stay as large as unweighted ones."""
    head: str = ""
    """The head whose classes have centres; empty is the first that has classes."""
    lam: float = 0.01
    """Lambda, the factor of the centre or cluster loss, a mean over the batch."""
    gamma: float = 0.5
    """How far the centres move each step, above 0 and at most 1."""
    delta: float = 1.0
    """Keeps the cluster loss's denominator above zero."""
    affect: RegressionName = "smooth_l1"
    """The loss of valence and arousal."""
    affect_weight: float = 1.0
    """The factor of that loss beside the mean of the other heads' losses."""
    kd_alpha: float = 0.5
    """The teacher's part alpha in the loss of classes; used with distil.teachers."""
    kd_temperature: float = 3.0
    """The temperature that softens both answers."""
    bound_weight: float = 0.5
    """Nu, the factor of the teacher-bounded loss of valence and arousal."""
    bound_margin: float = 0.0
    """The margin m of that bound, 0 or more."""
    bound_sign: BoundSign = "chen"
    """chen: no loss once the student is better by m; lee: a loss only where it is worse by m."""

    def __post_init__(self) -> None:
        """Refuse factors that make no sense."""
        if not (0 < self.gamma <= 1 and self.delta > 0):
            raise UsageError("loss.gamma must be above 0 and at most 1, loss.delta above 0")
        if not (0 <= self.kd_alpha <= 1 and self.kd_temperature > 0):
            raise UsageError("loss.kd_alpha must be in [0, 1], loss.kd_temperature above 0")
        factors = (self.lam, self.affect_weight, self.bound_weight, self.bound_margin)
        if min(factors) < 0:
            raise UsageError(
                "loss.lam, affect_weight, bound_weight and bound_margin must not be below 0"
            )


@dataclass(frozen=True)
class DistilConfig:
    """Teachers that are asked during training; see `mien.train.teachers`."""

    teachers: tuple[str, ...] = ()
    """Run folders, exported files or bundled models; their answers are averaged."""
    live: bool = False
    """Ask about each augmented batch, not once about each face and its mirror image."""


@dataclass(frozen=True)
class ReleaseConfig:
    """What the exported file says of itself, and how its heads are combined."""

    name: str = "model"
    """The model's name."""
    version: str = "1"
    """Its version."""
    licence: str = "unstated"
    """The licence of the weights."""
    training_data: tuple[str, ...] = ()
    """Each data set with its licence."""
    intended_use: str = ""
    """One sentence that `mien models` prints."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """Of the file: fp32; fp16, weights in half the bytes; int8, with a float file beside it."""
    average: tuple[str, ...] = ()
    """Run folders: the mean of their weights and this run's is exported; named twice, twice."""
    folds: tuple[str, ...] = ()
    """Run folders that held out other faces: averaged, too; each measured on what it held out."""
    norm_faces: int = 0
    """So many training faces, not augmented, give BatchNorm its statistics again; 0 is none."""
    crop: str = CURRENT
    """The crop recipe for faces that a detector found."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of each head in the default answer; empty is the head with the most labels alone."""
    prior_strength: dict[str, float] = field(default_factory=dict)
    """How far each head's class priors are divided out in the default answer, 0 to 1."""
    balance: str = ""
    """The head on whose labels, made equally frequent, those priors are measured; empty: none."""
    why: str = ""
    """What the two settings above were chosen on."""
    bias_corrected: tuple[str, ...] = ()
    """Heads whose labels' frequencies are fitted on validation faces beside the temperature."""
    affect: str = "answer"
    """Whose probabilities give valence and arousal if no head was trained on ratings; or empty."""
    certain: float = 0.85
    """Answers are marked as uncertain so that of the others this part is right; 0 marks none."""
    failures: tuple[str, ...] = ()
    """Where the model is known to be wrong, a sentence each."""
    figures: dict[str, float] = field(default_factory=dict)
    """Figures from elsewhere for the card: {affectnet_answer_accuracy: 0.5, speed_batch1_ms: 1}."""
    machine: str = ""
    """The machine that speeds among these figures were measured on."""

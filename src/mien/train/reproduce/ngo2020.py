"""Ngo & Yoon 2020: the weighted-cluster loss against softmax, weighted softmax and centre loss.

The paper fine-tunes a SENet-50, pre-trained to tell faces apart on VGGFace2, on AffectNet's eight
unequal classes, and reports that the weighted-cluster loss beats the two baselines [seed 003]. Its
table could not be read; 60.70 % is recalled with low confidence [inferred: recalled], and lambda,
gamma, delta, rates and epochs are not known [unknown].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from mien.train.config import TrainConfig
from mien.train.data.affectnet import HEAD as AFFECTNET_HEAD
from mien.train.data.augment import AugmentConfig
from mien.train.reproduce.budgets import Budget, BudgetName
from mien.train.reproduce.experiment import Experiment
from mien.train.reproduce.outputs import Picture
from mien.train.reproduce.sources import (
    Source,
    Split,
    every,
    identities,
    imbalanced,
    read_affectnet,
    read_ckplus,
    split_fer2013,
    with_head,
    without_affect,
)
from mien.train.reproduce.study import Plan
from mien.train.reproduce.tables import Column, Comparison, Line, Pair, Sheet
from mien.train.sections import DataConfig, LossConfig, ModelConfig, OptimConfig

BUDGETS: Mapping[BudgetName, Budget] = {
    "full": Budget("full", seeds=3, epochs=40, batch=128),
    "cpu": Budget("cpu", seeds=1, epochs=4, faces=4000),
    "quick": Budget(
        "quick", seeds=1, epochs=1, faces=300, held_out=300, size=32, batch=32, rounds=200
    ),
}

HEAD = "expression"
HELD_OUT_EVERY = 5
SMALL_SET_TIMES = 5
IDENTITIES = "identities"

#: The losses, with the recipe's section. Weighted losses are divided by the sum of the weights.
LOSSES: Mapping[str, tuple[str, LossConfig]] = {
    "softmax": ("softmax", LossConfig()),
    "weighted": ("weighted softmax", LossConfig(kind="weighted", normalise=True)),
    "centre": ("centre loss", LossConfig(kind="centre", lam=0.01)),
    "cluster": ("weighted-cluster loss", LossConfig(kind="cluster", lam=1.0, normalise=True)),
}
#: The data, and what its held-out set is called.
DATA: Mapping[str, str] = {"ferplus": "PublicTest", "affectnet": "AffectNet"}

BASE = TrainConfig(
    data=DataConfig(heads=(HEAD,)),
    optim=OptimConfig(lr=0.05, weight_decay=5e-4),
    augment=AugmentConfig(flip=0.5, rotate=10.0, shift=0.08, scale=0.1),
)

COLUMNS = (
    Column("accuracy, %", "accuracy"),
    Column("macro F1, %", "macro_f1"),
    Column("balanced accuracy, %", "balanced_accuracy"),
    Column("rare recall, %", "rare_recall"),
    Column("disgust", "recall_disgust"),
    Column("contempt", "recall_contempt"),
    Column("fear", "recall_fear"),
    Column("compactness", "compactness", "number"),
)


def plan(data: Path, budget: Budget) -> Plan:
    """What is compared, on the FER2013, CK+48 and AffectNet in or under the folder `data`."""
    cells = [(name, loss, start) for name in DATA for start in ("", "-id") for loss in LOSSES]
    experiments = [_experiment(*cell, budget) for cell in cells]
    return Plan(
        paper="ngo2020",
        title="weighted-cluster loss on unequal classes",
        experiments=(_pretraining(budget), *experiments),
        sources={
            "ferplus": Source(partial(split_fer2013, data, "ferplus", HEAD), ("fer2013",)),
            "affectnet": Source(partial(_affectnet, data, budget.size), ("affectnet",)),
            IDENTITIES: Source(partial(_identities, data, budget.size), ("ckplus",)),
        },
        protocol=_protocol(),
        departures=_departures(),
        sheets=tuple(_sheet(name) for name in DATA),
        comparisons=tuple(
            Comparison(
                f"Against plain softmax: {title}, {DATA[name]}",
                DATA[name],
                measure,
                tuple(
                    Pair(f"{name}-{loss}{start}", f"{name}-softmax{start}")
                    for start in ("", "-id")
                    for loss in ("weighted", "centre", "cluster")
                ),
            )
            for name in DATA
            for measure, title in (("macro_f1", "macro F1"), ("rare_recall", "rare classes"))
        ),
        pictures=tuple(
            Picture(kind, f"{name}-{loss}", DATA[name])
            for name in DATA
            for loss in ("softmax", "cluster")
            for kind in ("features", "recalls")
        ),
    )


def _network(budget: Budget) -> ModelConfig:
    stride = 1 if budget.name == "full" else 2
    return ModelConfig("senet_small", {"stem_stride": stride})


def _pretraining(budget: Budget) -> Experiment:
    data = DataConfig(heads=("identity",))
    config = replace(BASE, model=_network(budget), data=data)
    times = SMALL_SET_TIMES if budget.name != "quick" else 1
    return Experiment(IDENTITIES, budget.recipe(config, times=times), (IDENTITIES,), "identity")


def _experiment(name: str, loss: str, start: str, budget: Budget) -> Experiment:
    config = replace(BASE, model=_network(budget), loss=LOSSES[loss][1])
    times = SMALL_SET_TIMES if name == "affectnet" and budget.name != "quick" else 1
    config = budget.recipe(config, times=times)
    if start:  # the paper's two stages: the classifier alone, then everything
        config = replace(config, freeze_epochs=min(1, config.epochs - 1))
    init = IDENTITIES if start else ""
    return Experiment(f"{name}-{loss}{start}", config, (name,), HEAD, init=init, features=True)


def _sheet(name: str) -> Sheet:
    lines = tuple(
        Line(f"{label}{', after identities' if start else ''}", f"{name}-{loss}{start}")
        for start in ("", "-id")
        for loss, (label, _) in LOSSES.items()
    )
    title = {"ferplus": "FER+, eight classes", "affectnet": "AffectNet-like, eight classes"}[name]
    return Sheet(f"{title}, {DATA[name]}", DATA[name], COLUMNS, lines)


def _affectnet(data: Path, size: int) -> Split:
    rows = without_affect(with_head(read_affectnet(data, size), AFFECTNET_HEAD, HEAD))
    train, held = every(rows, HELD_OUT_EVERY)
    return Split(imbalanced(train, HEAD), {"AffectNet": held})


def _identities(data: Path, size: int) -> Split:
    train, held = every(identities(read_ckplus(data, "all", size)), 3)
    return Split(train, {"frames": held})


def _protocol() -> tuple[str, ...]:
    return (
        "FER+: FER2013's Training faces with a majority of votes are trained on, PublicTest's are "
        "measured (majority rule; faces without a majority are left out).",
        "AffectNet-like: of AffectNet's validation pictures here every fifth is held out, with "
        "equal classes; of the others as many are kept as give AffectNet's training shares (47 % "
        "happiness, 1.3 % contempt). Five times as many epochs, as it is small.",
        "`rare recall` is the mean recall of disgust, contempt and fear. `compactness` is the mean "
        "distance of held-out faces to their class's centre over the mean distance between centres "
        "of the 512 features before the classifier; less is more compact.",
        "`after identities`: the network was first trained to tell CK+48's subjects apart, then "
        "its classifier alone for an epoch, then everything.",
    )


def _departures() -> tuple[str, ...]:
    return (
        "A small SENet of 966,000 parameters on grey crops stands in for SENet-50 on 224x224 "
        "colour pictures, so that it fits the CPU.",
        "No identities of VGGFace2 can be had: identity pre-training is on 118 people of CK+48, "
        "which is next to nothing beside 8,631 people and three million pictures.",
        "Nor can AffectNet's training set: see the protocol. The paper's figures are of its "
        "validation set after training on 287,651 pictures and are not comparable.",
        "Lambda is 0.01 for centre and 1 for weighted-cluster loss, gamma 0.5, delta 1: the "
        "paper's are not known [unknown]. Losses are means over the batch; weighted ones are "
        "divided by the sum of the weights.",
    )

"""Yu 2023: a modified Xception on CK+, against Xception and Inception-v4.

Table 1 of the paper: 87.24 % Xception, 89.92 % Inception-v4, 95.1 % its own [seed 001]. Its split,
folds and whether subjects were kept apart are not told [unknown]. It had neutral and no contempt,
CK+48 has contempt and no neutral, so the class sets differ by one. Channel attention and
augmentation are what the author names as next steps; a start from FER2013 is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mien.train.config import TrainConfig
from mien.train.data.augment import AugmentConfig
from mien.train.reproduce.budgets import Budget, BudgetName
from mien.train.reproduce.experiment import Experiment
from mien.train.reproduce.outputs import Picture
from mien.train.reproduce.sources import Source, Split, read_ckplus, split_fer2013
from mien.train.reproduce.study import Plan
from mien.train.reproduce.tables import Column, Comparison, Line, Pair, Sheet
from mien.train.sections import DataConfig, ModelConfig, OptimConfig

BUDGETS: Mapping[BudgetName, Budget] = {
    "full": Budget(
        "full", seeds=3, epochs=40, batch=32, size=48, folds=10, watched=0, start_epochs=20
    ),
    # 294 faces are the middle frame of each sequence in nine folds.
    "cpu": Budget(
        "cpu",
        seeds=1,
        epochs=10,
        faces=294,
        batch=16,
        size=24,
        folds=2,
        watched=0,
        start_faces=8000,
        start_epochs=4,
    ),
    "quick": Budget(
        "quick",
        seeds=1,
        epochs=1,
        faces=120,
        held_out=60,
        batch=32,
        size=24,
        folds=1,
        rounds=200,
        start_faces=120,
    ),
}

FOLDS = 10
HEAD = "ckplus"
START = "fer2013"
START_BATCH = 32

NO_AUGMENTATION = AugmentConfig(flip=0.0, rotate=0.0, shift=0.0, scale=0.0)
AUGMENTATION = AugmentConfig(flip=0.5, rotate=10.0, shift=0.06, scale=0.1)
BASE = TrainConfig(
    data=DataConfig(heads=(HEAD,)),
    optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=1e-2),
    augment=NO_AUGMENTATION,
)


@dataclass(frozen=True)
class System:
    """A network with or without what the paper leaves for later."""

    name: str
    network: str
    label: str
    paper: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    augmented: bool = False
    leaking: bool = False
    started: bool = False
    """Whether it starts from a network that was trained on FER2013."""


SYSTEMS = (
    System("yu2023", "yu2023", "Yu's network", 0.951),
    System("xception", "xception", "Xception", 0.8724),
    System("inception_v4", "inception_v4", "Inception-v4", 0.8992),
    System("yu2023-augmented", "yu2023", "Yu's, augmented", augmented=True),
    System("yu2023-attention", "yu2023", "Yu's, attention", options={"attention": True}),
    System("yu2023-both", "yu2023", "Yu's, both", options={"attention": True}, augmented=True),
    System(
        "yu2023-started", "yu2023", "Yu's, augmented, after FER2013", augmented=True, started=True
    ),
    System("xception-augmented", "xception", "Xception, augmented", augmented=True),
    System("inception_v4-augmented", "inception_v4", "Inception-v4, augmented", augmented=True),
    System("yu2023-leaking", "yu2023", "Yu's network", 0.951, leaking=True),
    System("xception-leaking", "xception", "Xception", 0.8724, leaking=True),
    System("inception_v4-leaking", "inception_v4", "Inception-v4", 0.8992, leaking=True),
)

#: What small pictures need, and what "quick" leaves out of the networks.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "yu2023": {},
    "xception": {"stem_stride": 1},
    "inception_v4": {"stem_stride": 1, "padding": "same"},
}
QUICK: Mapping[str, Mapping[str, Any]] = {
    "yu2023": {"residual1": 1, "residual2": 1},
    "xception": {"middle": 1},
    "inception_v4": {"blocks": (1, 1, 1)},
}

COLUMNS = (
    Column("accuracy, %", "accuracy"),
    Column("mean of folds, %", "fold_accuracy"),
    Column("macro F1, %", "macro_f1"),
    Column("parameters", "parameters", "count"),
    Column("MACs, M", "macs", "millions"),
)

PICTURES = (
    Picture("curves", "yu2023"),
    Picture("confusion", "yu2023", "test"),
    Picture("confusion", "yu2023-augmented", "test"),
    Picture("recalls", "yu2023-augmented", "test"),
    Picture("confusion", "yu2023-both", "test"),
    Picture("recalls", "yu2023-both", "test"),
    Picture("confusion", "yu2023-started", "test"),
)


def plan(data: Path, budget: Budget) -> Plan:
    """What is compared, on the CK+48 in or under the folder `data`."""
    folds = range(1, budget.folds + 1)
    sources = {
        f"{kind}{fold}": Source(partial(_split, data, kind, fold, budget.size), ("ckplus",))
        for kind in ("", "leaky-")
        for fold in folds
    }
    sources[START] = Source(partial(split_fer2013, data, START), ("fer2013",))
    lines = [
        (s.leaking, Line(s.label, s.name, {} if s.paper is None else {"accuracy": s.paper}))
        for s in SYSTEMS
    ]
    return Plan(
        paper="yu2023",
        title="modified Xception, CK+",
        experiments=(_start(budget), *(_experiment(system, budget) for system in SYSTEMS)),
        sources=sources,
        protocol=_protocol(budget),
        departures=_departures(budget),
        sheets=(
            Sheet(
                "Subjects kept apart", "test", COLUMNS, tuple(x for leaks, x in lines if not leaks)
            ),
            Sheet(
                "Frames split at random: THIS LEAKS",
                "test",
                COLUMNS,
                tuple(x for leaks, x in lines if leaks),
                "Frames of one person, even of one sequence, lie on both sides. For comparison "
                "with papers that split so; no figure of how good a network is.",
            ),
        ),
        comparisons=(
            Comparison(
                "Subjects kept apart: which is better?",
                "test",
                "accuracy",
                (
                    Pair("yu2023", "xception"),
                    Pair("yu2023", "inception_v4"),
                    Pair("yu2023-augmented", "yu2023"),
                    Pair("yu2023-attention", "yu2023"),
                    Pair("yu2023-both", "yu2023"),
                    Pair("yu2023-started", "yu2023-augmented"),
                    Pair("yu2023-started", "yu2023"),
                    Pair("xception-augmented", "xception"),
                    Pair("inception_v4-augmented", "inception_v4"),
                ),
            ),
        ),
        pictures=PICTURES,
    )


def _network(system: System, budget: Budget) -> ModelConfig:
    cut = QUICK[system.network] if budget.name == "quick" else {}
    return ModelConfig(system.network, {**SMALL[system.network], **cut, **system.options})


def _start(budget: Budget) -> Experiment:
    """Yu's network on FER2013, for the one that starts from it."""
    system = next(system for system in SYSTEMS if system.started)
    config = replace(
        BASE,
        data=DataConfig(heads=(START,)),
        model=_network(system, budget),
        augment=AUGMENTATION,
    )
    longer = replace(budget, epochs=budget.start_epochs, batch=START_BATCH)
    return Experiment(START, longer.recipe(config), (START,), START, start=True)


def _experiment(system: System, budget: Budget) -> Experiment:
    config = replace(
        BASE,
        model=_network(system, budget),
        augment=AUGMENTATION if system.augmented else NO_AUGMENTATION,
    )
    kind = "leaky-" if system.leaking else ""
    sources = tuple(f"{kind}{fold}" for fold in range(1, budget.folds + 1))
    init = START if system.started else ""
    return Experiment(system.name, budget.recipe(config), sources, HEAD, init=init)


def _split(data: Path, kind: str, fold: int, size: int) -> Split:
    train, test = (
        read_ckplus(data, f"{kind}{part}-{fold}/{FOLDS}", size) for part in ("train", "test")
    )
    return Split(train, {"test": test})


def _protocol(budget: Budget) -> tuple[str, ...]:
    start_faces = f"{budget.start_faces:,}" if budget.start_faces else "all"
    return (
        "CK+48, seven classes with contempt and without neutral, the last three frames of each "
        "sequence. Subjects sorted by id are dealt into ten folds; nobody is in two.",
        f"Folds run: {budget.folds} of {FOLDS}, from the first on. `accuracy` is over the faces "
        "of all of them together, with an interval over subjects; `mean of folds` is over "
        "folds and seeds, ± between them.",
        "No checkpoint is chosen on a test fold: it is the last epoch.",
        f"`after FER2013` (yu2023-started): the network was first trained on {start_faces} of "
        f"FER2013's Training faces for {budget.start_epochs} "
        f"{'epoch' if budget.start_epochs == 1 else 'epochs'}; no face of CK+ is among them.",
    )


def _departures(budget: Budget) -> tuple[str, ...]:
    cut = {
        "full": (),
        "cpu": (
            f"{budget.size}x{budget.size} pixels, and no more frames, epochs and folds than stated "
            "above, to fit a CPU.",
        ),
        "quick": (
            "24x24 pixels, a part of the frames for training, one epoch, and networks with fewer "
            "blocks: a test of the path, no result.",
        ),
    }[budget.name]
    return (
        *cut,
        "The paper's classes are six expressions and neutral; CK+48 has contempt in the place of "
        "neutral. The paper's split, input, optimiser and epochs are not known [unknown].",
        "Xception and Inception-v4 start from random weights, with a first stride of 1 and, in "
        "Inception-v4, padding, as crops are small; the paper does not tell how it fitted them.",
        "The recipe is one for all: AdamW, learning rate 0.001, cosine.",
    )

"""Lee, Kim & Lee 2023: EmoNet's answers teach MobileNetV2 expressions, valence and arousal.

Hinton's distillation for the eight expressions and a teacher-bounded loss for valence and arousal
[seed 004]. The student's 73.36 % and RMSE 0.37 and 0.30 are of EmoNet's cleaned AffectNet set
[found: a third party's quote of Table 3], as are the teacher's 75 %, 0.29 and 0.27. It loses 1.64
points at 56.63 times fewer multiplications [found]. Alpha, T, m and nu are not known [unknown].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mien.train.config import TrainConfig
from mien.train.data.affectnet import HEAD as AFFECTNET_HEAD
from mien.train.data.affectnet import agrees
from mien.train.data.augment import AugmentConfig
from mien.train.data.rows import AFFECT, AFFECT_LABELS, Rows, union, with_heads
from mien.train.reproduce.budgets import Budget, BudgetName
from mien.train.reproduce.experiment import Experiment
from mien.train.reproduce.outputs import Picture
from mien.train.reproduce.sources import (
    Source,
    Split,
    every,
    read_affectnet,
    read_fer2013,
    thin,
    with_head,
)
from mien.train.reproduce.study import Plan
from mien.train.reproduce.tables import Column, Comparison, Line, Pair, Sheet
from mien.train.sections import DataConfig, LossConfig, ModelConfig, OptimConfig

BUDGETS: Mapping[BudgetName, Budget] = {
    "full": Budget("full", seeds=3, epochs=40, batch=128),
    "cpu": Budget("cpu", seeds=1, epochs=8, faces=6000),
    "quick": Budget(
        "quick", seeds=1, epochs=1, faces=300, held_out=300, batch=32, rounds=200, timed=5
    ),
}

FERPLUS_HEAD = "ferplus"
HELD_OUT_EVERY = 5

BASE = TrainConfig(
    data=DataConfig(heads=(AFFECTNET_HEAD, FERPLUS_HEAD, AFFECT)),
    optim=OptimConfig(lr=0.05, weight_decay=2e-4),
    augment=AugmentConfig(flip=0.5, rotate=10.0, shift=0.08, scale=0.1),
)


@dataclass(frozen=True)
class Student:
    """A network that is taught, in each of the `WAYS`."""

    name: str
    label: str
    model: ModelConfig
    times: int = 1
    """How many times the budget's epochs it is trained."""


@dataclass(frozen=True)
class Cast:
    """Who teaches whom in a budget."""

    teacher: ModelConfig
    students: tuple[Student, ...]
    departures: tuple[str, ...] = ()
    size: int = 0
    """The side of the faces that the teacher sees in pixels, where it is not the budget's."""
    early_size: int = 0
    """That in the first half of its epochs, where it is another one."""


MOBILENET = Student("student", "MobileNetV2", ModelConfig("mobilenet_v2"))
NARROW = Student(
    "narrow", "MobileNetV2, width 0.15", ModelConfig("mobilenet_v2", {"width": 0.15}), 3
)
#: It learns in a few hundred steps, in which MobileNetV2 gets no further than the classes' shares.
MINI = Student("mini", "mini-Xception", ModelConfig("mini_xception"), 3)
#: With the options of the bundled mien-tiny, to be started from that. It is 56 times cheaper than
#: mien_base at 64 pixels.
TINY = Student(
    "tiny", "mien_tiny", ModelConfig("mien_tiny", {"activation": "hardswish", "features": 76}), 3
)
CASTS: Mapping[str, Cast] = {
    "full": Cast(ModelConfig("yu2023", {"attention": True}), (MOBILENET, NARROW)),
    "cpu": Cast(
        ModelConfig("mien_base"),
        (MINI, TINY),
        (
            "The students are mini-Xception and mien_tiny: they learn in a few hundred steps, in "
            "which MobileNetV2, from random weights, gets no further than the classes' shares. "
            "The teacher sees its faces at 64x64 pixels, at 48x48 in the first half of its epochs.",
        ),
        size=64,
        early_size=48,
    ),
    "quick": Cast(ModelConfig("senet_small", {"stem_stride": 2}), (MOBILENET, NARROW)),
}
#: What is learnt from the teacher, by name, with the label and the loss.
WAYS: Mapping[str, tuple[str, LossConfig]] = {
    "": ("alone", LossConfig()),
    "-kd": ("distilled", LossConfig(kd_alpha=0.5, kd_temperature=3.0, bound_weight=0.0)),
    "-bound": ("bounded", LossConfig(kd_alpha=0.0, bound_weight=0.5)),
    "-both": (
        "distilled and bounded",
        LossConfig(kd_alpha=0.5, kd_temperature=3.0, bound_weight=0.5),
    ),
}
#: On the cleaned set, at 224x224 and 256x256 [found].
PAPER_TEACHER = {"accuracy": 0.75, "rmse_valence": 0.29, "rmse_arousal": 0.27}
PAPER_TEACHER |= {"ccc_valence": 0.82, "ccc_arousal": 0.75, "pcc_valence": 0.82}
PAPER_TEACHER |= {"pcc_arousal": 0.75, "sagr_valence": 0.84, "sagr_arousal": 0.80}
PAPER_STUDENT = {"accuracy": 0.7336, "rmse_valence": 0.37, "rmse_arousal": 0.30}

ERRORS = (
    Column("accuracy, %", "accuracy"),
    *(Column(f"RMSE {output}", f"rmse_{output}", "number") for output in AFFECT_LABELS),
)
AGREEMENT = tuple(
    Column(f"{measure.upper()} {output}", f"{measure}_{output}", "number")
    for measure in ("pcc", "ccc", "sagr")
    for output in AFFECT_LABELS
)
COSTS = (
    Column("accuracy, %", "accuracy"),
    Column("macro F1, %", "macro_f1"),
    Column("parameters", "parameters", "count"),
    Column("MACs, M", "macs", "millions"),
    Column("times fewer MACs", "macs_saved", "times"),
    Column("one face, ms", "latency", "milliseconds"),
    Column("times faster", "speed_up", "times"),
)


def plan(data: Path, budget: Budget) -> Plan:
    """What is compared, on the FER2013 and AffectNet in or under the folder `data`."""
    source = Source(partial(_split, data, budget), ("affectnet", "fer2013"))
    cast = CASTS[budget.name]
    students = cast.students
    taught = [_student(student, way, budget) for student in students for way in WAYS]
    return Plan(
        paper="lee2023",
        title="distillation with a teacher bound, AffectNet and FER+",
        experiments=(_teacher(cast, budget), *taught),
        sources={"both": source},
        protocol=_protocol(students),
        departures=_departures(cast),
        sheets=(
            Sheet("AffectNet, held out: errors", "AffectNet", ERRORS, _lines(students)),
            Sheet("AffectNet, held out: agreement", "AffectNet", AGREEMENT, _lines(students)),
            Sheet(
                "AffectNet, held out and cleaned by EmoNet's rule: errors",
                "cleaned",
                ERRORS,
                _lines(students, paper=True),
                "The paper's figures are of all 4,000 faces cleaned, less those that EmoNet's "
                "authors took out by hand, and of networks trained on 287,651.",
            ),
            Sheet(
                "AffectNet, held out and cleaned: agreement",
                "cleaned",
                AGREEMENT,
                _lines(students, paper=True),
            ),
            Sheet("FER+ PublicTest, and costs", "PublicTest", COSTS, _lines(students)),
        ),
        comparisons=_comparisons(students),
        pictures=(
            Picture("curves", "teacher"),
            *(Picture("curves", f"{student.name}-both") for student in students),
            *(
                Picture(kind, f"{student.name}-both", "AffectNet")
                for student in students
                for kind in ("confusion", "recalls")
            ),
        ),
        timed=True,
        reference="teacher",
    )


def _teacher(cast: Cast, budget: Budget) -> Experiment:
    config = budget.recipe(replace(BASE, model=cast.teacher))
    if cast.size:
        config = replace(config, model=replace(config.model, size=cast.size))
    if cast.early_size:
        early = budget.epochs // 2
        config = replace(config, early_epochs=early, early_size=cast.early_size)
    return _experiment("teacher", config)


def _student(student: Student, way: str, budget: Budget) -> Experiment:
    config = replace(BASE, model=student.model, loss=WAYS[way][1])
    config = budget.recipe(config, times=student.times)
    teachers = ("teacher",) if way else ()
    return _experiment(f"{student.name}{way}", config, teachers)


def _experiment(name: str, config: TrainConfig, teachers: tuple[str, ...] = ()) -> Experiment:
    heads = {"PublicTest": FERPLUS_HEAD}
    return Experiment(name, config, ("both",), AFFECTNET_HEAD, heads, teachers=teachers)


def _lines(students: tuple[Student, ...], *, paper: bool = False) -> tuple[Line, ...]:
    """The teacher's row and one for each student and way, with the paper's figures if wanted."""
    rows = [
        Line(
            f"{student.label}, {told}",
            f"{student.name}{way}",
            PAPER_STUDENT if paper and student is MOBILENET and way == "-both" else {},
        )
        for student in students
        for way, (told, _) in WAYS.items()
    ]
    return (Line("teacher", "teacher", PAPER_TEACHER if paper else {}), *rows)


def _comparisons(students: tuple[Student, ...]) -> tuple[Comparison, ...]:
    names = [student.name for student in students]
    drop = tuple(Pair(f"{name}{way}", "teacher") for name in names for way in ("", "-kd", "-both"))
    gain = tuple(Pair(f"{name}{way}", name) for name in names for way in WAYS if way)
    return tuple(
        Comparison(f"{held_out}: {title}", held_out, "accuracy", pairs)
        for held_out in ("AffectNet", "cleaned", "PublicTest")
        for title, pairs in (
            ("What does a student lose to its teacher?", drop),
            ("What does the teacher add?", gain),
        )
    )


def _split(data: Path, budget: Budget) -> Split:
    faces = with_head(read_affectnet(data, budget.size), AFFECTNET_HEAD)
    train, held = every(faces, HELD_OUT_EVERY)
    more, public = (
        with_head(rows, FERPLUS_HEAD)
        for rows in read_fer2013(data, ("Training", "PublicTest"), "majority")
    )
    if budget.faces:  # AffectNet's come first: they alone have valence and arousal
        train = thin(train, budget.faces // 2)
        more = thin(more, budget.faces - len(train))
    faces = union([train, more])
    held_out = {"AffectNet": held, "cleaned": _cleaned(held), "PublicTest": public}
    return Split(faces, {name: with_heads(rows, faces.labels) for name, rows in held_out.items()})


def _cleaned(rows: Rows) -> Rows:
    labels = np.array(
        [rows.labels[AFFECTNET_HEAD][code] for code in rows.targets[AFFECTNET_HEAD].argmax(axis=1)]
    )
    return rows.take(agrees(rows.targets[AFFECT], labels))


def _protocol(students: tuple[Student, ...]) -> tuple[str, ...]:
    longer = [
        f"{s.label}, taught or not, sees each face {s.times} times as often as the teacher does; "
        "its training is still the cheaper one."
        for s in students
        if s.times > 1
    ]
    return (
        "Of AffectNet's validation pictures here, by number, every fifth is held out (`AffectNet`) "
        "and the others are trained on, with FER2013's Training faces that have a majority of FER+ "
        "votes. Each set has a head of its own for its expressions, as the two differ in what they "
        "call neutral and how often; valence and arousal are AffectNet's. `AffectNet` and "
        "`cleaned` are measured by its head, `PublicTest` by FER+'s.",
        "`cleaned` are those held-out faces that keep to EmoNet's rule on where an expression "
        "lies; its authors' flags for single faces are not public.",
        "The teacher was trained here, on the same faces. It answers once for each face and its "
        "mirror image. alpha 0.5, T 3, nu 0.5, m 0, Chen's sign.",
        *longer,
        "`one face` is the median of PyTorch on one CPU thread, of a batch of one.",
    )


def _departures(cast: Cast) -> tuple[str, ...]:
    return (
        *cast.departures,
        f"The teacher is {cast.teacher.name}, trained here: EmoNet's weights cannot be had.",
        "Crops are grey and small, not 224x224 in colour; AffectNet's training set cannot be had, "
        "so networks see a part of its validation pictures, not 287,651.",
        "EfficientFormer, the paper's larger student, is left out: it needs 224 pixels.",
        "Alpha, T, m and nu are not known [unknown].",
        "The set is split by number: AffectNet does not tell who is on a picture.",
    )

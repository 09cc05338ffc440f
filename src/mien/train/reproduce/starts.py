"""Networks of a comparison that start from one trained before, as papers start from others'.

A paper's teacher or student has often seen far more faces than its comparison has. Here a finished
run of `mien train`, or a model that comes with mien, stands in for that: every experiment of its
architecture starts from its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.errors import UsageError
from mien.runtime.classify import load_classifier
from mien.train.exported import exported_file
from mien.train.network import load_run
from mien.train.reproduce.experiment import Experiment
from mien.train.reproduce.study import Plan

#: Splits that comparisons measure on, which a network to start from should not have seen.
MEASURED = ("fer2013 PublicTest", "affectnet val_set")
GENTLER = 0.2
"""A trained network learns on at this part of the recipe's learning rate."""


def start_from_runs(plan: Plan, sources: Sequence[str]) -> Plan:
    """The plan with each experiment started from the given network that has its architecture.

    The learning rate is a fifth of the recipe's, the options of the architecture are the run's;
    exported files do not tell theirs, so the plan's must be right. Heads of other names begin anew.
    The table says what was started, and from which training.

    Args:
        plan: what is compared.
        sources: folders of finished `mien train` runs, exported files or bundled models. None of
            them should have seen the held-out faces; the table says so of a file that has.

    Raises:
        DataError: a folder holds no finished run.
        ModelError: a file that is missing or was not written by `mien export`.
        UsageError: the plan has no experiment of a network's architecture, two have the same one,
            or the plan's held-out faces are among those that such networks are trained on.
    """
    if sources and plan.no_start:
        raise UsageError(f"--start: {plan.no_start}")
    taken: set[str] = set()
    begun: dict[str, str] = {}
    for source in sources:
        name, options, training = _look_at(source)
        fitting = [e.name for e in plan.experiments if e.config.model.name == name and not e.init]
        if not fitting:
            has = ", ".join(sorted({e.config.model.name for e in plan.experiments}))
            raise UsageError(f"--start {source}: that is a {name}; {plan.paper} has {has}")
        if name in taken:
            raise UsageError(f"--start: two networks of {name}; give one of them")
        taken.add(name)
        sentence = f"started from {training}; {GENTLER} of the learning rate"
        begun |= dict.fromkeys(fitting, sentence)
        experiments = tuple(
            _started(e, source, options) if e.name in fitting else e for e in plan.experiments
        )
        plan = replace(plan, experiments=experiments)
    return replace(plan, started=begun)


def _look_at(source: str) -> tuple[str, dict[str, Any] | None, str]:
    """The architecture, its options where they are told, and what it was trained with."""
    if file := exported_file(source):
        spec = load_classifier(file).spec
        made = "; ".join(spec.training_data)
        told = f"`{spec.name}` {spec.version}, trained with {made}{_warning(spec.trained_on)}"
        return spec.architecture, None, told
    run = load_run(Path(source))
    config, data = run.config, run.config.data
    sets = " and ".join((data.reader, *(also.reader for also in data.also)))
    taught = " and ".join(Path(teacher).stem for teacher in config.distil.teachers)
    return (
        config.model.name,
        config.model.options,
        f"the run `{run.folder.name}` of {config.model.name}, trained with {sets}'s "
        f"{run.about['faces']['train']:,} faces (heads {', '.join(data.heads)})"
        + (f" and taught by {taught}" if taught else "")
        + _warning(run.trained_on),
    )


def _warning(splits: Sequence[str]) -> str:
    known = " and ".join(split for split in splits if split in MEASURED)
    return f"; figures on {known} are too good, as it has seen them" if known else ""


def _started(experiment: Experiment, source: str, options: dict[str, Any] | None) -> Experiment:
    config = experiment.config
    if options is not None:
        config = replace(config, model=replace(config.model, options=options))
    config = replace(config, init=source, optim=replace(config.optim, lr=GENTLER * config.optim.lr))
    return replace(experiment, config=config)

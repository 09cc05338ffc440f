"""Networks of a comparison that start from a run made before, as papers start from others'.

A paper's teacher or student has often seen far more faces than its comparison has. Here a finished
run of `mien train` stands in for that: every experiment of its architecture starts from its
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.errors import UsageError
from mien.train.network import load_run
from mien.train.reproduce.experiment import Experiment
from mien.train.reproduce.study import Plan

GENTLER = 0.2
"""A trained network learns on at this part of the recipe's learning rate."""


def start_from_runs(plan: Plan, runs: Sequence[Path]) -> Plan:
    """The plan with each experiment started from the given run that has its architecture.

    The learning rate is a fifth of the recipe's, the options of the architecture are the run's.
    Heads of other names begin anew. The table says what was started, and from which training.

    Args:
        plan: what is compared.
        runs: folders of finished `mien train` runs. None of them may have seen the held-out faces.

    Raises:
        DataError: a folder holds no finished run.
        UsageError: the plan has no experiment of a run's architecture, two runs have the same one,
            or the plan's held-out faces are among those that such runs are trained on.
    """
    if runs and plan.no_start:
        raise UsageError(f"--start: {plan.no_start}")
    started: dict[str, str] = {}
    for folder in runs:
        run = load_run(folder)
        name = run.config.model.name
        fitting = [e.name for e in plan.experiments if e.config.model.name == name and not e.init]
        if not fitting:
            has = ", ".join(sorted({e.config.model.name for e in plan.experiments}))
            raise UsageError(
                f"--start {folder}: a run of {name}; {plan.paper} has networks of {has}"
            )
        if name in started:
            raise UsageError(f"--start: two runs of {name}; give one of them")
        started[name] = (
            f"{', '.join(fitting)}: started from the run `{folder.name}` of {name}, trained with "
            f"{run.config.data.reader}'s {run.about['faces']['train']:,} faces (heads "
            f"{', '.join(run.config.data.heads)}); {GENTLER} of the learning rate."
        )
        experiments = tuple(
            _started(e, folder, run.config.model.options) if e.name in fitting else e
            for e in plan.experiments
        )
        plan = replace(plan, experiments=experiments)
    return replace(plan, departures=(*started.values(), *plan.departures))


def _started(experiment: Experiment, folder: Path, options: dict[str, Any]) -> Experiment:
    config = experiment.config
    config = replace(
        config,
        init=str(folder),
        model=replace(config.model, options=options),
        optim=replace(config.optim, lr=GENTLER * config.optim.lr),
    )
    return replace(experiment, config=config)

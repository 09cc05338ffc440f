"""A paper's comparison from its plan to a folder: tables, metrics, predictions, figures.

The folder holds ``table.md``, ``metrics.json``, ``predictions/<experiment>.csv``,
``figures/*.png`` and, to go on after a kill, ``runs/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.train import trainer
from mien.train.data.places import find
from mien.train.reproduce.budgets import Budget
from mien.train.reproduce.costs import measure_costs
from mien.train.reproduce.experiment import (
    Answers,
    Experiment,
    Say,
    is_finished,
    run_experiment,
)
from mien.train.reproduce.measures import measure_all
from mien.train.reproduce.outputs import Picture, draw, write_predictions, write_text
from mien.train.reproduce.sources import Source
from mien.train.reproduce.tables import (
    Comparison,
    Result,
    Results,
    Sheet,
    render_comparison,
    render_sheet,
)
from mien.train.run import environment, write_json


@dataclass(frozen=True)
class Plan:
    """Everything that is compared for one paper, as data."""

    paper: str
    title: str
    experiments: tuple[Experiment, ...]
    sources: Mapping[str, Source]
    protocol: tuple[str, ...]
    departures: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    comparisons: tuple[Comparison, ...] = ()
    pictures: tuple[Picture, ...] = ()
    timed: bool = False
    """Whether the time of one face is measured."""
    reference: str = ""
    """The experiment that others' costs are compared with."""
    started: Mapping[str, str] = field(default_factory=dict)
    """What experiments started from, by their names, where that was trained elsewhere."""
    no_start: str = ""
    """Why no experiment may start from a run made elsewhere; empty where one may."""


def choose(plan: Plan, only: Sequence[str]) -> tuple[Experiment, ...]:
    """The experiments named in `only` (all, if it is empty) and those that they start from.

    Raises:
        UsageError: there is no experiment of such a name.
    """
    by_name = {experiment.name: experiment for experiment in plan.experiments}
    if unknown := [name for name in only if name not in by_name]:
        raise UsageError(
            f"{plan.paper} has no experiment {', '.join(unknown)}; it has {', '.join(by_name)}"
        )
    wanted = set(only or by_name)
    for experiment in reversed(plan.experiments):  # what others start from stands before them
        if experiment.name in wanted:
            wanted |= {name for name in (experiment.init, *experiment.teachers) if name}
    return tuple(e for e in plan.experiments if e.name in wanted)


def reproduce(
    plan: Plan,
    data: Path,
    budget: Budget,
    out: Path,
    *,
    only: Sequence[str] = (),
    command: str = "",
    progress: trainer.Progress = lambda done, total, loss: None,
    say: Say = lambda text: None,
) -> str:
    """Run the experiments of `plan`, write everything to `out` and return the Markdown.

    Args:
        plan: what the paper compares.
        data: the folder of the data sets.
        budget: what it may cost.
        out: the folder, made where it is not there.
        only: names of experiments; empty is all. Others are shown, too, if they were trained in
            `out` before with the same settings.
        command: what the table says it was made by.
        progress: called after each training step.
        say: called with lines for people.

    Raises:
        DataError: a data set is missing that the chosen experiments need.
        UsageError: there is no experiment of a name in `only`.
    """
    chosen = choose(plan, only)
    needed = {need for e in chosen for name in e.sources for need in plan.sources[name].needs}
    for name in sorted(needed):
        find(data, name)
    results: dict[str, Result] = {}
    seeds = tuple(range(budget.seeds))
    for experiment in (replace(e, seeds=seeds) for e in plan.experiments):
        wanted = experiment.name in {e.name for e in chosen}
        if wanted or is_finished(experiment, plan.sources, budget, out):
            say(f"{plan.paper}: {experiment.name}")
            results[experiment.name] = _result(plan, experiment, budget, out, progress, say)
    if plan.reference in results:
        results = {k: _relative(r, results[plan.reference]) for k, r in results.items()}
    write_predictions(results, out / "predictions")
    draw(plan.pictures, results, out / "figures")
    text = render(plan, budget, results, command)
    write_text(out / "table.md", text)
    write_json(out / "metrics.json", _metrics(plan, budget, results, command))
    return text


def _result(
    plan: Plan,
    experiment: Experiment,
    budget: Budget,
    out: Path,
    progress: trainer.Progress,
    say: Say,
) -> Result:
    outcome = run_experiment(experiment, plan.sources, budget, out, progress=progress, say=say)
    figures = {
        name: measure_all(answers, budget.rounds) for name, answers in outcome.answers.items()
    }
    about = json.loads((outcome.folders[0] / "data.json").read_text(encoding="utf-8"))
    heads = {head: len(labels) for head, labels in about["labels"].items()}
    passes = budget.timed if plan.timed else 0
    costs = measure_costs(experiment.config, heads, about["channels"], passes=passes)
    speeds = [epoch["faces_per_s"] for history in outcome.histories for epoch in history]
    return Result(outcome, figures, costs, float(np.median(speeds)))


def _relative(result: Result, reference: Result) -> Result:
    """The result with how many times cheaper its network is than that of `reference`."""
    told = {"macs_saved": reference.costs.macs / result.costs.macs}
    if result.costs.latency and reference.costs.latency:
        told["speed_up"] = reference.costs.latency / result.costs.latency
    return replace(result, relative=told)


def render(plan: Plan, budget: Budget, results: Results, command: str) -> str:
    """The whole page in Markdown."""
    made = environment()
    lines = [
        f"# {plan.paper}: {plan.title}",
        "",
        *([f"Made by `{command}`."] if command else []),
        f"Budget `{budget.name}`: {budget.describe()}; {made['threads']} threads, "
        f"PyTorch {made['packages']['torch']}, {made['cpu']}.",
        "A cell is the mean over the seeds ± their standard deviation (95 % bootstrap interval "
        "over the held-out faces, over subjects where they are known). Checkpoint: the last epoch, "
        "averaged weights; single view.",
        "",
        "## Protocol",
        "",
        *(f"- {sentence}" for sentence in (*plan.protocol, *_sizes(results))),
        "",
        "## Departures from the paper",
        "",
        *(f"- {sentence}" for sentence in (*_starts(plan, results), *plan.departures)),
        "",
        "## Tables",
        "",
    ]
    for sheet in plan.sheets:
        lines += render_sheet(sheet, results)
    for comparison in plan.comparisons:
        lines += render_comparison(comparison, results, budget.rounds)
    return "\n".join(lines).rstrip() + "\n"


def _starts(plan: Plan, results: Results) -> list[str]:
    """What the experiments of the table started from."""
    return _together({name: plan.started[name] for name in results if name in plan.started})


def _together(told: Mapping[str, str]) -> list[str]:
    """What is told of each name as sentences, names of which the same is told put together."""
    names: dict[str, list[str]] = {}
    for name, text in told.items():
        names.setdefault(text, []).append(name)
    return [f"{', '.join(listed)}: {text}." for text, listed in names.items()]


def _sizes(results: Results) -> list[str]:
    """The number of faces that each experiment was trained and measured on."""
    told = {}
    for name, result in results.items():
        outcome = result.outcome
        trained = outcome.trained_on
        size = (
            f"{trained[0]:,}" if len(set(trained)) == 1 else f"{min(trained):,} to {max(trained):,}"
        )
        folds = f" in each of {len(trained)} folds" if len(trained) > 1 else ""
        held = "; ".join(_held(k, answers) for k, answers in outcome.answers.items())
        told[name] = f"{size} training faces{folds}; held out: {held}"
    return _together(told)


def _held(name: str, answers: Answers) -> str:
    counts = np.bincount(answers.truth, minlength=len(answers.labels))
    text = f"{name} {len(answers.truth):,}"
    if len(answers.labels) > 8:
        return f"{text} of {len(answers.labels)} people"
    listed = ", ".join(f"{k} {n}" for k, n in zip(answers.labels, counts, strict=True))
    return f"{text} ({listed})"


def _metrics(plan: Plan, budget: Budget, results: Results, command: str) -> dict[str, Any]:
    experiments = {}
    for name, result in results.items():
        outcome = result.outcome
        sets = {
            held_out: {
                "n": len(outcome.answers[held_out].truth),
                "labels": outcome.answers[held_out].labels,
                **{k: _plain(f.mean, f.deviation, f.interval, f.values) for k, f in told.items()},
            }
            for held_out, told in result.figures.items()
        }
        experiments[name] = {
            "config": asdict(outcome.experiment.config),
            "seeds": outcome.experiment.seeds,
            "init": outcome.experiment.init,
            "teachers": outcome.experiment.teachers,
            "trained_on": outcome.trained_on,
            "costs": asdict(result.costs),
            "faces_per_s": result.faces_per_s,
            **result.relative,
            "held_out": sets,
        }
    return {
        "paper": plan.paper,
        "command": command,
        "budget": asdict(budget),
        "environment": environment(),
        "experiments": experiments,
    }


def _plain(
    mean: float,
    deviation: float | None,
    interval: tuple[float, float] | None,
    values: tuple[float, ...],
) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return None if np.isnan(value) else value

    return {
        "mean": known(mean),
        "deviation": deviation,
        "interval": interval,
        "values": [known(value) for value in values],
    }

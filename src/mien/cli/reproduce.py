"""`mien reproduce`: one of five papers' comparisons, trained here, its table beside ours."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mien.cli.flags import call
from mien.cli.main import OK
from mien.cli.progress import Progress
from mien.cli.train import require_train
from mien.errors import UsageError


@dataclass(frozen=True)
class Effort:
    """How much of a paper's comparison is trained, and where."""

    quick: bool = False
    """The same as --budget quick, minutes on two cores and no result worth quoting."""
    budget: Literal["quick", "cpu", "full"] | None = None
    """How much is trained; by default cpu, and full with --device cuda."""
    seeds: int | None = None
    """Train each network with the seeds 0, 1 and so on, so many."""
    epochs: int | None = None
    """Another number of epochs than the budget's."""
    limit: int | None = None
    """At most so many training faces, and faces of each held-out set."""
    folds: int | None = None
    """Run so many of the ten folds of yu2023."""
    only: list[str] | None = None
    """The name of an experiment; may be given several times, then those are run."""
    start: list[str] | None = None
    """A run of mien train, .onnx file or bundled model; networks of its kind start from it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is about twice as quick on GPUs and on CPUs with AVX-512 BF16, and slower elsewhere."""
    threads: int = 0
    """CPU threads; 0 leaves it to PyTorch."""

    def __post_init__(self) -> None:
        """Refuse two budgets."""
        if self.quick and self.budget not in (None, "quick"):
            raise UsageError(
                f"--quick and --budget {self.budget} contradict each other; give one of them"
            )

    @property
    def name(self) -> Literal["quick", "cpu", "full"] | None:
        """The budget that is asked for by name."""
        return "quick" if self.quick else self.budget


def reproduce(
    paper: Literal["tian2022", "yu2023", "yang2023", "ngo2020", "lee2023"],
    /,
    *,
    data: Path,
    out: Path | None = None,
    effort: Effort,
    quiet: bool = False,
) -> int:
    """Train what a paper compares and print its table beside ours.

    The table goes to stdout, progress to stderr. The folder gets table.md, metrics.json,
    predictions/ and figures/, and runs/, from which a stopped command goes on where it was.

    Args:
        paper: Which one.
        data: The folder that holds fer2013/, CK+48/ and affectnet/, or the data set itself.
        out: Where to write, by default results/<paper>, of a quick run results/<paper>-quick.
        effort: How much is trained, and where.
        quiet: No progress.
    """
    require_train("reproducing a paper")
    from mien.train.reproduce.budgets import choose_budget
    from mien.train.reproduce.papers import PAPERS
    from mien.train.reproduce.starts import start_from_runs
    from mien.train.reproduce.study import reproduce as run_plan

    chosen = choose_budget(
        PAPERS[paper].budgets,
        effort.name,
        device=effort.device,
        precision=effort.precision,
        seeds=effort.seeds,
        epochs=effort.epochs,
        limit=effort.limit,
        folds=effort.folds,
        threads=effort.threads,
    )
    out = out or Path("results") / (f"{paper}-quick" if chosen.name == "quick" else paper)
    with Progress("steps", sys.stderr.isatty() and not quiet) as bar:

        def progress(done: int, total: int, loss: float) -> None:
            bar.total(total)
            bar.step(done, f"loss {loss:.3f}")

        text = run_plan(
            start_from_runs(PAPERS[paper].plan(data, chosen), effort.start or ()),
            data,
            chosen,
            out,
            only=tuple(effort.only or ()),
            command=_command(paper, effort, chosen.name),
            progress=progress,
            say=(lambda line: None) if quiet else _say,
        )
    sys.stdout.write(text)
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(reproduce, argv, prog="mien reproduce")


def _command(paper: str, effort: Effort, budget: str) -> str:
    """The command line that gives the same table, without the folders' names."""
    words = ["mien", "reproduce", paper, "--data", "DIR", "--budget", effort.name or budget]
    for flag in ("seeds", "epochs", "limit", "folds"):
        value = getattr(effort, flag)
        words += [] if value is None else [f"--{flag}", str(value)]
    for experiment in effort.only or ():
        words += ["--only", experiment]
    for source in effort.start or ():
        words += ["--start", Path(source).name]
    words += ["--device", effort.device] if effort.device != "cpu" else []
    words += ["--precision", effort.precision] if effort.precision != "fp32" else []
    return shlex.join(words)


def _say(text: str) -> None:
    sys.stderr.write(f"mien: {text}\n")

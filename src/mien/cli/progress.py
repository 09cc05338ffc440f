"""Progress on stderr, for people: nothing is shown where stderr is not a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress:
    """A counter of `what`, or a bar where the total is known."""

    def __init__(self, what: str, shown: bool, total: int | None = None) -> None:
        self._what, self._shown, self._total = what, shown, total
        self._rich: RichProgress | None = None

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as RichProgress

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            console = Console(stderr=True)
            self._rich = RichProgress(*columns, console=console, transient=True)
            self._rich.start()
            self._rich.add_task(self._what, total=self._total)
        return self

    def __exit__(self, *error: object) -> None:
        if self._rich is not None:
            self._rich.stop()

    def total(self, total: int) -> None:
        """Say how many there are, once that is known."""
        if self._rich is not None:
            self._rich.update(self._rich.task_ids[0], total=total)

    def step(self, done: int | None = None, what: str | None = None) -> None:
        """One more is done, or `done` in all; `what` replaces the words in front."""
        if self._rich is None:
            return
        task = self._rich.task_ids[0]
        self._rich.update(task, advance=1 if done is None else None, completed=done)
        if what is not None:
            self._rich.update(task, description=what)

"""Tables of results: drawn by rich on a terminal, plain columns anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mien.labels import COLOURS
from mien.report.table import marked
from mien.types import Face, Observation

HEADER = ("photo", "face", "box", "expression", "", "then")
_BAR = 20

Cells = tuple[str, str, str, str, str, str]


def print_table(results: Iterator[Observation], output: Path | None = None) -> None:
    """Print a row a face and a row for each photo without one, to stdout or the file `output`."""
    if output is None and sys.stdout.isatty():
        _print_rich(results)
        return
    text = plain_table([cells for result in results for cells in _rows(result)])
    if output is None:
        sys.stdout.write(text.encode("utf-8", "replace").decode())
        return
    from mien.io.sinks import replacing

    with replacing(output) as file:
        file.write(text.encode("utf-8", "replace"))


def plain_table(rows: list[Cells]) -> str:
    """Rows in columns that line up, under `HEADER`."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEADER, *rows)
    ]
    return "\n".join(lines) + "\n"


def _print_rich(results: Iterator[Observation]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEADER:
        table.add_column(name, overflow="fold")
    for result in results:
        for cells in _rows(result):
            label = cells[3].split(" ")[0].removesuffix("?")
            colour = COLOURS.get(label, "red" if result.error else "dim")
            styled = [Text(cell) for cell in cells]
            styled[3].stylize(colour if cells[4] == "" else "bold")
            styled[4].stylize(colour)
            styled[5].stylize("dim")
            table.add_row(*styled)
    Console().print(table)


def _rows(result: Observation) -> Iterator[Cells]:
    if not result.faces:
        yield (result.source, "", "", result.error or "no face", "", "")
    for face in result.faces:
        box = " ".join(f"{v:.0f}" for v in face.box)
        yield (result.source, str(face.face_id), box, *_expression(face))


def _expression(face: Face) -> tuple[str, str, str]:
    filled = round(_BAR * face.probability)
    ranked = sorted(face.probabilities.items(), key=lambda item: -item[1])
    second, chance = ranked[1]
    told = f"{marked(face)} {100 * face.probability:.0f} %"
    return told, "█" * filled + "·" * (_BAR - filled), f"{second} {100 * chance:.0f} %"

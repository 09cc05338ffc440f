"""`mien camera`: a live table of the people in front of a camera; and a file of what was read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mien.cli.flags import Without, call
from mien.cli.interrupt import until_interrupted
from mien.cli.recording import check_stdout, open_table
from mien.cli.tally import Tally
from mien.io.camera import Camera
from mien.labels import COLOURS
from mien.pipeline import Analyzer, Options
from mien.report.table import marked
from mien.stream import Motion, analyze_stream
from mien.types import Observation

if TYPE_CHECKING:
    from rich.table import Table

_BAR = 24
_LIVE = Motion(detect_every=1, gap=0, at_once=1, overlap=False)


def camera(
    source: str = "0",
    /,
    *,
    csv: Path | None = None,
    jsonl: Path | None = None,
    max_seconds: float | None = None,
    fps: float | None = None,
    motion: Annotated[Motion, Without("detect_every", "gap", "hold", "at_once", "overlap")] = _LIVE,
    options: Annotated[Options, Without("max_pixels")],
    quiet: bool = False,
) -> int:
    """Read the apparent expressions of the people in front of a camera, live.

    Shows a line per person with bars. Nothing is kept unless --csv or --jsonl asks for it, and
    never a picture. Always the newest frame is read; older ones are dropped. Ctrl-C ends it and
    leaves finished files. Tell the people in view that they are being analysed.

    Args:
        source: The camera's number or device, or the address of a stream (rtsp, http, udp). A
            video file is played in real time.
        csv: A table, one row per face and frame, and one for a frame without a face; - is stdout.
        jsonl: The same as JSON, one object per frame; - is stdout.
        max_seconds: Stop after so many seconds.
        fps: Read no more frames than this a second.
        motion: How readings are smoothed.
        options: How the frames are analysed.
        quiet: No live table and no summary.
    """
    check_stdout(csv, jsonl)
    analyzer = Analyzer(options)
    tally = Tally()
    live = Camera(int(source) if source.isdigit() else source, max_seconds=max_seconds, fps=fps)
    with ExitStack() as stack:
        stop = stack.enter_context(until_interrupted(live.close))
        stack.enter_context(live)
        tables = (("csv", csv), ("jsonl", jsonl))
        sinks = [stack.enter_context(open_table(kind, path)) for kind, path in tables if path]
        show = stack.enter_context(LiveTable(shown=sys.stderr.isatty() and not quiet))
        for result in stack.enter_context(closing(analyze_stream(live, analyzer, motion))):
            tally.add(result)
            for sink in sinks:
                sink.write(result)
            show.update(result)
            if stop():
                break
    if not quiet:
        sys.stderr.write(f"{tally.of_frames().rstrip()}, {live.dropped} frames dropped\n")
    return tally.status(interrupted=stop())


class LiveTable:
    """A table on the terminal that is drawn anew with each frame; nothing where not `shown`."""

    def __init__(self, *, shown: bool) -> None:
        self._stack = ExitStack()
        self._shown = shown

    def __enter__(self) -> LiveTable:
        if self._shown:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = self._stack.enter_context(
                Live(console=console, refresh_per_second=10, transient=True)
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def update(self, result: Observation) -> None:
        """Show the people of this frame."""
        if self._shown:
            self._live.update(people_table(result))


def people_table(result: Observation) -> Table:
    """A line per person: the id, the smoothed expression, a bar, valence and arousal."""
    from rich.table import Table
    from rich.text import Text

    title = f"{result.source}  {result.t_sec or 0:.1f} s"
    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    for name in ("person", "expression", "", "valence", "arousal"):
        table.add_column(name, min_width=_BAR if name == "" else None)
    for face in result.faces:
        told = face.smoothed or face
        colour = COLOURS[told.expression]
        filled = round(_BAR * told.probability)
        affect = ("" if v is None else f"{v:+.2f}" for v in (told.valence, told.arousal))
        table.add_row(
            str(face.face_id),
            Text(f"{marked(told)} {100 * told.probability:.0f} %", f"bold {colour}"),
            Text("█" * filled + "·" * (_BAR - filled), colour),
            *affect,
        )
    if not result.faces:
        table.add_row("", result.error or "no face")
    return table


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(camera, argv, prog="mien camera", config=True)

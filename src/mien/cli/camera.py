"""`mien camera`: a live table of the people in front of a camera; and a file of what was read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.cli.flags import call
from mien.cli.interrupt import until_interrupted
from mien.cli.recording import Told, check_stdout, open_table
from mien.io.camera import Camera
from mien.labels import COLOURS
from mien.pipeline import Analyzer, Options
from mien.runtime.classify import DEFAULT_MODEL
from mien.stream import Motion, analyze_stream
from mien.types import Observation

if TYPE_CHECKING:
    from rich.table import Table

_BAR = 24


def camera(
    source: str = "0",
    /,
    *,
    csv: Path | None = None,
    jsonl: Path | None = None,
    max_seconds: float | None = None,
    fps: float | None = None,
    smooth: float = 0.3,
    model: str = DEFAULT_MODEL,
    detector: str = "auto",
    min_face: float = 0.0,
    min_score: float | None = None,
    max_faces: int | None = None,
    max_side: int = 640,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    threads: int = 1,
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
        smooth: Time constant of the smoothed readings, in seconds; 0 smooths nothing.
        model: A bundled model (see `mien models`) or an .onnx file that `mien export` wrote.
        detector: The face detector: auto, yunet, libface, haar, or none (each frame is one face).
        min_face: Leave out faces with a side shorter than this, in pixels.
        min_score: Leave out faces that the detector is less sure of, 0 to 1.
        max_faces: Keep at most so many faces a frame, the surest ones.
        max_side: Look for faces in the frame shrunk to this long side; more finds smaller faces.
        device: Where the classifier runs.
        threads: CPU threads of the classifier.
        quiet: No live table and no summary.
    """
    check_stdout(csv, jsonl)
    options = Options(
        model, detector, min_face, min_score, max_faces, max_side, device=device, threads=threads
    )
    motion = Motion(detect_every=1, gap=0, smooth=smooth, at_once=1, overlap=False)
    analyzer = Analyzer(options)
    told = Told()
    live = Camera(int(source) if source.isdigit() else source, max_seconds=max_seconds, fps=fps)
    with ExitStack() as stack:
        stop = stack.enter_context(until_interrupted(live.close))
        stack.enter_context(live)
        tables = (("csv", csv), ("jsonl", jsonl))
        sinks = [stack.enter_context(open_table(kind, path)) for kind, path in tables if path]
        show = stack.enter_context(LiveTable(shown=sys.stderr.isatty() and not quiet))
        for result in stack.enter_context(closing(analyze_stream(live, analyzer, motion))):
            told.add(result)
            for sink in sinks:
                sink.write(result)
            show.update(result)
            if stop():
                break
    if not quiet:
        sys.stderr.write(f"{told.summary().rstrip()}, {live.dropped} frames dropped\n")
    return told.status(interrupted=stop())


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
            Text(f"{told.expression} {100 * told.probability:.0f} %", f"bold {colour}"),
            Text("█" * filled + "·" * (_BAR - filled), colour),
            *affect,
        )
    if not result.faces:
        table.add_row("", result.error or "no face")
    return table


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(camera, argv, prog="mien camera")

"""`mien report`: the table of a video analysis becomes one page to read, and plots."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien import __version__
from mien.cli.flags import call
from mien.cli.main import OK
from mien.errors import UsageError

if TYPE_CHECKING:
    from mien.report.moments import Where
    from mien.report.series import Recording
    from mien.spec import ModelSpec
    from mien.types import Image
    from mien.video.events import Event


def report(
    table: Path,
    /,
    *,
    video: Path | None = None,
    output: Path = Path("report.html"),
    plots: Path | None = None,
    no_faces: bool = False,
    blur: bool = False,
    model: str | None = None,
    source: str | None = None,
    quiet: bool = False,
) -> int:
    """Turn a table that mien wrote into one HTML page that opens without a network.

    The page has a timeline for each person, shares with what they are shares of, events, the
    group, and what the numbers do not mean. With --video it has faces in it: those who get the
    page see who was there. --blur makes them unrecognisable, --no-faces leaves them out.

    Args:
        table: A .csv, .parquet, .jsonl or .json file from `mien video` or `mien analyze`.
        video: The video that the table was made from: faces are cut from it at the peaks.
        output: The page to write.
        plots: A folder for every plot as an .svg and a .png file.
        no_faces: No faces in the page, even with --video.
        blur: Blur the faces.
        model: The model whose card the page shows; by default the bundled one that the table names.
        source: The video to report on, where the table holds several.
        quiet: Nothing on stderr.
    """
    from mien.report.moments import moments
    from mien.report.page import write_page
    from mien.report.reading import read_recording

    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: the page is an .html file")
    recording = read_recording(table, source=source)
    if video is not None and not recording.timed:
        raise UsageError(f"{table} is a table of photos: --video goes with the table of a video")
    found = moments(recording)
    faces = {} if video is None or no_faces else _faces(video, recording, found)
    write_page(
        recording,
        output,
        thumbnails=faces,
        blur=blur,
        model_card=_card(model, recording.model),
        settings=_settings(table, video, bool(faces), blur),
        events=found,
    )
    written = [] if plots is None else _write_plots(recording, plots)
    if not quiet:
        size = output.stat().st_size / 1000
        sys.stderr.write(f"{output}: {size:.0f} kB, {len(faces)} faces\n")
        if plots is not None:
            sys.stderr.write(f"{plots}: {len(written)} plots, each as .svg and .png\n")
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(report, argv, prog="mien report")


def _faces(video: Path, recording: Recording, found: list[Event]) -> dict[Where, Image]:
    from mien.io.video import probe, read_video
    from mien.report.moments import cut_faces, peaks

    probe(video)  # says at once where it is no video
    return cut_faces(read_video(video), recording, peaks(found))


def _card(model: str | None, told: str) -> ModelSpec | None:
    """The description of the model asked for, else of the bundled one of the table's name."""
    from mien.runtime import store
    from mien.runtime.classify import load_classifier

    if model is None and told not in store.bundled():
        return None
    return load_classifier(store.resolve(model or told)).spec


def _settings(table: Path, video: Path | None, faces: bool, blur: bool) -> dict[str, str]:
    shown = ("blurred" if blur else "shown") if faces else "left out"
    out = {"table": table.name, "faces": shown, "mien": __version__}
    return out if video is None else {**out, "video": video.name}


def _write_plots(recording: Recording, folder: Path) -> list[str]:
    """Every plot as SVG and PNG in `folder`; the names without their suffixes."""
    from PIL import Image as Pillow

    from mien.io.sinks import replacing
    from mien.report.gallery import drawings
    from mien.report.raster import to_pixels
    from mien.report.shapes import to_svg

    names = []
    for name, drawing in drawings(recording):
        with replacing(folder / f"{name}.svg") as file:
            file.write(to_svg(drawing).encode())
        with replacing(folder / f"{name}.png") as file:
            Pillow.fromarray(to_pixels(drawing)).save(file, "PNG")
        names.append(name)
    return names

"""The schema of mien's output: one JSON object a picture, one table row a face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtraError
from mien.labels import EIGHT
from mien.types import Face, Observation, Smoothed

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1

COLUMNS: tuple[str, ...] = (
    "source",
    "frame",
    "t_sec",
    "face_id",
    "status",
    "box_x0",
    "box_y0",
    "box_x1",
    "box_y1",
    "face_score",
    *EIGHT,
    "expression",
    "probability",
    "valence",
    "arousal",
    "model",
    "schema",
    "uncertain",
)
"""What the table of photos has; programs may rely on the names and on their order."""

VIDEO_COLUMNS: tuple[str, ...] = (
    *COLUMNS,
    "smooth_expression",
    "smooth_probability",
    "smooth_valence",
    "smooth_arousal",
    *(f"smooth_{label}" for label in EIGHT),
    "smooth_uncertain",
    "error",
)
"""What the table of a video has: the same columns, and the smoothed readings behind them."""

TEXT_COLUMNS = frozenset({"source", "status", "expression", "model", "smooth_expression", "error"})
INTEGER_COLUMNS = frozenset({"frame", "face_id", "schema", "uncertain", "smooth_uncertain"})

Row = dict[str, str | int | float | None]


def to_dict(observation: Observation) -> dict[str, Any]:
    """The JSON object of one picture: native types only, probabilities to four decimals."""
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "source": observation.source,
        "status": observation.status,
        "width": observation.width,
        "height": observation.height,
        "model": observation.model,
        "faces": [_face(face) for face in observation.faces],
    }
    if observation.t_sec is not None:
        out["frame"], out["t_sec"] = observation.frame, observation.t_sec
    if observation.error is not None:
        out["error"] = observation.error
    return out


def rows(observation: Observation, columns: Sequence[str] = COLUMNS) -> list[Row]:
    """The table rows of one picture: one a face, or a single one where there is none.

    In a video, a face that was not seen but filled in has the status ``bridged``. What is uncertain
    is 1 there, else 0; in JSON it is true, or left out.
    """
    blank = _blank(observation)
    if observation.faces:
        told = [{**blank, **_cells(face)} for face in observation.faces]
    else:
        told = [blank]
    return [{name: row.get(name) for name in columns} for row in told]


def legible(row: Row) -> Row:
    r"""The row with a source that is text: bytes of a path that are none become ``\udcff``."""
    return {**row, "source": str(row["source"]).encode("utf-8", "backslashreplace").decode()}


def marked(of: Face | Smoothed) -> str:
    """The expression for people to read: an uncertain one has a question mark behind it."""
    return f"{of.expression}?" if of.uncertain else of.expression


def dataframe(observations: Iterable[Observation]) -> pd.DataFrame:
    """All rows as a pandas DataFrame with the columns of `COLUMNS`; empty cells are missing.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a DataFrame", "table") from error
    told = [legible(row) for o in observations for row in rows(o)]
    frame = pd.DataFrame(told, columns=list(COLUMNS))
    kinds = {name: _dtype(name) for name in COLUMNS}
    return frame.astype(kinds)


def _dtype(column: str) -> str:
    if column in TEXT_COLUMNS:
        return "string"
    return "Int64" if column in INTEGER_COLUMNS else "float64"


def _blank(observation: Observation) -> Row:
    return {
        "source": observation.source,
        "frame": observation.frame,
        "t_sec": observation.t_sec,
        "status": observation.status,
        "model": observation.model,
        "schema": SCHEMA,
        "error": observation.error,
    }


def _cells(face: Face) -> Row:
    told = _face(face)
    box = dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), told.pop("box"), strict=True))
    row: Row = {**box, **told.pop("probabilities")}
    for name, value in told.pop("smoothed", {}).items():
        cells = value if name == "probabilities" else {name: value}
        row |= {f"smooth_{key}": cell for key, cell in cells.items()}
    if face.smoothed is not None:
        row["smooth_uncertain"] = int(face.smoothed.uncertain)
    if told.pop("bridged", False):
        row["status"] = "bridged"
    return {**row, **told, "uncertain": int(face.uncertain)}


def _face(face: Face) -> dict[str, Any]:
    told = {
        "face_id": face.face_id,
        "box": [round(v, 1) for v in face.box],
        "face_score": round(face.face_score, 4),
        **_reading(face),
    }
    if face.bridged:
        told["bridged"] = True
    if face.smoothed is not None:
        told["smoothed"] = _reading(face.smoothed)
    return told


def _reading(of: Face | Smoothed) -> dict[str, Any]:
    told: dict[str, Any] = {
        "expression": of.expression,
        "probability": round(of.probability, 4),
        "probabilities": {name: round(p, 4) for name, p in of.probabilities.items()},
        "valence": None if of.valence is None else round(of.valence, 4),
        "arousal": None if of.arousal is None else round(of.arousal, 4),
    }
    if of.uncertain:
        told["uncertain"] = True
    return told

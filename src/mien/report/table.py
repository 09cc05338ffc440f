"""The schema of mien's output: one JSON object a picture, one table row a face."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtraError
from mien.labels import EIGHT
from mien.types import Face, Observation

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
)

TEXT_COLUMNS = frozenset({"source", "status", "expression", "model"})
INTEGER_COLUMNS = frozenset({"frame", "face_id", "schema"})

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
    if observation.error is not None:
        out["error"] = observation.error
    return out


def rows(observation: Observation) -> list[Row]:
    """The table rows of one picture: one a face, or a single one where there is none."""
    if not observation.faces:
        return [_blank(observation)]
    return [{**_blank(observation), **_cells(face)} for face in observation.faces]


def legible(row: Row) -> Row:
    r"""The row with a source that is text: bytes of a path that are none become ``\udcff``."""
    return {**row, "source": str(row["source"]).encode("utf-8", "backslashreplace").decode()}


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
    row: Row = dict.fromkeys(COLUMNS)
    row.update(
        source=observation.source,
        frame=observation.frame,
        t_sec=observation.t_sec,
        status=observation.status,
        model=observation.model,
        schema=SCHEMA,
    )
    return row


def _cells(face: Face) -> Row:
    told = _face(face)
    box = dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), told.pop("box"), strict=True))
    return {**box, **told.pop("probabilities"), **told}


def _face(face: Face) -> dict[str, Any]:
    return {
        "face_id": face.face_id,
        "box": [round(v, 1) for v in face.box],
        "face_score": round(face.face_score, 4),
        "expression": face.expression,
        "probability": round(face.probability, 4),
        "probabilities": {name: round(p, 4) for name, p in face.probabilities.items()},
        "valence": None if face.valence is None else round(face.valence, 4),
        "arousal": None if face.arousal is None else round(face.arousal, 4),
    }

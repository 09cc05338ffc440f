"""What the API answers with, by version: the same records make ``/openapi.json``.

`SCHEMA` counts up when a field changes its meaning or goes away; new fields may come at any time.
"""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mien.faces.crop import to_grey
from mien.labels import EIGHT
from mien.report.table import SCHEMA, to_dict
from mien.serve.limits import RefusedError
from mien.serve.pool import Answer, Model
from mien.serve.upload import Ask
from mien.types import Image


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Reading(_Record):
    """An apparent expression."""

    expression: str
    probability: float
    probabilities: dict[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    uncertain: bool = Field(False, description="Less probable than the model's threshold.")


class FaceRecord(Reading):
    """One face; the box is x0, y0, x1, y1 in pixels of the upright picture."""

    face_id: int
    box: tuple[float, float, float, float]
    face_score: float
    smoothed: Reading | None = None
    crop: str | None = Field(None, description="A data: URL of a PNG, as the network is given it.")


class _Pictured(_Record):
    schema_: int = Field(SCHEMA, alias="schema")
    width: int
    height: int
    faces: list[FaceRecord]
    ms: float = Field(description="Milliseconds from the whole picture to the answer.")


class Analysis(_Pictured):
    """The answer of ``POST /v1/analyze``."""

    source: str
    status: Literal["ok", "no_face"]
    model: str
    model_sha256: str


class StreamAnswer(_Pictured):
    """What ``WS /v1/stream`` says of a frame: `frame` counts those received, from 0."""

    frame: int
    t_sec: float
    dropped: int = Field(description="Frames passed over so far, since newer ones had come.")


class Trouble(_Record):
    """Why a request was refused."""

    status: int
    code: str
    reason: str


class Problem(_Record):
    """The answer of everything that was refused."""

    schema_: int = Field(SCHEMA, alias="schema")
    error: Trouble


class Head(_Record):
    """One output of a network."""

    name: str
    labels: list[str]


class ModelRecord(_Record):
    """What is known of a model."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    parameters: int
    macs: int
    heads: list[Head]
    labels: list[str]
    licence: str
    has_affect: bool
    intended_use: str
    input_size: int


class Models(_Record):
    """The answer of ``GET /v1/models``."""

    schema_: int = Field(SCHEMA, alias="schema")
    default: str
    models: list[ModelRecord]


class JobRecord(_Record):
    """A video that is read, or has been; the links are paths of this server."""

    schema_: int = Field(SCHEMA, alias="schema")
    id: str
    status: Literal["queued", "running", "done", "failed"]
    progress: float = Field(description="0 to 1, by the times of the frames read.")
    frames: int
    reason: str | None = None
    expires_sec: float | None = Field(None, description="Seconds until it is deleted.")
    links: dict[str, str]


class Health(_Record):
    """Whether the server lives, or takes requests."""

    status: str


def analysis(answer: Answer, ask: Ask, ms: float) -> dict[str, Any]:
    """The JSON object of `Analysis`: what a command-line user gets, the model's hash, the time."""
    told = to_dict(answer.result)
    for face in told["faces"]:
        if "probabilities" not in ask.parts:
            del face["probabilities"]
        if "affect" not in ask.parts:
            del face["valence"], face["arousal"]
    if ask.wants_crops:
        add_crops(told["faces"], answer)
    return {**told, "model_sha256": answer.model.sha256, "ms": round(ms, 2)}


def card(model: Model) -> dict[str, Any]:
    """The JSON object of a `ModelRecord`."""
    spec = model.spec
    return {
        "name": model.name,
        "version": spec.version,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "parameters": spec.parameters,
        "macs": spec.macs,
        "heads": [{"name": head.name, "labels": list(head.labels)} for head in spec.heads],
        "labels": list(EIGHT),
        "licence": spec.licence,
        "has_affect": model.has_affect,
        "intended_use": spec.intended_use,
        "input_size": spec.input.size,
    }


def problem(refused: RefusedError) -> dict[str, Any]:
    """The JSON object of a `Problem`."""
    trouble = {"status": refused.status, "code": refused.code, "reason": refused.reason}
    return {"schema": SCHEMA, "error": trouble}


def add_crops(faces: list[dict[str, Any]], answer: Answer) -> None:
    """Give each face its crop as the network is given it, grey where it sees no colours."""
    if answer.crops is None:
        return
    grey = answer.model.spec.input.channels == 1
    seen = to_grey(answer.crops) if grey else answer.crops
    for face, crop in zip(faces, seen, strict=True):
        face["crop"] = png_url(crop)


def png_url(crop: Image) -> str:
    """A crop (s, s) or (s, s, 3) as a ``data:`` URL."""
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray(crop).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")

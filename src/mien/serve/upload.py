"""What a request asks for, and the picture it brings: multipart, raw, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from mien.serve.limits import RefusedError

Part = Literal["probabilities", "affect", "crops"]

_FIELDS, _FIELD_BYTES = 16, 4096
_SHORT_QUERY = 256  # what is remembered of queries stays small
_RAW = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]{1,9}://", re.IGNORECASE)


def _listed(value: Any) -> Any:
    """Words parted by commas as a list; a query may have them in several pieces."""
    pieces = [value] if isinstance(value, str) else value
    if not isinstance(pieces, list | tuple) or not all(isinstance(p, str) for p in pieces):
        return value
    return [word.strip() for piece in pieces for word in piece.split(",")]


class Choice(BaseModel):
    """What can be asked of pictures of every kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="A name that /v1/models lists.")
    max_faces: int | None = Field(None, ge=1, le=1000, description="Only the surest so many.")
    min_score: float | None = Field(
        None, ge=0, le=1, description="Only faces the detector is so sure of."
    )


class Ask(Choice):
    """What can be asked of a photo, in the query, in form fields or in JSON."""

    parts: Annotated[tuple[Part, ...], BeforeValidator(_listed)] = Field(
        ("probabilities", "affect"),
        alias="return",
        description="What is told of a face beside its expression: probabilities, affect, crops; "
        "several parted by commas.",
    )
    crops: bool = Field(False, description="The same as crops among the parts.")

    @property
    def wants_crops(self) -> bool:
        """Whether each face's crop is to be sent."""
        return self.crops or "crops" in self.parts


class StreamAsk(Choice):
    """What can be asked of a live stream."""

    smooth: float = Field(
        0.3, ge=0, le=10, description="Time constant of the smoothed readings; 0 leaves them out."
    )
    crops: bool = Field(False, description="Send each face's crop.")


class VideoAsk(Choice):
    """What can be asked of a video."""

    fps: float | None = Field(None, gt=0, le=240, description="Read only so many frames a second.")


class _JsonAsk(Ask):
    image: str


@dataclass(frozen=True)
class Upload:
    """One picture and what is asked of it."""

    content: bytes
    name: str
    ask: Ask


def parse_upload(body: bytes, content_type: str, ask: Ask) -> Upload:
    """Take a request's body apart. What the body asks goes before what the query asks.

    Args:
        body: the whole body.
        content_type: the Content-Type header. A picture may come as ``image/*`` or
            ``application/octet-stream``; by its bytes alone is told what it is.
        ask: what the query asks.

    Raises:
        RefusedError: 400 (a damaged form), 415 (a type that brings no picture), 422 (an option).
    """
    word = content_type.partition(";")[0].strip().lower()
    if word == "multipart/form-data":
        content = bytearray()
        form = Form.of(content_type, content.extend)
        form.feed(body)
        form.end()
        asked = parse_ask(Ask, form.fields).model_dump(exclude_unset=True)
        name = form.filename or "upload"
        return Upload(_not_empty(bytes(content)), name, ask.model_copy(update=asked))
    if word == "application/json":
        return _from_json(body, ask)
    if word in _RAW or word.startswith("image/"):
        return Upload(_not_empty(body), "upload", ask)
    raise RefusedError(
        415,
        f"a body of the type {word[:60]!r} holds no picture: send multipart/form-data with the "
        "field file, the bytes of a picture as image/*, or application/json with the field image",
    )


def parse_query(query: bytes) -> Ask:
    """What the query of a request for a photo asks. Those who ask often ask the same.

    Args:
        query: as it was sent, without the question mark.

    Raises:
        RefusedError: 422, an option that is not known or out of range.
    """
    return _parsed(query) if len(query) <= _SHORT_QUERY else _parsed.__wrapped__(query)


@functools.lru_cache(maxsize=64)
def _parsed(query: bytes) -> Ask:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        options[name] = [*options.get(name, ()), value] if name == "return" else value
    return parse_ask(Ask, options)


C = TypeVar("C", bound=Choice)


def parse_ask(kind: type[C], options: Mapping[str, Any]) -> C:
    """The options as they were written.

    Raises:
        RefusedError: 422, an option that is not known or out of range.
    """
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        raise RefusedError(422, why_invalid(error.errors(include_url=False), kind)) from error


def why_invalid(errors: Sequence[Any], kind: type[Choice]) -> str:
    """What was wrong with which option, without its value.

    Args:
        errors: as pydantic lists them.
        kind: the record that has the options.
    """
    told = []
    for item in errors[:5]:
        where = ".".join(str(part) for part in item["loc"] if part != "query")[:60]
        told.append(f"{where}: {item['msg']}" if where else str(item["msg"]))
    known = ", ".join(field.alias or name for name, field in kind.model_fields.items())
    return f"{'; '.join(told)[:600]} (options: {known})"


def _from_json(body: bytes, ask: Ask) -> Upload:
    try:
        told = _JsonAsk.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(422, why_invalid(error.errors(include_url=False), _JsonAsk)) from error
    given = told.model_dump(exclude={"image"}, exclude_unset=True)
    return Upload(_decoded(told.image), "upload", ask.model_copy(update=given))


def _decoded(text: str) -> bytes:
    if _ADDRESS.match(text):
        raise RefusedError(
            422, "image is an address: nothing is fetched here, send the picture itself"
        )
    start = _DATA_URL.match(text)
    try:
        packed = "".join(text[start.end() if start else 0 :].split())
        return _not_empty(base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError) as error:
        raise RefusedError(422, "image is neither base64 nor a data: URL with base64") from error


def _not_empty(content: bytes) -> bytes:
    if not content:
        raise RefusedError(
            422, "no picture came: send it as the form's field file, or as the whole body"
        )
    return content


class Form:
    """A multipart form that is read piece by piece: short fields, and one file.

    Args:
        boundary: from the Content-Type header.
        write: is given the file's bytes as they come.

    Attributes:
        fields: the other fields.
        filename: the file's own name without folders; None where it has none.
    """

    def __init__(self, boundary: bytes, write: Callable[[bytes], object]) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._write = write
        self._whole = self._has_file = False
        self._name: str | None = None  # the field that is being read; None: the file
        self._header = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        if not boundary:
            raise RefusedError(400, "the form's Content-Type names no boundary")
        try:
            self._parser = MultipartParser(boundary, self._callbacks(), max_header_count=8)
        except FormParserError as error:
            raise RefusedError(400, f"the form is damaged: {error}") from error

    @classmethod
    def of(cls, content_type: str, write: Callable[[bytes], object]) -> Form:
        """A form by its Content-Type header."""
        _, options = parse_options_header(content_type)
        return cls(options.get(b"boundary", b""), write)

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            RefusedError: 400, the form is damaged; 413, too many or too long fields.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise RefusedError(400, f"the form is damaged: {error}") from error

    def end(self) -> None:
        """Say that nothing follows.

        Raises:
            RefusedError: 400, the form ends early or has no file.
        """
        if not self._whole:
            raise RefusedError(400, "the form ends early")
        if not self._has_file:
            raise RefusedError(422, "the form has no field called file")

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_end": self._ends,
        }

    def _part_begins(self) -> None:
        self._headers, self._header, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in ("file", "image"):
            if self._has_file:
                raise RefusedError(422, "the form has more than one file: send one")
            self._has_file, self._name = True, None
            self.filename = plain_name(options.get(b"filename", b"").decode("utf-8", "replace"))
            return
        if len(self.fields) >= _FIELDS or name in self.fields:
            raise RefusedError(422, f"the form has too many fields, or {name[:60]!r} twice")
        self._name, self.fields[name] = name, ""

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._name is None:
            self._write(piece)
            return
        self.fields[self._name] += piece.decode("utf-8", "replace")
        if len(self.fields[self._name]) > _FIELD_BYTES:
            raise RefusedError(413, f"the form's field {self._name[:60]!r} is too long")

    def _ends(self) -> None:
        self._whole = True


def plain_name(name: str) -> str | None:
    r"""A file's name without folders and signs that do not print; None where nothing is left.

    >>> plain_name("C:\\photos\\a.jpg"), plain_name("../")
    ('a.jpg', None)
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(sign for sign in last if sign.isprintable())[:200].strip()
    return shown or None

"""A client of `mien serve`, in Python and without any other library.

>>> client = Client("http://127.0.0.1:8000")
>>> answer = client.analyze("photo.jpg")  # doctest: +SKIP
>>> answer.faces[0].expression  # doctest: +SKIP
'happiness'
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlencode, urlsplit

from mien.errors import MienError, UnreadableError, UsageError
from mien.types import Face, Observation

_PATIENCE = 10.0  # seconds to wait for a server that is busy, at the most


class ServerError(MienError):
    """What the server refused, or failed at.

    Attributes:
        status: the HTTP status; 0 where there was no answer at all.
        code: one word, such as "busy" or "too_large".
        reason: what was wrong and what to do.
        retry_after: seconds after which it is worth trying again, where the server says so.
    """

    def __init__(
        self, status: int, code: str, reason: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"the server says {status} ({code}): {reason}" if status else reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer(Observation):
    """What the server has read of a photo: an `Observation`, and how."""

    model_sha256: str = ""
    ms: float = 0.0
    crops: tuple[str, ...] = ()
    """Each face as the network was given it, a ``data:`` URL of a PNG, where asked for."""


@dataclass(frozen=True)
class ServedModel:
    """A model that a server has."""

    name: str
    sha256: str
    size_bytes: int
    parameters: int
    macs: int
    labels: tuple[str, ...]
    licence: str
    has_affect: bool


@dataclass(frozen=True)
class VideoJob:
    """A video that a server reads, or has read."""

    id: str
    status: Literal["queued", "running", "done", "failed"]
    progress: float
    frames: int
    reason: str | None
    expires_sec: float | None


class Client:
    """A server's API. One connection is kept open; not safe to use from several threads at once.

    Args:
        url: the server's address.
        token: what it was started with, where that is so.
        timeout: seconds to wait for the network.
        patience: seconds for which requests are tried again while the server is busy.

    Raises:
        UsageError: not an http or https address.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout: float = 60.0,
        patience: float = _PATIENCE,
    ) -> None:
        parts = urlsplit(url)
        over: dict[str, type[http.client.HTTPConnection]] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        try:
            self._connection = over[parts.scheme](parts.hostname or "", parts.port, timeout=timeout)
        except (KeyError, ValueError, http.client.InvalidURL) as error:
            raise UsageError(
                f"not the address of a server: {url!r}; give http://HOST:PORT"
            ) from error
        self._base = parts.path.rstrip("/")
        self._url, self._patience = url, patience
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def analyze(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        model: str | None = None,
        max_faces: int | None = None,
        min_score: float | None = None,
        crops: bool = False,
    ) -> Answer:
        """Have the apparent expression of every face in a photo read.

        Args:
            source: a path on this machine, or a picture file's bytes.
            model: one of `models`; by default the server's own choice.
            max_faces: only so many faces, the surest ones.
            min_score: only faces that the detector is so sure of.
            crops: also bring each face as the network was given it.

        Raises:
            ServerError: the server refused it, is too busy, or cannot be reached.
            UnreadableError: a path that cannot be read.
        """
        content, name = _content(source)
        asked = {
            "model": model,
            "max_faces": max_faces,
            "min_score": min_score,
            "crops": 1 if crops else None,
        }
        told = self._ask("POST", _path("/v1/analyze", asked), content, "application/octet-stream")
        return _answer({**told, "source": name})

    def models(self) -> tuple[ServedModel, ...]:
        """The models of the server, its own choice first."""
        told = self._ask("GET", "/v1/models")
        names = ServedModel.__dataclass_fields__
        cards = sorted(told["models"], key=lambda card: bool(card["name"] != told["default"]))
        return tuple(
            ServedModel(**{k: _frozen(v) for k, v in card.items() if k in names}) for card in cards
        )

    def ready(self) -> bool:
        """Whether the server can be reached and takes requests."""
        try:
            self._once("GET", "/readyz", None, "")
        except ServerError:
            return False
        return True

    def video(
        self,
        path: str | os.PathLike[str],
        *,
        model: str | None = None,
        max_faces: int | None = None,
        min_score: float | None = None,
        fps: float | None = None,
    ) -> VideoJob:
        """Upload a video and have it read; `wait` tells when that is done.

        Raises:
            ServerError: the server refused it, or cannot be reached.
            UnreadableError: the file cannot be read.
        """
        asked = {"model": model, "max_faces": max_faces, "min_score": min_score, "fps": fps}
        try:
            with Path(path).open("rb") as file:
                told = self._ask(
                    "POST", _path("/v1/video", asked), file, "application/octet-stream"
                )
        except FileNotFoundError as error:
            raise UnreadableError(os.fspath(path), "no such file") from error
        return _job(told)

    def job(self, job: VideoJob | str) -> VideoJob:
        """How far the reading of a video is."""
        return _job(self._ask("GET", f"/v1/video/{_id(job)}"))

    def wait(self, job: VideoJob | str, *, every: float = 0.5) -> Iterator[VideoJob]:
        """How far the reading of a video is, again and again until it is done.

        Raises:
            ServerError: it could not be read; the reason says why.
        """
        while True:
            now = self.job(job)
            yield now
            if now.status == "failed":
                raise ServerError(422, "unprocessable", now.reason or "the video was not read")
            if now.status == "done":
                return
            time.sleep(every)

    def fetch(
        self, job: VideoJob | str, file: Literal["table.csv", "table.jsonl", "report.html"]
    ) -> bytes:
        """The table or the report of a video that has been read."""
        return self._once("GET", f"/v1/video/{_id(job)}/{file}", None, "")

    def forget(self, job: VideoJob | str) -> None:
        """Have a video and all that came of it deleted on the server."""
        self._once("DELETE", f"/v1/video/{_id(job)}", None, "")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, kind: str = ""
    ) -> dict[str, Any]:
        """The JSON of an answer; a busy server is asked again until patience ends."""
        until = time.monotonic() + self._patience
        while True:
            try:
                told = json.loads(self._once(method, path, body, kind))
                return dict(told)
            except ServerError as error:
                wait = error.retry_after
                if error.status != 503 or wait is None or time.monotonic() + wait > until:
                    raise
                time.sleep(wait)
                if body is not None and not isinstance(body, bytes):
                    body.seek(0)

    def _once(self, method: str, path: str, body: bytes | IO[bytes] | None, kind: str) -> bytes:
        headers = {**self._headers, **({"Content-Type": kind} if kind else {})}
        if body is not None and not isinstance(body, bytes):
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
        try:
            response = self._send(method, path, body, headers)
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            why = str(error) or type(error).__name__
            raise ServerError(0, "unreachable", f"no answer from {self._url}: {why}") from error
        if response.status >= 400:
            raise _error(response, content)
        return content

    def _send(
        self, method: str, path: str, body: bytes | IO[bytes] | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, self._base + path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have refused the upload before its end: then its answer is there.
            if self._connection.sock is None:
                raise
        try:
            return self._connection.getresponse()
        except http.client.RemoteDisconnected:
            self._connection.close()  # it was kept open for too long: once more, anew
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            self._connection.request(method, self._base + path, body, headers)
            return self._connection.getresponse()


def _content(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "<bytes>"
    try:
        return Path(source).read_bytes(), os.fspath(source)
    except OSError as error:
        raise UnreadableError(os.fspath(source), (error.strerror or str(error)).lower()) from error


def _path(path: str, asked: dict[str, Any]) -> str:
    given = {name: value for name, value in asked.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _id(job: VideoJob | str) -> str:
    return job if isinstance(job, str) else job.id


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _job(told: dict[str, Any]) -> VideoJob:
    return VideoJob(**{name: told[name] for name in VideoJob.__dataclass_fields__})


def _answer(told: dict[str, Any]) -> Answer:
    faces = [dict(face) for face in told["faces"]]
    crops = tuple(face.pop("crop") for face in faces if "crop" in face)
    return Answer(
        told["source"],
        told["status"],
        told["width"],
        told["height"],
        told["model"],
        tuple(Face(**{**face, "box": tuple(face["box"])}) for face in faces),
        model_sha256=told["model_sha256"],
        ms=told["ms"],
        crops=crops,
    )


def _error(response: http.client.HTTPResponse, content: bytes) -> ServerError:
    wait = response.headers.get("Retry-After")
    after = float(wait) if wait is not None and wait.isdigit() else None
    try:
        told = json.loads(content)["error"]
        return ServerError(response.status, str(told["code"]), str(told["reason"]), after)
    except (ValueError, KeyError, TypeError):
        return ServerError(response.status, "unknown", response.reason or "no reason given", after)

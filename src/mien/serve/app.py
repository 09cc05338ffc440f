"""The server's routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from mien.report.table import SCHEMA
from mien.serve.access import Access
from mien.serve.guard import Guard, answer, refusal_response
from mien.serve.jobs import FILES, Job, Jobs
from mien.serve.limits import LIMITS, Budget, Limits, RefusedError, chunks, held_body
from mien.serve.pool import Pool
from mien.serve.schema import (
    Analysis,
    Health,
    JobRecord,
    Models,
    Problem,
    analysis,
    card,
)
from mien.serve.site import Site
from mien.serve.stream import Stream
from mien.serve.upload import (
    Ask,
    Choice,
    Form,
    StreamAsk,
    VideoAsk,
    parse_ask,
    parse_query,
    parse_upload,
    why_invalid,
)

_SWEEP_SEC = 5.0

_PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "description": "base64, or a data: URL"}
                    },
                }
            },
        },
    }
}
_VIDEO: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: _PICTURE["requestBody"]["content"][like]
            for kind, like in (
                ("multipart/form-data", "multipart/form-data"),
                ("video/*", "image/*"),
                ("application/octet-stream", "image/*"),
            )
        },
    }
}


def build(pool: Pool, access: Access, limits: Limits = LIMITS) -> Guard:
    """The ASGI application.

    Args:
        pool: the models.
        access: who may ask.
        limits: how much is taken on.
    """
    api = Api(pool, limits)
    app = FastAPI(
        title="mien",
        version=str(SCHEMA),
        summary="Apparent facial expressions in photos, videos and live pictures",
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        lifespan=api.lifespan,
    )
    # FastAPI's own reading of the query takes as long as the rest of the way here and back, so that
    # its route of the same path, below this one, is there for the description alone.
    app.add_route("/v1/analyze", api.analyze_now, methods=["POST"], include_in_schema=False)
    _add_routes(app, api)
    site = Site()
    for path in ("/", "/{name}"):
        app.add_route(path, site.answer, methods=["GET"], include_in_schema=False)
    for kind, told in _REFUSALS.items():
        app.add_exception_handler(kind, told)
    routes = {getattr(route, "path", "other") for route in app.routes}
    return Guard(app, access, pool.metrics, routes)


class Api:
    """What the routes do."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool, self._limits = pool, limits
        self._budget = Budget(limits.held)
        self._jobs = Jobs(pool, limits)
        self._streams = 0
        self._closing = False
        pool.metrics.gauge("mien_streams", lambda: self._streams)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """From the start of the server to its end, when what was taken on is finished."""
        sweeping = asyncio.create_task(self._sweep())
        yield
        self._closing = True
        sweeping.cancel()
        await asyncio.to_thread(self._jobs.close)
        await asyncio.to_thread(self._pool.close)

    async def analyze(self, request: Request, ask: Annotated[Ask, Query()]) -> Response:
        """Read the apparent expression of every face in a photo.

        The picture comes as the form field `file`, as the whole body, or in JSON as base64.
        """
        async with held_body(request, self._limits, self._budget) as body:
            begun = time.perf_counter()
            kind = request.headers.get("content-type", "")
            upload = parse_upload(body, kind, ask)
            read = await self._pool.read(upload.content, upload.ask, upload.name)
        told = analysis(read, upload.ask, 1000 * (time.perf_counter() - begun))
        return JSONResponse(told)

    async def analyze_now(self, request: Request) -> Response:
        """`analyze`, with the options out of the query as they stand there."""
        return await self.analyze(request, parse_query(request.scope["query_string"]))

    async def stream(self, socket: WebSocket) -> None:
        """Live pictures: binary frames in, JSON out."""
        try:
            ask = parse_ask(StreamAsk, socket.query_params)
            self._pool.model(ask.model)
            if self._streams >= self._limits.streams:
                raise RefusedError(503, "too many live streams: try again later", retry_after=10)
        except RefusedError as refused:
            await answer(refused)(socket.scope, socket.receive, socket.send)
            return
        self._streams += 1
        try:
            await Stream(socket, self._pool, ask).run()
        finally:
            self._streams -= 1

    async def video(self, request: Request, ask: Annotated[VideoAsk, Query()]) -> Response:
        """Upload a video and have it read. The answer says where to ask how far it is."""
        job = self._jobs.begin(ask)
        try:
            await self._save(request, job)
            self._jobs.start(job)
        except BaseException:  # a client that leaves is an end of the task, too
            self._jobs.drop(job)
            raise
        told = self._jobs.told(job)
        return JSONResponse(told, 202, {"Location": told["links"]["self"]})

    async def job(self, name: str) -> Response:
        """How far the reading of a video is, and where its table and report are."""
        return JSONResponse(self._jobs.told(self._jobs.get(name)))

    async def job_file(self, name: str, file: str) -> Response:
        """The table (`table.csv`, `table.jsonl`) or the report (`report.html`) of a video."""
        path = self._jobs.file(name, file)
        kind, called = FILES[file]
        return FileResponse(path, media_type=kind, filename=called)

    async def drop_job(self, name: str) -> Response:
        """Stop and delete a video and all that came of it."""
        self._jobs.drop(self._jobs.get(name))
        return Response(status_code=204)

    async def models(self) -> Response:
        """The models that requests may name."""
        cards = [card(model) for model in self._pool.models.values()]
        return JSONResponse({"schema": SCHEMA, "default": self._pool.default.name, "models": cards})

    async def healthz(self) -> Response:
        """Whether the process lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self) -> Response:
        """Whether a request would be taken on now."""
        if self._closing or self._pool.full:
            raise RefusedError(503, "the server is full, or about to end", retry_after=1)
        return JSONResponse({"status": "ok"})

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        told = self._pool.metrics.text()
        return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _save(self, request: Request, job: Job) -> None:
        kind = request.headers.get("content-type", "")
        word = kind.partition(";")[0].strip().lower()
        limits = self._limits
        with job.video.open("wb") as file:
            form = Form.of(kind, file.write) if word == "multipart/form-data" else None
            if form is None and not (word.startswith("video/") or word in _RAW_VIDEO):
                raise RefusedError(415, f"a body of the type {word[:60]!r} holds no video")
            async for chunk in chunks(request, limits.video, limits.video_sec):
                form.feed(chunk) if form else file.write(chunk)
            if form is not None:
                form.end()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_SEC, self._limits.keep_sec))
            self._jobs.sweep()


_RAW_VIDEO = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


def _add_routes(app: FastAPI, api: Api) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem} for status in (400, 401, 403, 408, 413, 415, 421, 422, 503, 504)
    }
    app.add_api_route(
        "/v1/analyze", api.analyze, methods=["POST"], response_model=None,
        responses={200: {"model": Analysis}, **refusals}, openapi_extra=_PICTURE,
    )  # fmt: skip
    app.add_api_route(
        "/v1/video", api.video, methods=["POST"], response_model=None, status_code=202,
        responses={202: {"model": JobRecord}, 501: {"model": Problem}, **refusals},
        openapi_extra=_VIDEO,
    )  # fmt: skip
    gone: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem} for status in (401, 403, 404, 409, 421)
    }
    here = "/v1/video/{name}"
    app.add_api_route(
        here, api.job, response_model=None, responses={200: {"model": JobRecord}, **gone}
    )
    app.add_api_route(
        here, api.drop_job, methods=["DELETE"], response_model=None, status_code=204, responses=gone
    )
    app.add_api_route(f"{here}/{{file}}", api.job_file, response_model=None, responses=gone)
    told = {"/v1/models": (api.models, Models), "/healthz": (api.healthz, Health),
            "/readyz": (api.readyz, Health)}  # fmt: skip
    for path, (route, record) in told.items():
        app.add_api_route(
            path, route, response_model=None,
            responses={200: {"model": record}, 503: {"model": Problem}},
        )  # fmt: skip
    app.add_api_route("/metrics", api.metrics, response_model=None, response_class=Response)
    app.add_api_websocket_route("/v1/stream", api.stream)


def _kind_of(path: str) -> type[Choice]:
    return VideoAsk if path.startswith("/v1/video") else Ask


_REASONS = {
    400: "not a request that this server takes",
    404: "there is nothing here; /openapi.json lists what there is",
    405: "this address does not take that method; /openapi.json tells which",
}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal_response(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal_response(
        RefusedError(422, why_invalid(error.errors(), _kind_of(request.url.path)))
    )


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in _REASONS else 400
    response = refusal_response(RefusedError(status, _REASONS[status]))
    response.headers.update(error.headers or {})  # which methods an address takes
    return response


async def _fault(request: Request, error: Exception) -> Response:
    return refusal_response(RefusedError(500, "a fault of the server; its log tells more"))


_REFUSALS: dict[type[Exception], Callable[..., Any]] = {
    RefusedError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _no_route,
    Exception: _fault,
}

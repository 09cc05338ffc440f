"""What stands before every route: the checks, and what every answer carries."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.access import COOKIE, Access
from mien.serve.limits import RefusedError
from mien.serve.log import LOG
from mien.serve.metrics import Metrics
from mien.serve.schema import problem

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The content security policy of every answer: nothing from elsewhere, nothing inline."""

HEADERS: dict[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries, unless the route says otherwise."""

_ADDED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

_UNREAD = frozenset({400, 401, 403, 404, 405, 408, 413, 421})  # sent before the body was read


class Guard:
    """The outermost layer: checks, headers, one log line and the counters, and the last resort.

    Args:
        app: what is behind.
        access: who may ask.
        metrics: where requests are counted.
        routes: the paths that are counted by name; others are "other".
    """

    def __init__(
        self, app: ASGIApp, access: Access, metrics: Metrics, routes: Iterable[str]
    ) -> None:
        self._app, self._access, self._metrics = app, access, metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI protocol."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            await self._serve(scope, receive, exchange)
        except Exception:  # noqa: BLE001  the outermost layer: a fault is one request's
            LOG.exception("fault", extra={"told": {"path": self._route(scope["path"])}})
            exchange.status = 500
            if not exchange.started:
                failed = RefusedError(500, "a fault of the server; its log tells more")
                await answer(failed)(scope, receive, exchange.send)
            elif scope["type"] == "websocket":
                with contextlib.suppress(RuntimeError):  # it is closed already
                    await exchange.send({"type": "websocket.close", "code": 1011})
        self._note(scope, exchange)

    async def _serve(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        headers = Headers(scope=scope)
        try:
            welcome = self._welcome(scope)
            self._access.check(headers, scope["path"], known=welcome is not None)
        except RefusedError as refused:
            await answer(refused)(scope, receive, exchange.send)
            return
        await (welcome or self._app)(scope, receive, exchange.send)

    def _welcome(self, scope: Scope) -> Response | None:
        """The way in for a browser: the page's address with the token in it, once."""
        if scope["type"] != "http" or scope["path"] != "/" or self._access.token is None:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if len(given) != 1 or not self._access.is_token(given[0]):
            return None
        response = RedirectResponse("/", status_code=303)
        secure = scope["scheme"] == "https"
        response.set_cookie(
            COOKIE, self._access.cookie(), httponly=True, samesite="lax", secure=secure
        )
        return response

    def _route(self, path: str) -> str:
        if path in self._routes:
            return path
        return "/v1/video/{id}" if path.startswith("/v1/video/") else "other"

    def _note(self, scope: Scope, exchange: _Exchange) -> None:
        route = self._route(scope["path"])
        seconds = time.monotonic() - exchange.begun
        self._metrics.count("mien_requests_total", route=route, status=str(exchange.status))
        if scope["type"] == "http":
            self._metrics.observe("mien_request_seconds", seconds)
        told = {
            "method": scope.get("method", "WS"),
            "path": route,
            "status": exchange.status,
            "ms": round(1000 * seconds, 1),
        }
        LOG.info("request", extra={"told": told})


class _Exchange:
    """One request's answer as it goes out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.begun = time.monotonic()
        self.started = False
        self.status = 101 if scope["type"] == "websocket" else 499  # the client left first
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.started = True
            self.status = message["status"]
            told = {name.lower() for name, _ in message.get("headers", ())}
            added = [header for header in _ADDED if header[0] not in told]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        elif message["type"] in ("websocket.accept", "websocket.close"):
            self.started = True
        await self._send(message)


class _Denial:
    """An answer to an HTTP request or to a request for a WebSocket."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if scope["type"] == "websocket":
            await receive()  # the request to connect
        await self._response(scope, receive, send)


def answer(refused: RefusedError) -> _Denial:
    """The answer of a refusal."""
    return _Denial(refusal_response(refused))


def refusal_response(refused: RefusedError) -> JSONResponse:
    """The response of a refusal. Where the body may not have been read, the connection ends."""
    headers = {"Connection": "close"} if refused.status in _UNREAD else {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem(refused), refused.status, headers)

"""How much of anything the server takes on, and the refusal it gives beyond that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from mien.errors import MienError, TooLargeError, UnreadableError, UnsupportedError

CODES: dict[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "not_ready",
    413: "too_large",
    415: "unsupported",
    421: "wrong_host",
    422: "unprocessable",
    500: "internal",
    501: "not_installed",
    503: "busy",
    504: "timeout",
}
"""The word that goes with each status the server refuses with."""


@dataclass(frozen=True)
class Limits:
    """What the server takes on at the most. Sizes are bytes, times seconds."""

    body: int = 20 << 20
    """One picture's request."""
    held: int = 256 << 20
    """The bodies of all requests together that wait in memory."""
    frame: int = 4 << 20
    """One frame of a live stream."""
    video: int = 256 << 20
    """One video."""
    pixels: int = 25_000_000
    """Pixels of a picture or of a video's frame, by its header."""
    waiting: int = 64
    """Pictures that are being read or wait for it; more are told to come back."""
    streams: int = 8
    """Live streams at a time."""
    jobs: int = 8
    """Videos that are being uploaded, read, or kept."""
    connections: int = 256
    """Open connections."""
    header_sec: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_sec: float = 30.0
    """For one picture's body to arrive."""
    video_sec: float = 600.0
    """For a video's body to arrive."""
    answer_sec: float = 30.0
    """For one picture to be read, waiting included."""
    idle_sec: float = 300.0
    """A live stream without a frame is ended."""
    job_sec: float = 1800.0
    """For one video to be read."""
    keep_sec: float = 900.0
    """How long a video's results are kept."""
    shutdown_sec: float = 15.0
    """For the requests under way to be finished at the end."""


LIMITS = Limits()
"""What is taken on unless somebody says otherwise."""


class RefusedError(MienError):
    """A request that is answered with an error. ``reason`` tells the client what to do."""

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        """One word for programs."""
        return CODES[self.status]


def refusal_of(error: UnreadableError) -> RefusedError:
    """The answer to content that is no readable picture: 413, 415 or 422, and why."""
    if isinstance(error, TooLargeError):
        return RefusedError(413, error.reason)
    return RefusedError(415 if isinstance(error, UnsupportedError) else 422, error.reason)


class Budget:
    """Counts the bytes that are held for all requests together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Set bytes aside.

        Raises:
            RefusedError: 503, there are not that many left.
        """
        if count > self._left:
            raise RefusedError(503, "too many uploads at a time: try again shortly", retry_after=1)
        self._left -= count

    def give(self, count: int) -> None:
        """Give bytes back."""
        self._left += count


@asynccontextmanager
async def held_body(request: Request, limits: Limits, budget: Budget) -> AsyncIterator[bytes]:
    """The body of a request, whose bytes count as held until the block is left.

    Raises:
        RefusedError: 400, 408, 413 or 503.
    """
    taken = 0
    content = bytearray()
    try:
        async for chunk in chunks(request, limits.body, limits.body_sec):
            budget.take(len(chunk))
            taken += len(chunk)
            content += chunk
        body = bytes(content)
        content.clear()
        yield body
    finally:
        budget.give(taken)


async def chunks(request: Request, most: int, seconds: float) -> AsyncIterator[bytes]:
    """The pieces of a request's body as they arrive, no more than `most` bytes in all.

    Raises:
        RefusedError: 400 (the client left, or a wrong length), 408 (too slow), 413 (too much).
    """
    too_much = RefusedError(413, f"the body is over the limit of {most:,} bytes")
    if declared_length(request) > most:
        await _discard(request, most)
        raise too_much
    size = 0
    deadline = asyncio.get_running_loop().time() + seconds
    more = True
    while more:
        try:
            async with asyncio.timeout_at(deadline):
                message = await request.receive()
        except TimeoutError as error:
            raise RefusedError(408, f"the body did not arrive within {seconds:g} s") from error
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the connection ended before the body did")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > most:
            await _discard(request, most)
            raise too_much
        if chunk:
            yield chunk


def declared_length(request: Request) -> int:
    """What the Content-Length header says; 0 where there is none."""
    told = request.headers.get("content-length", "0")
    if not (told.isascii() and told.isdigit()):
        raise RefusedError(400, "the Content-Length header is not a number")
    return int(told)


async def _discard(request: Request, most: int, seconds: float = 1.0) -> None:
    """Read on for a moment, or a client that is still sending would not see the answer."""
    size = 0
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # it has sent nothing yet, and will not now
    try:
        async with asyncio.timeout(seconds):
            while size <= most:
                message = await request.receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return

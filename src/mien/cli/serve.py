"""`mien serve`: the page and the HTTP API on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from mien.cli.flags import Without, call
from mien.cli.main import NOTICE, OK
from mien.errors import MienError, MissingExtraError, UsageError
from mien.pipeline import Options
from mien.runtime.store import bundled

if TYPE_CHECKING:
    from mien.serve.limits import Limits

_PARTS = frozenset(
    {"fastapi", "pydantic", "python_multipart", "starlette", "uvicorn", "websockets", "h11"}
)


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allow_host: list[str] | None = None,
    options: Annotated[Options, Without("min_face", "max_pixels", "device", "threads")],
    also: list[str] | None = None,
    workers: int = 0,
    max_pixels: int = 25_000_000,
    max_mb: int = 20,
    max_waiting: int = 64,
    keep: float = 900.0,
    quiet: bool = False,
) -> int:
    """Serve a page to try mien on, and an HTTP API (extra `serve`).

    Only this machine reaches it, unless --host says otherwise; then a token is needed. Pictures
    stay in memory. Videos, their tables and reports lie in a temporary folder until --keep is over.
    The log on stderr has one JSON object a request, without pictures or names. Ctrl-C or SIGTERM
    finishes the requests under way.

    Args:
        host: The address to listen on; 0.0.0.0 is all of this machine's.
        port: The port; 0 takes a free one.
        token: What clients must show, 16 or more signs. The variable MIEN_TOKEN keeps it out of
            the list of processes.
        allow_host: A further name that the server is called by; may be repeated.
        options: How pictures are analysed.
        model: The model for requests that name none; a name or an .onnx file.
        also: A model that requests may name beside it; may be repeated. All bundled ones may be.
        workers: Threads that decode pictures and look for faces; 0: one per processor.
        max_pixels: Refuse pictures with more pixels.
        max_mb: Refuse pictures of more megabytes.
        max_waiting: Pictures that are being read or wait for it; more get 503.
        keep: Seconds for which a video's results are kept.
        quiet: Log nothing but faults.
    """
    uvicorn = _uvicorn()
    from mien.serve.access import Access
    from mien.serve.app import build
    from mien.serve.limits import Limits
    from mien.serve.memory import keep_freed
    from mien.serve.pool import Pool

    access = Access(host, token or os.environ.get("MIEN_TOKEN"), tuple(allow_host or ()))
    limits = Limits(body=max_mb << 20, pixels=max_pixels, waiting=max_waiting, keep_sec=_kept(keep))
    _log(quiet)
    keep_freed()
    with _listen(host, port) as listening:
        others = [*(also or ()), *bundled()]
        pool = Pool(options, others, limits=limits, workers=workers or os.cpu_count() or 1)
        server = _server(uvicorn, build(pool, access, limits), limits, lambda: _greet(listening))
        server.run(sockets=[listening])
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(serve, argv, prog="mien serve", config=True)


def _uvicorn() -> Any:
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in _PARTS:
            raise
        raise MissingExtraError("mien serve", "serve") from error
    return uvicorn


def _kept(seconds: float) -> float:
    if not 0 < seconds < 1e9:
        raise UsageError(f"--keep must be more than 0 seconds; got {seconds}")
    return seconds


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; the queue of the system is long enough for a burst of clients."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise MienError(
            f"cannot listen on {host}, port {port}: {error}. --port 0 takes a free one"
        ) from error
    with listening:
        yield listening


def _greet(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"mien serves http://{shown}:{port}/  (Ctrl-C ends it)\n")
    sys.stdout.flush()
    sys.stderr.write(f"{NOTICE}\n")


def _server(uvicorn: Any, app: Any, limits: Limits, started: Callable[[], None]) -> Any:
    from mien.serve.connection import patient_for

    class Server(uvicorn.Server):  # type: ignore[misc]
        """uvicorn's server, which ends with status 0 after it was told to end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {
                n: signal.signal(n, self.handle_exit) for n in (signal.SIGINT, signal.SIGTERM)
            }
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server(
        uvicorn.Config(
            app,
            http=patient_for(limits.header_sec),
            ws="websockets-sansio",
            ws_max_size=limits.frame,
            ws_max_queue=2,
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(limits.shutdown_sec),
        )
    )


def _log(quiet: bool) -> None:
    from mien.serve.log import JsonLines

    # What Pillow warns of in damaged pictures is no line of this log, and Python remembers each.
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # nor what libraries say of bad forms
    writing = logging.StreamHandler(sys.stderr)
    writing.setFormatter(JsonLines())
    for name, level in (
        ("mien.serve", logging.ERROR if quiet else logging.INFO),
        ("uvicorn.error", logging.ERROR),
    ):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [writing], False
        log.setLevel(level)

"""A real server in a thread, for tests that need a socket."""

import contextlib
import socket
import threading
import time

import uvicorn

from mien.serve.connection import patient_for


@contextlib.contextmanager
def serving(app, limits):
    """The application on a free port of this machine, in a thread; the port."""
    config = uvicorn.Config(
        app,
        http=patient_for(limits.header_sec),
        lifespan="off",
        log_config=None,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)

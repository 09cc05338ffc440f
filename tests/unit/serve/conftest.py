"""A server's parts without a socket: one pool for all tests, and clients of its application."""

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("httpx2", reason="needs the extra dev")

from starlette.testclient import TestClient

from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.pool import Pool

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def pool():
    """The bundled model; every picture is one face."""
    made = Pool(Options(detector="none"), limits=Limits(pixels=1_000_000))
    yield made
    made.close()


@pytest.fixture(scope="session")
def client(pool):
    """A client of a server with small limits."""
    limits = Limits(body=200_000, frame=100_000, pixels=1_000_000)
    app = build(pool, Access(), limits)
    return TestClient(app, base_url=HERE, raise_server_exceptions=False)

"""Clients that are slow, on purpose or not, over real sockets."""

import contextlib
import socket
import time

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from serving import serving
from uploads import jpeg, noise

from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.pool import Pool

PHOTO = jpeg(noise())
HEAD = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def pool():
    """The bundled model; every picture is one face."""
    made = Pool(Options(detector="none"), limits=Limits(pixels=1_000_000))
    yield made
    made.close()


@pytest.fixture
def serve(pool):
    """A function that starts a server with limits on a real socket; it returns the port."""
    with contextlib.ExitStack() as running:
        yield lambda **limits: running.enter_context(
            serving(build(pool, Access(), Limits(**limits)), Limits(**limits))
        )


def answer(connection, seconds=10):
    """Everything that comes until the server closes, or has sent a whole JSON body."""
    connection.settimeout(seconds)
    told = b""
    while not told.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            break
        told += piece
    return told


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_headers_that_trickle_in_are_given_up(serve):
    port = serve(header_sec=0.4)
    with connect(port) as slow:
        begun = time.monotonic()
        for piece in (b"GET /heal", b"thz HT", b"TP/1.1\r\n", b"Host: loc"):
            slow.sendall(piece)
            time.sleep(0.05)
        told = answer(slow)
        assert told.startswith(b"HTTP/1.1 408")
        assert told.endswith(b"in time.\r\n")
        length = int(told.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        assert len(told.partition(b"\r\n\r\n")[2]) == length
        assert 0.3 < time.monotonic() - begun < 5


def test_a_silent_connection_is_given_up(serve):
    port = serve(header_sec=0.2)
    with connect(port) as silent:
        assert answer(silent).startswith(b"HTTP/1.1 408")


def test_a_second_request_has_its_own_time(serve):
    port = serve(header_sec=0.4)
    with connect(port) as kept:
        for _ in range(3):
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(kept).startswith(b"HTTP/1.1 200")
            time.sleep(0.2)
        time.sleep(0.5)  # nothing is sent: that is no slow request
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert answer(kept).startswith(b"HTTP/1.1 408")


def test_a_body_that_trickles_in_is_given_up(serve):
    port = serve(body_sec=0.4, header_sec=0.2)
    with connect(port) as slow:
        slow.sendall(HEAD % len(PHOTO))
        for byte in PHOTO[:6]:
            slow.sendall(bytes([byte]))
            time.sleep(0.05)
        told = answer(slow)
        assert told.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.4 s" in told


def test_a_body_in_time_is_read_though_its_headers_took_no_longer(serve):
    port = serve(body_sec=5, header_sec=0.2)
    with connect(port) as steady:
        steady.sendall(HEAD % len(PHOTO))
        for at in range(0, len(PHOTO), 500):
            steady.sendall(PHOTO[at : at + 500])
            time.sleep(0.1)
        assert answer(steady).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_too_large_is_answered_before_it_has_come(serve):
    port = serve(body=100_000)
    with connect(port) as large:
        large.sendall(HEAD % 10_000_000_000 + b"x" * 50_000)
        told = answer(large)
        assert told.startswith(b"HTTP/1.1 413") and b"100,000 bytes" in told


def test_a_chunked_body_cannot_grow_without_end(serve):
    port = serve(body=100_000)
    with connect(port) as endless:
        endless.sendall(
            b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(11):
            endless.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        assert answer(endless).startswith(b"HTTP/1.1 413")


def test_all_bodies_together_have_an_end(serve):
    port = serve(body=100_000, held=150_000)
    with connect(port) as one, connect(port) as other, connect(port) as third:
        one.sendall(HEAD % 100_000 + b"x" * 90_000)
        time.sleep(0.2)
        other.sendall(HEAD % 100_000 + b"x" * 90_000)
        assert b"Retry-After: 1" in answer(other).replace(b"retry-after", b"Retry-After")
        one.sendall(b"x" * 10_000)
        assert answer(one).startswith(b"HTTP/1.1 415")
        third.sendall(HEAD % 100_000 + b"x" * 100_000)  # what was held is free again
        assert answer(third).startswith(b"HTTP/1.1 415")


def test_headers_have_an_end(serve):
    port = serve()
    with connect(port) as wordy:
        wordy.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 66_000)
        assert answer(wordy)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")


def test_what_is_no_request_is_refused(serve):
    port = serve()
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"):
        with connect(port) as other:
            other.sendall(junk + b"\r\n\r\n")
            assert answer(other).startswith(b"HTTP/1.1 4")


def test_lengths_that_contradict_are_refused(serve):
    port = serve()
    with connect(port) as smuggler:
        smuggler.sendall(
            b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
            b"Content-Length: 30\r\n\r\nabc"
        )
        assert answer(smuggler).startswith(b"HTTP/1.1 400")


def test_so_many_connections_and_no_more(serve):
    port = serve(connections=3)
    with connect(port), connect(port), connect(port) as last:
        last.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert last.recv(1000).startswith(b"HTTP/1.1 503")


def test_answers_do_not_wait_for_the_client_to_confirm(serve):
    """Where they do, from some request on each one takes 40 ms, however quick the machine is."""
    port = serve()
    times = []
    with connect(port) as kept:
        for _ in range(40):
            begun = time.monotonic()
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(kept).startswith(b"HTTP/1.1 200")
            times.append(time.monotonic() - begun)
    assert sorted(times[20:])[5] < 0.03

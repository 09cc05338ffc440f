"""`mien serve`, started as a user starts it."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from uploads import jpeg, noise, png_of_size, zip_bomb

from mien.client import Client, ServerError

pytestmark = pytest.mark.journey

MIEN = [sys.executable, "-m", "mien.cli.main", "serve"]


class Running:
    """A server's process, its address, and its log when it has ended."""

    def __init__(self, *words, **environment):
        self.process = subprocess.Popen(
            [*MIEN, "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+?:(\d+)/", line)
        assert found, line + self.process.stderr.read()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, number=signal.SIGTERM):
        """Send the signal; the exit status and the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log

    def memory(self, name="VmHWM"):
        """Megabytes of the process, as /proc says: VmHWM at the most so far, VmRSS now."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", told)[1]) / 1024


@contextlib.contextmanager
def running(*words, **environment):
    server = Running(*words, **environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def server():
    with running() as made:
        yield made


def test_a_photo_is_read_and_logged_without_its_name(examples):
    with running() as server, Client(server.url) as client:
        told = client.analyze(examples / "obama.jpg", crops=True)
        assert (told.status, told.faces[0].expression) == ("ok", "happiness")
        assert client.models()[0].name == told.model
        client.close()
        status, log = server.end()
    assert status == 0
    assert "apparent expressions, not feelings" in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [(x["method"], x["path"], x["status"]) for x in lines] == [
        ("POST", "/v1/analyze", 200),
        ("GET", "/v1/models", 200),
    ]
    assert "obama" not in log and "127.0.0.1" not in log


def test_it_listens_on_this_machine_alone(server):
    """No other address of the machine answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route
            other = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no other address")
    if other.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError):
        socket.create_connection((other, server.port), timeout=2)


def test_a_public_server_is_refused_without_a_token():
    for words in (["--host", "0.0.0.0"], ["--host", "0.0.0.0", "--token", "short"]):
        done = subprocess.run([*MIEN, "--port", "0", *words], capture_output=True, text=True)
        assert done.returncode == 2
        assert "token" in done.stderr and done.stdout == ""


def test_a_public_server_asks_for_its_token():
    token = "a-token-from-the-environment"
    with running("--host", "0.0.0.0", MIEN_TOKEN=token) as server:
        with Client(server.url) as stranger, pytest.raises(ServerError) as refused:
            stranger.analyze(jpeg(noise()))
        assert refused.value.status == 401
        with Client(server.url, token=token) as known:
            assert known.analyze(jpeg(noise())).status in ("ok", "no_face")


def test_a_port_that_is_taken_is_an_error(server):
    done = subprocess.run(
        [*MIEN, "--port", str(server.port)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "--port 0" in done.stderr


def test_bombs_take_no_memory(server):
    with Client(server.url) as client:
        client.analyze(jpeg(noise()))
        before = server.memory()
        with pytest.raises(ServerError, match="40000 x 40000"):
            client.analyze(png_of_size(40_000, 40_000))
        with contextlib.suppress(ServerError):
            client.analyze(zip_bomb())
        assert server.memory() - before < 32
        assert client.analyze(jpeg(noise())).width == 48


def test_slow_clients_keep_nobody_else_waiting(server):
    with contextlib.ExitStack() as open_:
        for _ in range(50):
            slow = socket.create_connection(("127.0.0.1", server.port))
            open_.enter_context(slow)
            slow.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n")
        with Client(server.url, timeout=20) as client:
            assert client.analyze(jpeg(noise())).width == 48


def test_full_it_says_503_and_reads_the_rest(examples):
    photo = (examples / "obama.jpg").read_bytes()
    told = []

    def ask(url):
        with Client(url, patience=0) as client:
            try:
                told.append(client.analyze(photo).faces[0].expression)
            except ServerError as error:
                told.append((error.status, error.retry_after is not None))

    with running("--max-waiting", "2", "--workers", "1") as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(12)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        ask(server.url)
    assert set(told) == {"happiness", (503, True)}
    assert told.count("happiness") >= 3 and told[-1] == "happiness"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_took_on(examples, number):
    photo = (examples / "obama.jpg").read_bytes()
    told = []
    with running("--workers", "1") as server:

        def ask():
            with Client(server.url) as client:
                told.append(client.analyze(photo).status)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        with Client(server.url) as watch:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                text = watch._once("GET", "/metrics", None, "").decode()
                if int(float(re.search(r"^mien_waiting (\S+)$", text, re.M)[1])) >= 4 - len(told):
                    break
        status, _ = server.end(number)
        for client in clients:
            client.join()
    assert status == 0
    assert told == ["ok"] * 4


def test_live_pictures_come_back_with_ids(server, examples):
    websockets = pytest.importorskip("websockets")
    photo = (examples / "obama.jpg").read_bytes()

    async def live():
        address = f"ws://127.0.0.1:{server.port}/v1/stream"
        async with websockets.connect(address) as socket_:
            told = []
            for _ in range(3):
                await socket_.send(photo)
                told.append(json.loads(await socket_.recv()))
            return told

    told = asyncio.run(live())
    assert [answer["frame"] for answer in told] == [0, 1, 2]
    assert [answer["faces"][0]["face_id"] for answer in told] == [0, 0, 0]
    assert {answer["faces"][0]["smoothed"]["expression"] for answer in told} == {"happiness"}


def test_videos_lie_in_a_folder_that_goes_with_the_server(tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    from synthetic_video import write_video

    clip = tmp_path / "clip.mp4"
    write_video(clip, [noise(64, 96, seed=i) for i in range(4)])
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running(TMPDIR=str(temporary)) as server, Client(server.url) as client:
        client.analyze(jpeg(noise()))
        assert list(temporary.iterdir()) == []  # photos are never written
        *_, job = client.wait(client.video(clip), every=0.1)
        assert b"no_face" in client.fetch(job, "table.csv")
        assert len(list(temporary.iterdir())) == 1
        client.close()
        status, _ = server.end()
    assert status == 0
    assert list(temporary.iterdir()) == []

"""Live pictures over the WebSocket of the real application."""

import threading

import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from uploads import jpeg, noise

import mien
from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.pool import Pool
from mien.serve.schema import StreamAnswer

FRAMES = [jpeg(noise(seed=i)) for i in range(6)]


def open_stream(client, query="", **headers):
    return client.websocket_connect(f"/v1/stream{query}", headers={"Host": "127.0.0.1", **headers})


def ask(socket, content):
    socket.send_bytes(content)
    return socket.receive_json()


def test_a_frame_in_gives_its_faces_out(client):
    with open_stream(client) as socket:
        told = [ask(socket, frame) for frame in FRAMES[:3]]
    for answer in told:
        StreamAnswer.model_validate(answer)
    assert [answer["frame"] for answer in told] == [0, 1, 2]
    assert [answer["faces"][0]["face_id"] for answer in told] == [0, 0, 0]
    assert [(answer["width"], answer["height"]) for answer in told] == [(48, 32)] * 3
    times = [answer["t_sec"] for answer in told]
    assert times == sorted(times) and times[0] >= 0
    alone = mien.analyze(FRAMES[1], detector="none").to_dict()["faces"][0]
    assert told[1]["faces"][0]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-4)


def test_readings_are_smoothed_by_their_times(client):
    with open_stream(client, "?smooth=0.3") as socket:
        one, two = (ask(socket, frame) for frame in FRAMES[:2])
    (a,), (b,) = one["faces"], two["faces"]
    assert a["smoothed"]["probabilities"] == a["probabilities"]
    weight = 1 - np.exp(-(two["t_sec"] - one["t_sec"]) / 0.3)
    for label, before in a["probabilities"].items():
        expected = before + weight * (b["probabilities"][label] - before)
        assert b["smoothed"]["probabilities"][label] == pytest.approx(expected, abs=4e-4)


def test_smoothing_and_crops_are_as_asked(client):
    with open_stream(client, "?smooth=0&crops=1") as socket:
        (face,) = ask(socket, FRAMES[0])["faces"]
    assert "smoothed" not in face
    assert face["crop"].startswith("data:image/png;base64,")


def test_the_newest_frame_wins(monkeypatch):
    pool = Pool(Options(detector="none"), limits=Limits())
    client = TestClient(build(pool, Access()), base_url="http://127.0.0.1")
    go, begun, look = threading.Event(), threading.Event(), pool._look

    def wait(*what):
        begun.set()
        go.wait(10)
        return look(*what)

    monkeypatch.setattr(pool, "_look", wait)
    with open_stream(client) as socket:
        socket.send_bytes(FRAMES[0])
        assert begun.wait(10)
        for frame in FRAMES[1:]:
            socket.send_bytes(frame)
        threading.Timer(0.3, go.set).start()
        told = [socket.receive_json(), socket.receive_json()]
    pool.close()
    assert [answer["frame"] for answer in told] == [0, 5]
    assert [answer["dropped"] for answer in told] == [0, 4]


def test_a_bad_frame_is_told_and_the_stream_goes_on(client):
    with open_stream(client) as socket:
        bad = ask(socket, b"no picture")
        assert (bad["frame"], bad["error"]["status"]) == (0, 415)
        assert ask(socket, FRAMES[0])["frame"] == 1


@pytest.mark.parametrize(
    ("send", "code"),
    [(lambda s: s.send_text("hello"), 1003), (lambda s: s.send_bytes(b"x" * 5_000_000), 1009)],
)
def test_what_is_no_frame_ends_the_stream(client, send, code):
    with open_stream(client) as socket:
        send(socket)
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == code


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {"Origin": "http://evil.example"}, 403),
        ("", {"Host": "evil.example"}, 421),
        ("?model=other", {}, 422),
        ("?smooth=-1", {}, 422),
    ],
)
def test_a_stream_is_refused_before_it_begins(client, query, headers, status):
    with pytest.raises(WebSocketDenialResponse) as denied, open_stream(client, query, **headers):
        pass
    assert denied.value.status_code == status
    assert denied.value.json()["error"]["status"] == status


def test_streams_are_counted_and_let_go(pool):
    app = build(pool, Access(), Limits(streams=1))
    client = TestClient(app, base_url="http://127.0.0.1")
    with open_stream(client) as socket:
        assert ask(socket, FRAMES[0])["frame"] == 0
        with pytest.raises(WebSocketDenialResponse) as denied, open_stream(client):
            pass
        assert denied.value.status_code == 503
    with open_stream(client) as socket:
        assert ask(socket, FRAMES[0])["frame"] == 0


def test_a_silent_stream_is_ended():
    pool = Pool(Options(detector="none"), limits=Limits(idle_sec=0.1))
    client = TestClient(build(pool, Access()), base_url="http://127.0.0.1")
    with open_stream(client) as socket, pytest.raises(WebSocketDisconnect) as ended:
        socket.receive_json()
    pool.close()
    assert ended.value.code == 1001

"""The client, against a real server on this machine."""

import base64
import http.server
import io
import threading

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from PIL import Image
from serving import serving
from uploads import jpeg, noise

import mien
from mien.client import Client, ServerError
from mien.errors import UnreadableError, UsageError
from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.pool import Pool

PHOTO = jpeg(noise())
TOKEN = "0123456789abcdef"
LIMITS = Limits(body=100_000)


@pytest.fixture(scope="module")
def url():
    """A server that wants a token."""
    pool = Pool(Options(detector="none"), limits=LIMITS)
    with serving(build(pool, Access("127.0.0.1", TOKEN), LIMITS), LIMITS) as port:
        yield f"http://127.0.0.1:{port}"
    pool.close()


@pytest.fixture
def client(url):
    with Client(url, token=TOKEN) as made:
        yield made


def test_a_photo_gives_what_the_library_gives(client, tmp_path):
    path = tmp_path / "a photo.jpg"
    path.write_bytes(PHOTO)
    told, expected = client.analyze(path), mien.analyze(path, detector="none")
    assert (told.source, told.status, told.width, told.height, told.model) == (
        expected.source,
        "ok",
        48,
        32,
        "mien-small",
    )
    (face,), (alone,) = told.faces, expected.faces
    assert (face.box, face.expression) == (alone.box, alone.expression)
    assert face.probabilities == pytest.approx(alone.probabilities, abs=6e-5)
    assert len(told.model_sha256) == 64 and told.ms > 0 and told.crops == ()


def test_bytes_options_and_crops(client):
    told = client.analyze(PHOTO, model="mien-small", max_faces=1, min_score=0.5, crops=True)
    assert told.source == "<bytes>"
    crop = Image.open(io.BytesIO(base64.b64decode(told.crops[0].partition(",")[2])))
    assert np.asarray(crop).shape == (48, 48)


def test_the_models(client):
    (model,) = client.models()
    assert (model.name, model.labels) == ("mien-small", mien.EIGHT)
    assert model.has_affect == mien.load_classifier("mien-small").spec.has_affect
    assert client.ready()


@pytest.mark.parametrize(
    ("source", "options", "status", "code"),
    [
        (b"no picture", {}, 415, "unsupported"),
        (PHOTO[:300], {}, 422, "unprocessable"),
        (b"x" * 3_000_000, {}, 413, "too_large"),
        (PHOTO, {"model": "other"}, 422, "unprocessable"),
    ],
)
def test_refusals_are_errors_that_say_why(client, source, options, status, code):
    with pytest.raises(ServerError) as refused:
        client.analyze(source, **options)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.reason in str(refused.value)
    assert client.analyze(PHOTO).status == "ok"  # the next one is served as if nothing had been


def test_the_token_is_needed(url):
    with Client(url) as stranger, pytest.raises(ServerError, match="Bearer"):
        stranger.analyze(PHOTO)


def test_a_server_that_is_not_there_and_a_file_that_is_not():
    gone = Client("http://127.0.0.1:9", timeout=1)
    assert not gone.ready()
    with pytest.raises(ServerError, match=r"no answer from http://127\.0\.0\.1:9: ") as error:
        gone.analyze(PHOTO)
    assert error.value.status == 0
    with pytest.raises(UnreadableError, match="no such file"):
        gone.analyze("nowhere.jpg")


@pytest.mark.parametrize("url", ["ftp://a", "localhost:8000", "http://a:99999", ""])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        Client(url)


class Busy(http.server.BaseHTTPRequestHandler):
    """Refuses twice, then lists no models."""

    asked = 0

    def do_GET(self):
        Busy.asked += 1
        refuse = Busy.asked <= 2
        body = b"busy" if refuse else b'{"default": "a", "models": []}'
        self.send_response(503 if refuse else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_busy_server_is_asked_again():
    server = http.server.HTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{server.server_port}"
    assert Client(there).models() == ()
    assert Busy.asked == 3
    Busy.asked = 0
    with pytest.raises(ServerError) as refused:
        Client(there, patience=-1).models()
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (
        503,
        "unknown",
        0,
    )
    server.shutdown()
    server.server_close()


def test_a_video_is_read(client, tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    from synthetic_video import write_video

    path = tmp_path / "clip.mp4"
    write_video(path, [noise(64, 96, seed=i) for i in range(4)])
    job = client.video(path, fps=25)
    *_, last = client.wait(job, every=0.05)
    assert (last.status, last.frames, last.progress) == ("done", 4, 1.0)
    assert client.fetch(job, "table.csv").startswith(b"source,frame,t_sec")
    client.forget(job)
    with pytest.raises(ServerError) as gone:
        client.job(job)
    assert gone.value.status == 404
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ServerError, match="unprocessable"):
        list(client.wait(client.video(path), every=0.05))

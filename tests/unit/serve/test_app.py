"""The routes, by requests to the real application."""

import base64
import io
import json
import random

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient
from uploads import form, jpeg, noise, png, png_of_size, zip_bomb

import mien
from mien.faces.crop import cut, recipe, to_grey
from mien.labels import EIGHT
from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import Api, build
from mien.serve.guard import HEADERS
from mien.serve.limits import Limits
from mien.serve.pool import Pool
from mien.serve.schema import Analysis, Models, Problem
from mien.serve.site import Site
from mien.serve.upload import Ask, parse_query

PHOTO = jpeg(noise())


def problem(response, status):
    """The reason of a refusal, which must be of that status and of the schema."""
    assert response.status_code == status, response.text
    told = Problem.model_validate(response.json())
    assert told.error.status == status
    return told.error.reason


def post(client, body, kind="image/jpeg", query=""):
    return client.post(f"/v1/analyze{query}", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("way", ["raw", "none", "curl", "form", "image field", "json", "data"])
def test_every_way_to_send_a_photo_gives_what_the_library_gives(client, way):
    packed = base64.b64encode(PHOTO).decode()
    body, kind = {
        "raw": (PHOTO, "image/jpeg"),
        "none": (PHOTO, ""),
        "curl": (PHOTO, "application/x-www-form-urlencoded"),
        "form": form(PHOTO),
        "image field": form(PHOTO, field=b"image"),
        "json": (json.dumps({"image": packed}), "application/json"),
        "data": (
            json.dumps({"image": f"data:image/jpeg;base64,{packed}"}),
            "application/json; charset=utf-8",
        ),
    }[way]
    told = post(client, body, kind).json()
    expected = mien.analyze(PHOTO, detector="none").to_dict()
    assert told.pop("ms") > 0
    assert len(told.pop("model_sha256")) == 64
    named = "a.jpg" if way in ("form", "image field") else "upload"
    assert told == {**expected, "source": named}
    assert told["faces"][0]["box"] == [0.0, 0.0, 48.0, 32.0]


def test_answers_keep_to_the_published_schema(client):
    told = Analysis.model_validate(post(client, PHOTO, query="?crops=1").json())
    assert list(told.faces[0].probabilities) == list(EIGHT)
    models = Models.model_validate(client.get("/v1/models").json())
    has_affect = mien.load_classifier("mien-small").spec.has_affect
    assert [(m.name, m.has_affect) for m in models.models] == [("mien-small", has_affect)]
    assert models.models[0].sha256 == told.model_sha256


def test_the_crop_is_what_the_network_is_given(client, pool):
    told = post(client, PHOTO, query="?return=crops").json()
    (face,) = told["faces"]
    assert "probabilities" not in face and "valence" not in face
    picture = Image.open(io.BytesIO(base64.b64decode(face["crop"].partition(",")[2])))
    rgb = np.asarray(Image.open(io.BytesIO(PHOTO)).convert("RGB"))
    box = np.array([[0, 0, 48, 32]], np.float32)
    (crop,) = to_grey(cut(rgb, box, size=48, recipe=recipe("whole-v1")))
    assert np.array_equal(np.asarray(picture), crop)


def test_a_form_asks_before_the_query_does(client):
    body, kind = form(PHOTO, **{"return": "affect"})
    (face,) = post(client, body, kind, "?return=probabilities").json()["faces"]
    assert "valence" in face and "probabilities" not in face


def test_options_are_kept_to(client):
    assert post(client, PHOTO, query="?min_score=1").json()["status"] == "ok"
    assert "1000" in problem(post(client, PHOTO, query="?max_faces=1001"), 422)
    assert "mien-small" in problem(post(client, PHOTO, query="?model=/etc/passwd"), 422)
    assert "min_score" in problem(post(client, PHOTO, query="?min_scor=1"), 422)
    assert "return" in problem(post(client, PHOTO, query="?return=all"), 422)
    body, kind = form(PHOTO, max_faces="none")
    assert "max_faces" in problem(post(client, body, kind), 422)
    body = json.dumps({"image": "QUJD", "path": "/etc/passwd"})
    assert "path" in problem(post(client, body, "application/json"), 422)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (b"", {}),
        (b"max_faces=2&min_score=0.5", {"max_faces": 2, "min_score": 0.5}),
        (b"max_faces=2&max_faces=3", {"max_faces": 3}),
        (b"return=crops%2Caffect", {"return": "crops,affect"}),
        (b"return=crops&return=affect", {"return": ["crops", "affect"]}),
        (b"crops=1&model=a+b", {"crops": True, "model": "a b"}),
        (b"return=" + b"affect," * 100 + b"affect", {"return": ["affect"] * 101}),
    ],
)
def test_a_query_asks_what_it_says(query, asked):
    for _ in range(2):  # the second time out of memory
        assert parse_query(query) == Ask.model_validate(asked)


def test_queries_are_read_as_fastapi_reads_them(client, pool):
    """The quick way of a photo's options and the published one refuse and take the same."""
    slow = FastAPI()
    api = Api(pool, Limits())
    slow.add_api_route("/", api.analyze, methods=["POST"], response_model=None)
    published = TestClient(slow)
    wrong = ["max_faces=0", "max_faces=", "max_faces=1.5", "min_score=2", "min_score=nan"]
    wrong += ["x=1", "return=", "return=crops,", "crops=maybe", "model=" + "m" * 201]
    for query in wrong:
        told = published.post(f"/?{query}", content=PHOTO)
        assert told.status_code == 422
        (first, *_) = told.json()["detail"]
        assert first["msg"] in problem(post(client, PHOTO, query=f"?{query}"), 422), query


def test_no_face_is_an_answer():
    pool = Pool(Options(), limits=Limits())
    client = TestClient(build(pool, Access()), base_url="http://localhost:1")
    told = post(client, PHOTO).json()
    pool.close()
    assert (told["status"], told["faces"]) == ("no_face", [])


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (png_of_size(40_000, 40_000), "image/png", 413, "over the limit of 1,000,000"),
        (PHOTO[: len(PHOTO) // 2], "image/jpeg", 422, "truncated"),
        (b"<!doctype html>", "image/jpeg", 415, "a web page"),
        (b"\0\0\0\x18ftypmp42", "", 415, "a video"),
        (b"hello", "image/png", 415, "not a picture"),
        (PHOTO, "text/plain", 415, "text/plain"),
        (PHOTO, "video/mp4", 415, "video/mp4"),
        (b"", "image/jpeg", 422, "no picture came"),
        (b"x" * 200_001, "image/jpeg", 413, "200,000 bytes"),
        (b"{", "application/json", 422, "Invalid JSON"),
        (b"[" * 50_000, "application/json", 422, "recursion"),
        (b'{"image": 3}', "application/json", 422, "image"),
        (b'{"image": "http://10.0.0.1/a.jpg"}', "application/json", 422, "nothing is fetched"),
        (b'{"image": "file:///etc/passwd"}', "application/json", 422, "nothing is fetched"),
        (b'{"image": "/etc/passwd"}', "application/json", 422, "base64"),
        (b'{"image": ""}', "application/json", 422, "no picture came"),
        (b"--x", "multipart/form-data; boundary=xYzZy", 400, "form"),
        (b"--x", "multipart/form-data", 400, "boundary"),
        (form(PHOTO)[0][:-30], "multipart/form-data; boundary=xYzZy", 400, "ends early"),
        (form(b"x" * 5000, field=b"o")[0], "multipart/form-data; boundary=xYzZy", 413, "too long"),
        (form(b"x", field=b"other")[0], "multipart/form-data; boundary=xYzZy", 422, "called file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(client, body, kind, status, says):
    assert says in problem(post(client, body, kind), status)


def test_a_zip_bomb_is_no_fault(client):
    bomb = zip_bomb()
    assert len(bomb) < 200_000
    response = post(client, bomb, "image/png")
    assert response.status_code in (200, 422)  # the rows are there; what follows is not unpacked


def test_two_hundred_damaged_bodies_are_all_refused_or_read(client):
    rng = random.Random(0)
    whole = [(PHOTO, "image/jpeg"), (png(noise()), "image/png"), form(PHOTO, max_faces=1)]
    whole.append(
        (json.dumps({"image": base64.b64encode(PHOTO).decode()}).encode(), "application/json")
    )
    seen = set()
    for _ in range(200):
        body, kind = rng.choice(whole)
        damaged = bytearray(body)
        for _ in range(rng.choice([1, 3, 20])):
            at = rng.randrange(len(damaged))
            change = rng.randrange(3)
            if change == 0:
                damaged[at] = rng.randrange(256)
            elif change == 1:
                del damaged[at : at + rng.randrange(1, 40)]
            else:
                damaged[at:at] = rng.randbytes(rng.randrange(1, 40))
        response = post(client, bytes(damaged), kind)
        seen.add(response.status_code)
        if response.status_code != 200:
            assert problem(response, response.status_code)
    assert seen <= {200, 400, 413, 415, 422}
    assert {200, 422} <= seen


def test_every_answer_carries_the_security_headers(client):
    for path in ("/healthz", "/v1/models", "/nothing", "/"):
        headers = client.get(path).headers
        for name in HEADERS:
            assert name in headers, (path, name)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_health_and_the_rest(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    assert problem(client.get("/v1/nothing"), 404)
    wrong = client.get("/v1/analyze")
    assert problem(wrong, 405) and wrong.headers["allow"] == "POST"
    assert problem(client.get("/../../etc/passwd"), 404)
    assert problem(client.get("/docs"), 404)
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/analyze",
        "/v1/models",
        "/v1/video",
        "/v1/video/{name}",
        "/v1/video/{name}/{file}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert "multipart/form-data" in paths["/v1/analyze"]["post"]["requestBody"]["content"]


def test_the_counters_count(client):
    def faces():
        lines = client.get("/metrics").text.splitlines()
        return next((float(x.split()[1]) for x in lines if x.startswith("mien_faces_total")), 0)

    before = faces()
    post(client, PHOTO)
    assert faces() == before + 1
    assert 'mien_requests_total{route="/v1/analyze",status="200"}' in client.get("/metrics").text


def test_a_fault_is_told_to_the_log_alone(client, pool, monkeypatch, caplog):
    def break_(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(pool, "_look", break_)
    response = post(client, PHOTO)
    assert "secret" not in response.text
    assert problem(response, 500)
    assert "ZeroDivisionError" in caplog.text


def test_the_page_is_served_from_the_package_alone(pool):
    files = {"index.html": b"<p>hi", "app.js": b"1"}
    site = Site(files)
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(routes=[Route("/", site.answer), Route("/{name}", site.answer)])
    client = TestClient(app)
    first = client.get("/")
    assert (first.text, first.headers["content-type"]) == ("<p>hi", "text/html; charset=utf-8")
    assert client.get("/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    empty = TestClient(Starlette(routes=[Route("/", Site({}).answer)]))
    assert "no page" in empty.get("/").text

"""Videos: uploaded, read, fetched, and gone afterwards."""

import csv
import io
import json
import time

import pytest
from starlette.testclient import TestClient
from uploads import form, noise

pytest.importorskip("av", reason="needs the extra video")

from synthetic_video import write_video

from mien.report.table import VIDEO_COLUMNS
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.schema import JobRecord


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten frames of two pictures, 25 a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, [noise(64, 96, seed=i // 5) for i in range(10)])
    return path.read_bytes()


@pytest.fixture
def make(pool, tmp_path, monkeypatch):
    """A function that makes a client with limits; temporary files go into `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def made(**limits):
        app = build(pool, Access(), Limits(**limits))
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return made


def upload(client, body, kind="video/mp4", query=""):
    return client.post(f"/v1/video{query}", content=body, headers={"Content-Type": kind})


def finished(client, response):
    assert response.status_code == 202, response.text
    where = response.headers["location"]
    for _ in range(400):
        told = client.get(where).json()
        JobRecord.model_validate(told)
        if told["status"] in ("done", "failed"):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def test_a_video_becomes_a_table_and_a_report(make, clip, tmp_path):
    client = make()
    told = finished(client, upload(client, clip))
    assert (told["status"], told["frames"], told["progress"]) == ("done", 10, 1.0)
    assert 0 < told["expires_sec"] <= 900
    table = client.get(told["links"]["table.csv"])
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert list(rows[0]) == list(VIDEO_COLUMNS)
    assert [float(row["t_sec"]) for row in rows] == pytest.approx([i / 25 for i in range(10)])
    assert {row["source"] for row in rows} == {"video"}
    lines = client.get(told["links"]["table.jsonl"]).text.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(10))
    report = client.get(told["links"]["report.html"])
    assert "attachment" in report.headers["content-disposition"]
    assert str(tmp_path) not in report.text and str(tmp_path) not in table.text
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"table.csv", "table.jsonl", "report.html"}  # the video itself is gone
    assert client.delete(told["links"]["self"]).status_code == 204
    assert client.get(told["links"]["self"]).status_code == 404
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_form_and_fewer_frames(make, clip):
    client = make()
    body, kind = form(clip, "clip.mp4")
    told = finished(client, upload(client, body, kind, "?fps=5&max_faces=1"))
    assert (told["status"], told["frames"]) == ("done", 2)


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        (b"", "video/mp4", "", 422),
        (b"#EXTM3U\nfile:///etc/passwd\n", "video/mp4", "", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "", "", 415),
        (b"x", "image/jpeg", "", 415),
        (b"x", "video/mp4", "?fps=0", 422),
        (b"x", "video/mp4", "?crops=1", 422),
        (b"x" * 100_001, "video/mp4", "", 413),
        (b"--a", "multipart/form-data; boundary=b", "", 400),
    ],
)
def test_what_is_no_video_is_refused_and_leaves_nothing(make, tmp_path, body, kind, query, status):
    client = make(video=100_000)
    response = upload(client, body, kind, query)
    assert (response.status_code, response.json()["error"]["status"]) == (status, status)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "mien_jobs 0" in client.get("/metrics").text


def test_a_damaged_video_fails_with_a_reason(make, clip):
    client = make()
    told = finished(client, upload(client, clip[:200]))
    assert told["status"] == "failed" and told["reason"]
    assert client.get(f"{told['links']['self']}/table.csv").status_code == 409
    assert list(told["links"]) == ["self"]


def test_a_frame_with_too_many_pixels_fails(make, clip):
    told_by = make(pixels=1000)
    told = finished(told_by, upload(told_by, clip))
    assert "96 x 64" in told["reason"]


def test_only_so_many_are_kept_and_only_so_long(make, clip, tmp_path):
    client = make(jobs=1, keep_sec=0.3)
    first = finished(client, upload(client, clip))
    full = upload(client, clip)
    assert (full.status_code, full.headers["retry-after"]) == (503, "30")
    time.sleep(0.4)
    assert client.get(first["links"]["self"]).status_code == 404
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert finished(client, upload(client, clip))["status"] == "done"


def test_a_video_that_takes_too_long_is_given_up(make, clip):
    client = make(job_sec=0.0)
    assert "longer than 0 s" in finished(client, upload(client, clip))["reason"]


def test_ids_cannot_be_guessed_and_name_no_paths(make, clip):
    client = make()
    told = finished(client, upload(client, clip))
    assert len(told["id"]) >= 20
    for path in ("..", "%2e%2e", "x", f"{told['id']}/video", f"{told['id']}/..%2f..%2fetc"):
        assert client.get(f"/v1/video/{path}").status_code in (404, 405)

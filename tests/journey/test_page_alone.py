"""`mien export --web`: the folder, and what it reads in Chromium with no server but a plain one.

MIEN_ORT must name the npm package onnxruntime-web (its .tgz or a folder), MIEN_DATA the folder with
YuNet; the tests skip without.
"""

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_in_browser import camera_flags, chromium, served, write_camera
from PIL import Image

import mien
from mien.labels import EIGHT
from mien.runtime.store import DOWNLOADS

pytestmark = [pytest.mark.journey, pytest.mark.data]

PATIENCE = 120_000  # milliseconds: 14 MB are compiled
GOLDEN = Path(__file__).parents[1] / "golden" / "crops.npz"


@pytest.fixture(scope="module")
def home():
    folder = Path(os.environ.get("MIEN_DATA", "none")) / "models"
    if not (folder / DOWNLOADS["yunet"].file).is_file():
        pytest.skip("needs YuNet in MIEN_DATA")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, home):
    ort = os.environ.get("MIEN_ORT")
    if not ort:
        pytest.skip("needs the npm package that MIEN_ORT names")
    target = tmp_path_factory.mktemp("web") / "page"
    words = [sys.executable, "-m", "mien.cli.main", "export", "--web", target, "--ort", ort]
    environment = {**os.environ, "MIEN_HOME": str(home)}
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MB. Try it: python -m http.server" in done.stderr
    return target


@pytest.fixture(scope="module")
def tab(folder, tmp_path_factory, examples):
    film = write_camera(tmp_path_factory.mktemp("camera") / "face.mjpeg", examples / "obama.jpg")
    with served(folder) as address, chromium(*camera_flags(film)) as browser:
        tab = browser.new_page()
        tab.expect, tab.complaints, tab.asked = browser.expect, [], []
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.goto(address)
        tab.expect(tab.locator("#state")).to_have_text("Ready.", timeout=PATIENCE)
        yield tab
        assert tab.complaints == []
        asked = {urlsplit(url).netloc for url in tab.asked if url.startswith("http")}
        assert asked == {urlsplit(address).netloc}


TALK = """async ([task, ask]) => {
  const { connect } = await import("./backend.js");
  window.backend ??= await connect({ state: () => {} });
  const bytes = (p) => ({ ...p, data: Uint8Array.from(atob(p.data), (c) => c.charCodeAt(0)) });
  const model = window.backend.named("mien-small");
  const given = task === "read"
    ? { picture: bytes(ask[0]), model, detector: window.backend.detector, crops: false }
    : { crops: ask.map(bytes), model };
  return (await window.backend.ask(task, given)).told;
}"""


def pixels(rgb):
    height, width, channels = rgb.shape
    data = base64.b64encode(rgb.tobytes()).decode("ascii")
    return {"data": data, "width": width, "height": height, "channels": channels}


def table(told):
    return np.array([[face["probabilities"][label] for label in EIGHT] for face in told])


def test_the_golden_crops_are_read_like_by_python(tab):
    crops = np.load(GOLDEN)["square-v1"]
    told = tab.evaluate(TALK, ["classify", [pixels(crop) for crop in crops]])
    want = mien.load_classifier("mien-small")(crops).probabilities
    assert np.abs(table(told) - want).max() < 1e-3


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg"])
def test_the_same_pixels_give_the_same_faces(tab, examples, home, name, monkeypatch):
    """From a picture's pixels to boxes and probabilities, all of it written twice."""
    monkeypatch.setenv("MIEN_HOME", str(home))
    with Image.open(examples / name) as opened:
        rgb = np.asarray(opened.convert("RGB"))
    want = mien.Analyzer(mien.Options(detector="yunet"))(rgb)
    told = tab.evaluate(TALK, ["read", [pixels(rgb)]])
    assert len(told) == len(want.faces) == 1
    assert told[0]["box"] == pytest.approx(want.faces[0].box, abs=0.2)
    assert told[0]["expression"] == want.faces[0].expression
    probabilities = [want.faces[0].probabilities[label] for label in EIGHT]
    # Some releases of Pillow shrink tall pictures columns first: a grey level, and the box moves.
    # The int8 network rounds its activations, so that a grey level may become a hundredth.
    assert np.abs(table(told)[0] - probabilities).max() < 2e-2


def test_the_camera_is_read_in_the_browser(tab):
    tab.click("#camera")
    tab.click("#agree")
    tab.wait_for_selector(".card", timeout=PATIENCE)
    assert "runs in this browser" in tab.text_content("#where")
    tab.check("#crops")
    tab.wait_for_selector(".crop img", timeout=PATIENCE)
    tab.expect(tab.locator("#state")).to_have_text("The camera is on.", timeout=PATIENCE)
    assert tab.locator(".bars .first .label").first.text_content() == "happiness"
    tab.click("#stop")


def test_a_photo_is_read_in_the_browser(tab, examples):
    tab.set_input_files("#file", examples / "biden.jpg")
    tab.expect(tab.locator("#state")).to_have_text("biden.jpg: 1 face.", timeout=PATIENCE)
    assert tab.locator(".card .top").text_content().startswith("neutral")

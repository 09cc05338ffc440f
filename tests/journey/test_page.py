"""The page of `mien serve` in Chromium, before a camera that shows a face: what it reads and keeps.

MIEN_AXE may name axe-core's axe.min.js; without it only what is checked by hand here is.
MIEN_SHOTS may name a folder for pictures of the page, to be looked at.
"""

import json
import os
import re

import numpy as np
import pytest
from page_in_browser import CAMERA
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra serve")

from served_page import PATIENCE, Page, end, start

import mien
from mien.labels import EIGHT

pytestmark = pytest.mark.journey


def test_the_camera_starts_only_when_all_agree(page):
    page.tab.click("#camera")
    assert "knows and agrees" in page.tab.text_content("#consent")
    page.is_accessible()
    page.tab.click("#decline")
    assert page.tab.evaluate("document.getElementById('film').srcObject") is None
    page.start_camera()
    page.tab.click("#stop")
    page.says("Stopped.")
    assert page.tab.evaluate("document.getElementById('film').srcObject") is None
    page.tab.click("#camera")  # nobody is asked twice
    page.says("The camera is on.")


def test_a_face_before_the_camera_is_read(page):
    page.start_camera()
    card = page.tab.locator(".card")
    assert card.count() == 1
    assert re.fullmatch(r"happiness \d+ %", card.locator(".top").text_content())
    assert card.locator(".bars .label").all_text_contents() == list(EIGHT)
    parts = [int(text[:-2]) for text in card.locator(".bars .value").all_text_contents()]
    assert abs(sum(parts) - 100) <= 4 and parts[1] == max(parts)
    assert card.locator(".bars .first .label").text_content() == "happiness"
    # A machine that is busy elsewhere may lose the face once, and call it person 1 then.
    spoken = re.compile(r"person \d, happiness \d+ %")
    page.expect(page.tab.locator("#spoken")).to_have_text(spoken, timeout=PATIENCE)
    assert re.search(r"person \d, happiness", page.tab.get_attribute("#picture", "aria-label"))
    affect = mien.load_classifier("mien-small").spec.has_affect
    assert page.tab.is_visible("#affect") != affect
    assert ("mien-small tells no valence and arousal" in page.tab.text_content("body")) != affect
    circles = "(cards) => cards.map((card) => card.querySelectorAll('.circle').length)"
    assert set(page.tab.eval_on_selector_all(".card", circles)) == {affect}
    page.tab.check("#crops")
    page.tab.wait_for_selector(".crop img", timeout=PATIENCE)
    page.pause()  # each face read replaces the picture, and one replaced midway does not decode
    size = page.tab.eval_on_selector(".crop img", "(i) => i.decode().then(() => i.naturalWidth)")
    assert size == 48


def test_the_timeline_grows_and_the_table_holds_what_was_read(page):
    page.start_camera()
    page.tab.wait_for_timeout(1500)
    before = page.coloured("#timeline")
    assert before > 0
    for _ in range(60):
        page.tab.wait_for_timeout(500)
        if (now := page.coloured("#timeline")) > 2 * before:
            break
    assert now > 2 * before
    page.pause()
    still = page.coloured("#timeline")
    rows = page.rows()
    page.tab.wait_for_timeout(500)
    assert page.coloured("#timeline") == still and len(page.rows()) == len(rows)
    assert len(rows) >= 5 and rows[0]["face_id"] == "0"
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    assert np.all(np.diff([float(row["t_sec"]) for row in rows]) > 0)
    for row in rows:
        assert (row["source"], row["model"], row["schema"]) == ("camera", "mien-small", "1")
        assert (row["status"], row["expression"]) == ("ok", "happiness")
        assert sum(float(row[label]) for label in EIGHT) == pytest.approx(1, abs=1e-3)
        assert sum(float(row[f"smooth_{label}"]) for label in EIGHT) == pytest.approx(1, abs=1e-3)
        assert (row["valence"] != "") == mien.load_classifier("mien-small").spec.has_affect
    page.tab.click("#pause")
    page.says("The camera is on.")


def test_the_box_lies_on_the_frame_that_was_read(page):
    """The strip below the face tells where it was in the picture shown; the box must agree."""
    page.start_camera()
    found = []
    for turn in range(4):
        page.tab.wait_for_timeout(700 * (1 + turn))  # so that no film loop hides a move
        page.pause()
        bits = page.tab.eval_on_selector(
            "#picture",
            """(node) => {
              const copy = new OffscreenCanvas(node.width, node.height);
              copy.getContext("2d").drawImage(node, 0, 0);
              const { data } = copy.getContext("2d").getImageData(0, node.height - 12, 640, 1);
              return [...Array(8).keys()].map((bit) => data[4 * (80 * bit + 40)] > 127);
            }""",
        )
        offset = sum(on << bit for bit, on in enumerate(bits))
        box = float(page.rows()[-1]["box_x0"])
        found.append((offset, box))
        page.tab.click("#pause")
    offsets, boxes = np.array(found).T
    assert np.ptp(offsets) >= 20  # the face did move
    assert np.ptp(boxes - offsets) < 10, found  # in 0.1 s it moves by 12 or more


def face(number, x, top, **more):
    """A face as the server tells it."""
    rest = {label: 0.02 for label in EIGHT if label != top}
    read = {
        "expression": top,
        "probability": 0.86,
        "probabilities": {label: rest.get(label, 0.86) for label in EIGHT},
        "valence": 0.6 - 0.6 * number,
        "arousal": 0.1 + 0.2 * number,
    }
    box = [x, 120 + 60 * number, x + 130, 280 + 60 * number]
    return {"face_id": number, "box": box, "face_score": 0.9, **read, "smoothed": read, **more}


def test_several_people_with_valence_and_arousal(browser, address):
    """The server's side is played: three people, and a model that tells valence and arousal."""
    page = Page(browser, address)
    people = [face(0, 40, "happiness"), face(1, 250, "sadness"), face(2, 460, "fear")]
    model = {"name": "with-affect", "has_affect": True}
    told = json.dumps({"schema": 1, "default": "with-affect", "models": [model]})
    frames = []

    def receive(socket):
        def answer(_):
            frames.append(len(frames))
            seen = people if len(frames) < 100 else people[:1]
            socket.send(json.dumps({"schema": 1, "frame": frames[-1], "t_sec": 0.0, "ms": 1.0,
                                    "width": 640, "height": 480, "faces": seen}))  # fmt: skip

        socket.on_message(answer)

    page.tab.route("**/v1/models", lambda route: route.fulfill(body=told))
    page.tab.route_web_socket(re.compile(".*/v1/stream.*"), receive)
    page.tab.reload()
    page.says("Ready.")
    page.tab.click("#camera")
    page.tab.click("#agree")
    page.tab.wait_for_selector(".card[data-id='2'] .circle", timeout=PATIENCE)
    assert not page.tab.is_visible("#affect")
    names = page.tab.locator(".card h3").all_text_contents()
    assert names == [
        "Person 0happiness 86 %",
        "Person 1sadness 86 %",
        "Person 2fear 86 %",
    ]
    chips = page.tab.eval_on_selector_all(
        ".chip", "all => all.map((n) => getComputedStyle(n).backgroundColor)"
    )
    assert len(set(chips)) == 3
    words = page.tab.locator(".circle").nth(2).get_attribute("aria-label")
    assert words == "valence −0.60, arousal +0.50"
    page.is_accessible()
    if shots := os.environ.get("MIEN_SHOTS"):
        page.tab.screenshot(path=f"{shots}/several.png", full_page=True)
    page.expect(page.tab.locator(".card")).to_have_count(1, timeout=PATIENCE)  # two have gone
    ids = {row["face_id"] for row in page.rows()}
    assert ids == {"0", "1", "2"}
    assert {row["valence"] for row in page.rows() if row["face_id"] == "1"} == {"0"}
    page.context.close()


def test_a_picture_can_be_saved(page):
    page.start_camera()
    with page.tab.expect_download() as told:
        page.tab.click("#snapshot")
    assert told.value.suggested_filename == "mien.png"
    with Image.open(told.value.path()) as picture:
        assert picture.size == CAMERA


def expected(photo):
    face = mien.analyze(photo).faces[0]
    return [f"{round(100 * face.probabilities[label])} %" for label in EIGHT]


def test_a_photo_is_read_like_by_the_library(page, examples):
    page.tab.set_input_files("#file", examples / "biden.jpg")
    page.says("biden.jpg: 1 face.")
    told = page.tab.locator(".bars .value").all_text_contents()
    want = expected(examples / "biden.jpg")
    assert [abs(int(a[:-2]) - int(b[:-2])) <= 1 for a, b in zip(told, want, strict=True)] == [
        True
    ] * 8
    page.is_accessible()
    row = page.rows()[0]
    assert (row["source"], row["t_sec"], row["status"]) == ("biden.jpg", "", "ok")
    assert not page.tab.is_visible("#timeline")


GIVE = """([kind, bytes, name, type]) => {
  const moved = new DataTransfer();
  moved.items.add(new File([Uint8Array.from(bytes)], name, {type}));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", {clipboardData: moved, bubbles: true})
    : new DragEvent("drop", {dataTransfer: moved, bubbles: true, cancelable: true});
  document.getElementById("stage").dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_photo_can_be_pasted_and_dropped(page, examples, kind):
    content = list((examples / "biden.jpg").read_bytes())
    page.tab.evaluate(GIVE, [kind, content, "given.jpg", "image/jpeg"])
    page.says("given.jpg: 1 face.")
    page.tab.evaluate(GIVE, [kind, [1, 2, 3], "a.txt", "text/plain"])
    page.says("That is neither a photo nor a video.")
    page.tab.evaluate(GIVE, [kind, [1, 2, 3], "a.png", "image/png"])
    page.says("a.png is no picture that this browser can show.")


def test_a_photo_without_a_face_says_so(page, tmp_path):
    Image.new("RGB", (300, 200), (120, 130, 140)).save(tmp_path / "wall.png")
    page.tab.set_input_files("#file", tmp_path / "wall.png")
    page.says("No face was found in this picture.")
    assert page.tab.locator(".card").count() == 0
    assert [row["status"] for row in page.rows()] == ["no_face"]


def test_a_video_file_is_read_to_its_end_and_again(page, examples, tmp_path):
    pytest.importorskip("av")
    from synthetic_video import write_video  # needs PyAV

    with Image.open(examples / "obama.jpg") as opened:
        frame = np.asarray(opened.convert("RGB").resize((320, 400)))
    write_video(tmp_path / "clip.webm", [frame] * 40, fps=10, codec="libvpx")
    page.tab.set_input_files("#file", tmp_path / "clip.webm")
    page.tab.wait_for_selector(".card", timeout=PATIENCE)
    page.says("The video has ended.")
    rows = page.rows()
    assert rows[0]["source"] == "clip.webm" and float(rows[-1]["t_sec"]) < 30
    assert page.tab.text_content("#pause") == "Play again"
    page.tab.click("#pause")
    page.says("clip.webm is playing.")
    page.tab.set_input_files(
        "#file", {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"no video"}
    )
    page.expect(page.tab.locator("#state")).to_contain_text("This browser cannot play x.mp4")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("NotAllowedError", "The camera was not allowed."),
        ("NotFoundError", "No camera was found."),
        ("NotReadableError", "The camera cannot be read; another program may be using it."),
        (None, "Browsers give a camera to pages on https or localhost only."),
    ],
)
def test_why_there_is_no_camera_is_said(browser, address, name, told):
    fails = f"throw new DOMException('', '{name}')"
    script = (
        f"navigator.mediaDevices.getUserMedia = async () => {{ {fails} }}"
        if name
        else "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
    )
    page = Page(browser, address, script=script)
    page.tab.click("#camera")
    page.tab.click("#agree")
    page.expect(page.tab.locator("#state")).to_contain_text(told)
    assert page.tab.is_enabled("#camera") and page.complaints == []
    page.context.close()


def test_a_server_that_goes_is_waited_for(browser):
    process, port = start()
    page = Page(browser, f"http://127.0.0.1:{port}/")
    page.start_camera()
    end(process)
    gone = page.expect(page.tab.locator("#state"))
    gone.to_contain_text("The server does not answer. Trying again in", timeout=PATIENCE)
    assert page.tab.get_attribute("#state", "data-kind") == "trouble"
    before = len(page.rows())
    process, _ = start(port)
    page.says("The camera is on.")
    assert len(page.rows()) > before
    page.tab.click("#stop")
    page.context.close()
    end(process)

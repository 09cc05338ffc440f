"""The page of `mien serve` in Chromium, before a camera that shows a face.

MIEN_AXE may name axe-core's axe.min.js; without it only what is checked by hand here is.
MIEN_SHOTS may name a folder for pictures of the page, to be looked at.
"""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_in_browser import CAMERA, camera_flags, chromium, contrast, write_camera
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra serve")

import mien
from mien.labels import EIGHT
from mien.report.table import VIDEO_COLUMNS

pytestmark = pytest.mark.journey

PATIENCE = 60_000  # milliseconds: the machine may be busy
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def start(port=0):
    """A server's process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mien.cli.main", "serve", "--quiet", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert found
    return process, int(found[1])


def end(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    process.stdout.close()


@pytest.fixture(scope="module")
def address():
    process, port = start()
    yield f"http://127.0.0.1:{port}/"
    end(process)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, examples):
    film = write_camera(tmp_path_factory.mktemp("camera") / "face.mjpeg", examples / "obama.jpg")
    with chromium(*camera_flags(film)) as found:
        yield found


class Page:
    """A tab with the page, and what it complained of and asked for."""

    def __init__(self, browser, address, *, size="desktop", scheme="light", script=None):
        self.expect = browser.expect
        width, height = SIZES[size]
        viewport = {"width": width, "height": height}
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme)
        self.tab = self.context.new_page()
        self.complaints, self.asked = [], []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        if script:
            self.tab.add_init_script(script)
        self.tab.goto(address)
        self.says("Ready.")

    def says(self, text):
        self.expect(self.tab.locator("#state")).to_have_text(text, timeout=PATIENCE)

    def start_camera(self):
        self.tab.click("#camera")
        self.tab.click("#agree")
        self.tab.wait_for_selector(".card", timeout=PATIENCE)
        self.says("The camera is on.")

    def pause(self):
        """Press Pause and wait for the answers that are under way."""
        self.tab.click("#pause")
        self.says("Paused. The camera is still on.")
        rows = -1
        while rows != (rows := len(self.rows())):
            self.tab.wait_for_timeout(1500)

    def rows(self):
        with self.tab.expect_download() as told:
            self.tab.click("#csv")
        assert told.value.suggested_filename == "mien.csv"
        text = Path(told.value.path()).read_text("utf-8")
        assert tuple(next(csv.reader(io.StringIO(text)))) == VIDEO_COLUMNS
        return list(csv.DictReader(io.StringIO(text)))

    def is_accessible(self):
        """axe-core, where it is, finds nothing wrong with the page as it is now."""
        if axe := os.environ.get("MIEN_AXE"):
            self.tab.evaluate(Path(axe).read_text("utf-8"))
            found = self.tab.evaluate("async () => (await axe.run()).violations")
            assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []

    def coloured(self, canvas):
        """How many pixels of a canvas are neither grey nor empty."""
        return self.tab.eval_on_selector(
            canvas,
            """(node) => {
              const copy = new OffscreenCanvas(node.width, node.height);
              const context = copy.getContext("2d", { willReadFrequently: true });
              context.drawImage(node, 0, 0);
              const { data } = context.getImageData(0, 0, node.width, node.height);
              let n = 0;
              for (let i = 0; i < data.length; i += 4)
                n += Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3)) > 60;
              return n;
            }""",
        )


@pytest.fixture
def page(browser, address):
    page = Page(browser, address)
    yield page
    assert page.complaints == []
    home = urlsplit(address).netloc
    assert {urlsplit(url).netloc for url in page.asked if url.startswith("http")} == {home}
    page.context.close()


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
    spoken = re.compile(r"person 0, happiness \d+ %")
    page.expect(page.tab.locator("#spoken")).to_have_text(spoken, timeout=PATIENCE)
    assert "person 0, happiness" in page.tab.get_attribute("#picture", "aria-label")
    assert "mien-tiny tells no valence and arousal" in page.tab.text_content("#affect")
    page.tab.check("#crops")
    page.tab.wait_for_selector(".crop img", timeout=PATIENCE)
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
        assert (row["source"], row["model"], row["schema"]) == ("camera", "mien-tiny", "1")
        assert (row["status"], row["expression"]) == ("ok", "happiness")
        assert sum(float(row[label]) for label in EIGHT) == pytest.approx(1, abs=1e-3)
        assert sum(float(row[f"smooth_{label}"]) for label in EIGHT) == pytest.approx(1, abs=1e-3)
        assert row["valence"] == ""
    page.tab.click("#pause")
    page.says("The camera is on.")


def test_the_box_lies_on_the_frame_that_was_read(page):
    """The strip below the face tells where it was in the picture shown; the box must agree."""
    page.start_camera()
    found = []
    for _ in range(4):
        page.tab.wait_for_timeout(700)
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


def test_the_keyboard_does_everything(page):
    page.tab.focus("#camera")
    page.tab.keyboard.press("Enter")
    assert page.tab.is_visible("#consent")
    page.tab.keyboard.press("Escape")
    assert not page.tab.is_visible("#consent")
    page.tab.keyboard.press("Enter")
    page.tab.keyboard.press("Enter")  # the first button of the dialog has the focus
    page.tab.wait_for_selector(".card", timeout=PATIENCE)
    page.tab.focus("#open")
    reached = []
    for _ in range(6):
        page.tab.keyboard.press("Tab")
        reached.append(page.tab.evaluate("document.activeElement.id"))
    assert reached == ["pause", "stop", "model", "crops", "snapshot", "csv"]


def test_what_has_a_purpose_has_a_name(page):
    """Every control has a name, every section a heading, and what changes is told politely."""
    nameless = page.tab.eval_on_selector_all(
        "button, select, input",
        "all => all.filter((n) => !(n.textContent.trim() || n.labels?.length ||"
        " n.getAttribute('aria-label'))).map((n) => n.id)",
    )
    assert nameless == []
    assert page.tab.get_attribute("#state", "role") == "status"
    assert page.tab.get_attribute("#spoken", "aria-live") == "polite"
    assert page.tab.locator("html[lang=en]").count() == 1
    assert page.tab.locator("main").count() == page.tab.locator("h1").count() == 1
    headless = page.tab.eval_on_selector_all(
        "section, dialog",
        "all => all.filter((n) => !document.getElementById(n.getAttribute('aria-labelledby')))",
    )
    assert headless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(browser, address, size, scheme):
    """No sideways scrolling; text at 4.5 to 1 or more (WCAG 2, AA); axe-core finds nothing."""
    page = Page(browser, address, size=size, scheme=scheme)
    page.start_camera()
    page.tab.check("#crops")
    page.tab.wait_for_selector(".crop img", timeout=PATIENCE)
    assert page.tab.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    low = page.tab.eval_on_selector_all(
        ".tools button:enabled",
        "all => all.map((n) => n.getBoundingClientRect().height).filter((h) => h > 0 && h < 38)",
    )
    assert low == []  # fingers are wide
    pairs = page.tab.evaluate(
        """() => {
            const of = (selector, name) =>
                getComputedStyle(document.querySelector(selector))[name];
            const body = of("body", "backgroundColor"), card = of(".card", "backgroundColor");
            return [
                [of("body", "color"), body], [of("#rate", "color"), body],
                [of("#affect", "color"), body],
                [of("a", "color"), of(".notice", "backgroundColor")],
                [of(".value", "color"), card], [of("figcaption", "color"), card],
                [of("#csv", "color"), of("#csv", "backgroundColor")],
                [of("#agree", "color"), of("#agree", "backgroundColor")],
                [of(".chip", "color"), of(".chip", "backgroundColor")],
            ];
        }"""
    )
    assert min(contrast(*pair) for pair in pairs) >= 4.5, pairs
    if shots := os.environ.get("MIEN_SHOTS"):
        page.tab.screenshot(path=f"{shots}/{size}-{scheme}.png", full_page=True)
    page.is_accessible()
    assert page.complaints == []
    page.context.close()


def test_nothing_moves_for_those_who_want_it_still(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    tab = context.new_page()
    tab.goto(address)
    tab.click("#camera")
    tab.click("#agree")
    tab.wait_for_selector(".fill", timeout=PATIENCE)
    durations = tab.eval_on_selector_all(
        "*", "all => [...new Set(all.map((n) => getComputedStyle(n).transitionDuration))]"
    )
    assert durations == ["0s"]
    context.close()

"""`mien report` as a user runs it, and the page in a browser: offline, quiet, by keyboard.

The browser tests need Playwright and a Chromium that is installed; they skip without.
"""

import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from page_in_browser import chromium
from PIL import Image
from synthetic_recording import crowd_of, row, small_rows, write_csv

from mien.report.page import write_page
from mien.video.events import Event

pytestmark = pytest.mark.journey

MIEN = [sys.executable, "-m", "mien.cli.main"]


def mien(*words, cwd):
    done = subprocess.run(
        [*MIEN, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "clip.csv", small_rows())


def test_a_table_becomes_a_page_and_plots(table, tmp_path):
    status, out, told = mien("report", table, "--plots", "plots", cwd=tmp_path)
    assert (status, out) == (0, "")
    assert re.fullmatch(
        r"report\.html: \d+ kB, 0 faces\nplots: 8 plots, each as \.svg and \.png\n", told
    )
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "clip.mp4" in text and "clip.csv" in text
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert len(names) == 16
    assert names[:4] == [
        "group-crowd.png",
        "group-crowd.svg",
        "group-presence.png",
        "group-presence.svg",
    ]
    with Image.open(tmp_path / "plots" / "person-1-timeline.png") as picture:
        assert picture.size == (1800, 296)
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 5
    assert (tmp_path / "plots" / "person-1-timeline.svg").read_text().startswith("<svg xmlns=")


def test_the_bundled_models_card_is_found_by_its_name(tmp_path):
    rows = [row(i, i / 10, 1, "anger", model="mien-tiny") for i in range(5)]
    table = write_csv(tmp_path / "clip.csv", rows)
    assert mien("report", table, "--quiet", "-o", "a.html", cwd=tmp_path) == (0, "", "")
    assert "FER2013, Training and PublicTest splits" in (tmp_path / "a.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("clip.txt",), "a table ends in .csv"),
        (("clip.csv", "-o", "page.pdf"), "page.pdf: the page is an .html file"),
        (("clip.csv", "--source", "b.mp4"), "no row with the source 'b.mp4'"),
        (("none.csv",), "none.csv: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(table, tmp_path, words, told):
    status, out, error = mien("report", *words, cwd=tmp_path)
    assert status in (1, 2) and out == "" and "Traceback" not in error
    assert told in error
    assert not (tmp_path / "report.html").exists()


def test_faces_come_from_the_video(tmp_path):
    pytest.importorskip("av")
    from synthetic_video import write_video  # needs PyAV

    rows = [row(i, i / 10, 1, "anger" if i < 5 else "fear") for i in range(10)]
    rows[3] |= {"anger": 0.95}
    rows[7] |= {"fear": 0.95}
    table = write_csv(tmp_path / "clip.csv", rows)
    grey = [np.full((64, 96, 3), 20 * k + 30, np.uint8) for k in range(10)]
    write_video(tmp_path / "clip.mp4", grey, fps=10)
    status, _, told = mien("report", table, "--video", "clip.mp4", cwd=tmp_path)
    assert status == 0 and told.endswith("2 faces\n"), told
    faces = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)" data-face="([^"]+)"',
        (tmp_path / "report.html").read_text("utf-8"),
    )
    assert [key for _, key in faces] == ["1-3", "1-7"]
    shades = [np.asarray(Image.open(io.BytesIO(base64.b64decode(f)))).mean() for f, _ in faces]
    assert shades == pytest.approx([90, 170], abs=4)
    mien("report", table, "--video", "clip.mp4", "--no-faces", "-o", "b.html", cwd=tmp_path)
    assert "<img " not in (tmp_path / "b.html").read_text("utf-8")
    (tmp_path / "not.mp4").write_bytes(b"no video")
    status, _, told = mien("report", table, "--video", "not.mp4", "-o", "c.html", cwd=tmp_path)
    assert status == 1 and "not.mp4" in told and not (tmp_path / "c.html").exists()


# In a browser.


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of three people in a minute, with one face."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    face = np.full((96, 96, 3), (200, 60, 0), np.uint8)
    event = Event(0, "happiness", 0.0, 60.0, 0.9, 1.0, 10)
    write_page(crowd_of(3, 60, 10), path, thumbnails={(0, 10): face}, events=[event])
    return Path(path).as_uri()


@pytest.fixture
def tab(browser, address):
    """The page, opened at the size of a laptop; what it complained of and asked for is kept."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.complaints, tab.asked = [], []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(address)
    tab.wait_for_function("document.getElementById('range').textContent !== ''")
    settle(tab)
    yield tab
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith("data:")] == [address]
    context.close()


def settle(tab):
    """Wait until what was asked for is drawn."""
    tab.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def drawn(tab):
    """Wait until what was asked of the plots is drawn: they wait for the next frame, too."""
    two = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    tab.evaluate(two)


def shown(tab):
    drawn(tab)
    return tab.text_content("#range")


FIRST = "figure.time[data-kind=timeline]"


def test_every_plot_is_drawn(tab):
    for kind, marks in (("timeline", ".band"), ("stacked", ".area"), ("crowd", ".area")):
        sizes = tab.eval_on_selector_all(
            f"figure[data-kind={kind}] .field {marks}",
            "nodes => nodes.map((node) => node.getBBox().width)",
        )
        assert len(sizes) >= 3 and max(sizes) > 5, kind
    assert tab.locator("svg.circumplex .trail").count() > 30
    assert tab.locator("svg.shares .share").count() == 24


def test_the_script_draws_what_python_drew(browser, address, tab):
    """Gaps and bands lie where the page without its script has them."""

    def places(page, kind):
        return page.eval_on_selector_all(
            f"{FIRST} .field {kind}",
            """nodes => nodes.map((node) => {
                const field = node.closest(".field").getAttribute("width");
                return ["x", "width"].map((name) => node.getAttribute(name) / field);
            })""",
        )

    plain = browser.new_context(java_script_enabled=False)
    still = plain.new_page()
    still.goto(address)
    for kind in ("rect.gap", "rect.band.bridged"):
        drawn, given = places(tab, kind), places(still, kind)
        assert len(drawn) == len(given) > 0
        # Python's columns are wider than the script's: a pixel or two.
        assert np.abs(np.clip(drawn, 0, 1) - np.array(given)).max() < 0.006
    plain.close()


def test_the_keyboard_does_everything(tab):
    tab.focus(FIRST)
    tab.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight"):
        tab.keyboard.press(key)
    drawn(tab)
    assert tab.text_content(".person .readout").startswith("00:01.20 · ")
    assert tab.text_content("#spoken").startswith("00:01.20 · ")
    assert shown(tab) == "00:00.0 to 01:00.0"
    tab.keyboard.press("+")
    assert shown(tab) == "00:00.6 to 00:30.6"
    tab.keyboard.press("End")
    assert shown(tab) == "00:30.0 to 01:00.0"
    tab.keyboard.press("0")
    assert shown(tab) == "00:00.0 to 01:00.0"
    tab.keyboard.press("Home")
    tab.keyboard.press("Enter")
    assert tab.is_visible("#moment")
    assert tab.text_content("#moment strong") == "00:00.00, frame 0"
    assert tab.locator("#moment img").count() == 1
    assert "frame 10" in tab.text_content("#moment ul")
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#moment")


def test_the_mouse_reads_zooms_and_opens(tab):
    figure = tab.locator(FIRST).first
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    wide, y = box["width"] - 96, box["y"] + 60

    def x(part):
        return box["x"] + 84 + part * wide

    tab.mouse.move(x(0.5), y)
    assert tab.text_content(".person .readout").startswith("00:30.")
    tab.mouse.move(x(0.25), y)
    tab.mouse.down()
    tab.mouse.move(x(0.5), y, steps=4)
    tab.mouse.up()
    start, end = re.findall(r"00:(\d\d\.\d)", shown(tab))
    assert abs(float(start) - 15) < 0.2 and abs(float(end) - 30) < 0.2
    settle(tab)
    tab.mouse.click(x(0.5), y)
    assert tab.text_content("#moment strong").startswith("00:22.")
    tab.focus(FIRST)
    tab.mouse.wheel(0, -100)
    tab.wait_for_function(f"document.getElementById('range').textContent !== '{start} to {end}'")
    tab.click("#close")
    tab.click("#whole")
    assert shown(tab) == "00:00.0 to 01:00.0"


def test_an_event_leads_to_its_moment(tab):
    tab.click("#events button[data-t]")
    assert tab.text_content("#moment strong") == "00:01.00, frame 10"


def test_a_phone_is_wide_enough(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    tab = context.new_page()
    tab.goto(address)
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    size = tab.eval_on_selector(f"{FIRST} text", "node => node.getBoundingClientRect().height")
    assert size > 9  # letters are not shrunk with the plot
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(browser, address, scheme):
    """Contrast of at least 4.5 to 1 (WCAG 2, AA) of text and of the plots' letters."""
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(address)
    settle(tab)
    colours = tab.evaluate(
        """() => {
            const of = (selector, name) =>
                getComputedStyle(document.querySelector(selector))[name];
            return [
                [of("p", "color"), of("body", "backgroundColor")],
                [of("dt", "color"), of("body", "backgroundColor")],
                [of(".person svg text", "fill"), of(".person", "backgroundColor")],
                [of("svg text.tick", "fill"), of(".person", "backgroundColor")],
                [of("a", "color"), of(".notice", "backgroundColor")],
            ];
        }"""
    )
    assert min(contrast(*pair) for pair in colours) >= 4.5, colours
    context.close()


def contrast(a, b):
    """WCAG 2's ratio of two colours given as ``rgb(r, g, b)``."""
    low, high = sorted(map(luminance, (a, b)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    parts = np.array([int(v) for v in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])

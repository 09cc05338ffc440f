"""The page of `mien serve` in a tab, and the server it comes from: for tests of the page."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from mien.report.table import VIDEO_COLUMNS

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

"""Chromium with a camera that shows a face, and folders served to it: for tests of the page."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CAMERA = (640, 480)
STRIP = 24  # pixels of the strip at the lower edge: eight cells, the bits of the face's offset
OFFSETS = [*range(0, 161, 4), *range(156, 0, -4)]  # of the face, frame by frame
PAGE = Path(__file__).resolve().parents[1] / "src" / "mien" / "serve" / "page"


def write_camera(path, photo):
    """A camera's film: the photo moves to the right and back, the strip tells how far."""
    with Image.open(photo) as opened:
        face = opened.convert("RGB").resize((360, 450)).crop((0, 0, 360, 440))
    with Path(path).open("wb") as file:
        for offset in OFFSETS:
            frame = Image.new("RGB", CAMERA, (90, 90, 90))
            frame.paste(face, (60 + offset, 0))
            frame.paste((0, 0, 0), (0, CAMERA[1] - STRIP, *CAMERA))
            for bit in range(8):
                if offset >> bit & 1:
                    cell = (80 * bit, CAMERA[1] - STRIP, 80 * bit + 80, CAMERA[1])
                    frame.paste((255, 255, 255), cell)
            frame.save(file, "JPEG", quality=90)
    return path


@contextlib.contextmanager
def chromium(*flags):
    """A Chromium; skips the test where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=[*flags, *root])
        found.expect = api.expect
        yield found
        found.close()


def camera_flags(film):
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The address at which a plain web server gives the folder's files."""
    kind = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def contrast(a, b):
    """WCAG 2's ratio of two colours given as ``rgb(r, g, b)``."""
    low, high = sorted(map(_luminance, (a, b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour):
    parts = np.array([int(v) for v in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])

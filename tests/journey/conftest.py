"""A server, a browser whose camera shows a face, and the page in it, for the tests of the page."""

from urllib.parse import urlsplit

import pytest
from page_in_browser import camera_flags, chromium, write_camera
from served_page import Page, end, start


@pytest.fixture(scope="module")
def address():
    """Where a server of `mien serve` is, for the tests of one file."""
    process, port = start()
    yield f"http://127.0.0.1:{port}/"
    end(process)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, examples):
    """A Chromium before whose camera a face moves."""
    film = write_camera(tmp_path_factory.mktemp("camera") / "face.mjpeg", examples / "obama.jpg")
    with chromium(*camera_flags(film)) as found:
        yield found


@pytest.fixture
def page(browser, address):
    """The page in a tab; in the end nothing was complained of, or asked of other servers."""
    page = Page(browser, address)
    yield page
    assert page.complaints == []
    home = urlsplit(address).netloc
    assert {urlsplit(url).netloc for url in page.asked if url.startswith("http")} == {home}
    page.context.close()

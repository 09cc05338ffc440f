"""The weights store, against a server that can misbehave."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mien.errors import ModelError, UsageError
from mien.runtime import fetch, store

CONTENT = bytes(range(256)) * 700
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ebaf\nsize 229738\n"


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `replies`, the last one again and again."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Reply)
        self.replies = [(200, CONTENT, len(CONTENT))]
        self.seen = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights.onnx"


class Reply(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        replies = self.server.replies
        status, body, length = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("MIEN_HOME", str(folder))
    monkeypatch.delenv("MIEN_MIRROR", raising=False)
    monkeypatch.setattr(fetch, "_PAUSE_SEC", 0.001)
    entry = store.Download(
        file="weights.onnx",
        url="http://127.0.0.1:9/nobody-listens",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        licence="MIT",
        what="bytes to test with",
    )
    monkeypatch.setitem(store.DOWNLOADS, "weights", entry)
    return folder


def left_behind(home):
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def test_pull(server, home):
    steps = []
    path = store.pull("weights", url=server.url, progress=lambda *step: steps.append(step))
    assert path == home / "weights.onnx" == store.path_of("weights") == store.checked("weights")
    assert path.read_bytes() == CONTENT
    assert left_behind(home) == ["weights.onnx"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [so_far for so_far, _ in steps] == sorted(so_far for so_far, _ in steps)


def test_what_is_there_is_not_fetched_again(server):
    store.pull("weights", url=server.url)
    store.pull("weights", url=server.url)
    assert len(server.seen) == 1


def test_a_damaged_file_is_noticed_and_replaced(server, home):
    home.mkdir()
    (home / "weights.onnx").write_bytes(CONTENT[:-1] + b"?")
    assert store.path_of("weights") is not None  # only the size is looked at
    with pytest.raises(ModelError, match="damaged: run `mien models pull weights`"):
        store.checked("weights")
    assert store.pull("weights", url=server.url).read_bytes() == CONTENT


def test_a_file_of_another_size_is_not_there(home):
    home.mkdir()
    (home / "weights.onnx").write_bytes(CONTENT[:-1])
    assert store.path_of("weights") is None
    with pytest.raises(ModelError, match=r"mien models pull weights` \(179 kB\), or copy"):
        store.checked("weights")


@pytest.mark.parametrize("body", [CONTENT[::-1], CONTENT + b"more", b"<html>Log in</html>", b""])
def test_another_file_is_refused_at_once(server, home, body):
    server.replies = [(200, body, len(body))]
    with pytest.raises(ModelError, match=r"is not weights.onnx: .*Nothing was stored"):
        store.pull("weights", url=server.url)
    assert len(server.seen) == 1
    assert left_behind(home) == []


def test_a_damaged_file_survives_a_failed_pull(server, home):
    home.mkdir()
    (home / "weights.onnx").write_bytes(b"old")
    server.replies = [(200, b"new", 3)]
    with pytest.raises(ModelError):
        store.pull("weights", url=server.url)
    assert (home / "weights.onnx").read_bytes() == b"old"


def test_lfs_pointer(server, home):
    server.replies = [(200, POINTER, len(POINTER))]
    with pytest.raises(ModelError, match="Git LFS pointer"):
        store.pull("weights", url=server.url)
    assert left_behind(home) == []


def test_a_cut_connection_is_tried_again(server):
    server.replies = [(200, CONTENT[:1000], len(CONTENT)), (200, CONTENT, len(CONTENT))]
    assert store.pull("weights", url=server.url).read_bytes() == CONTENT
    assert len(server.seen) == 2


def test_a_connection_that_is_always_cut(server, home):
    server.replies = [(200, CONTENT[:1000], len(CONTENT))]
    with pytest.raises(ModelError, match=r"ended after 1000 of 179200 bytes"):
        store.pull("weights", url=server.url)
    assert len(server.seen) == 3
    assert left_behind(home) == []


def test_a_passing_fault_is_tried_again(server):
    server.replies = [(500, b"", 0), (503, b"", 0), (200, CONTENT, len(CONTENT))]
    assert store.pull("weights", url=server.url).read_bytes() == CONTENT


def test_a_fault_that_stays(server):
    server.replies = [(503, b"", 0)]
    with pytest.raises(ModelError, match="HTTP 503"):
        store.pull("weights", url=server.url)
    assert len(server.seen) == 3


def test_not_found_is_not_tried_again(server, home):
    server.replies = [(404, b"", 0)]
    with pytest.raises(ModelError, match="HTTP 404"):
        store.pull("weights", url=server.url)
    assert len(server.seen) == 1
    assert left_behind(home) == []


def test_no_network_says_what_to_copy_where(home):
    with pytest.raises(ModelError) as caught:
        store.pull("weights")
    assert "http://127.0.0.1:9/nobody-listens" in str(caught.value)
    assert str(home / "weights.onnx") in str(caught.value)


def test_mirror(server, monkeypatch):
    monkeypatch.setenv("MIEN_MIRROR", server.url.removesuffix("weights.onnx") + "mirror/")
    store.pull("weights")
    assert server.seen == ["/mirror/weights.onnx"]


def test_a_folder_as_mirror(tmp_path, monkeypatch):
    (tmp_path / "weights.onnx").write_bytes(CONTENT)
    monkeypatch.setenv("MIEN_MIRROR", tmp_path.as_uri())
    assert store.pull("weights").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["weights.onnx", "ftp://host/weights.onnx", "C:\\weights.onnx"])
def test_addresses_that_cannot_be_fetched(url):
    with pytest.raises(UsageError, match="http, https or file"):
        store.pull("weights", url=url)


def test_home_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "file" / "home"))
    assert store.path_of("weights") is None
    with pytest.raises(ModelError, match="set MIEN_HOME"):
        store.pull("weights", url=server.url)
    assert server.seen == []


def test_home_that_cannot_be_written(server, home, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ModelError, match=r"Permission denied\): set MIEN_HOME"):
        store.pull("weights", url=server.url)
    assert left_behind(home) == []


def test_pulling_at_the_same_time(server, home):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: store.pull("weights", url=server.url), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert left_behind(home) == ["weights.onnx"]


def test_unknown_name():
    for ask in (store.pull, store.path_of, store.checked, store.download):
        with pytest.raises(UsageError, match=r"Did you mean 'yunet'\? Known: yunet"):
            ask("yunett")


def test_the_table_is_complete():
    entry = store.DOWNLOADS["yunet"]
    assert entry.size == 229_738
    assert entry.url.startswith("https://media.githubusercontent.com/media/opencv/opencv_zoo/")
    assert entry.url.endswith("/" + entry.file)
    for each in store.DOWNLOADS.values():
        assert len(bytes.fromhex(each.sha256)) == 32
        assert each.licence
        assert each.what


@pytest.mark.parametrize(
    ("platform", "variables", "want"),
    [
        ("linux", {"MIEN_HOME": "/m"}, "/m"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/mien"),
        ("linux", {}, "/home/me/.cache/mien"),
        ("darwin", {}, "/home/me/Library/Caches/mien"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/mien"),
        ("win32", {}, "/home/me/AppData/Local/mien"),
    ],
)
def test_home_by_platform(monkeypatch, platform, variables, want):
    for name in ("MIEN_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me", "USERPROFILE": "/home/me"} | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(store.sys, "platform", platform)
    assert store.home() == Path(want)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("mien-tiny.onnx", "mien-small.onnx", "mien-small.md"):
        (folder / name).touch()
    monkeypatch.setattr(store, "WEIGHTS", folder)
    return folder


def test_bundled_and_resolve(weights, tmp_path):
    assert list(store.bundled()) == ["mien-small", "mien-tiny"]
    assert store.resolve("mien-tiny") == weights / "mien-tiny.onnx"
    own = tmp_path / "own.onnx"
    own.touch()
    assert store.resolve(own) == store.resolve(str(own)) == own


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("mien-smal", "Did you mean 'mien-small'"),
        ("x", "Known: mien-small, mien-tiny, or give the path"),
        (Path("nowhere.onnx"), "no such model file: nowhere.onnx"),
    ],
)
def test_resolve_what_is_not_there(weights, model, says):
    with pytest.raises(ModelError, match=says):
        store.resolve(model)

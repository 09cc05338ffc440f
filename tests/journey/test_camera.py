import http.server
import itertools
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from mien.errors import MissingExtraError, UnreadableError, UsageError
from mien.io import camera as camera_module
from mien.io.camera import Camera
from mien.io.live import place
from mien.types import Frame, Unreadable


def picture(k):
    return np.full((4, 6, 3), k, np.uint8)


def paced(count, seconds):
    """Pictures of grey levels 0, 1, ... that come `seconds` apart."""
    for k in range(count):
        yield picture(k % 256)
        time.sleep(seconds)


def shades(frames):
    return [int(frame.rgb[0, 0, 0]) for frame in frames]


def test_a_quick_reader_gets_every_frame():
    with Camera(lambda: paced(8, 0.05)) as camera:
        frames = list(camera)
    assert shades(frames) == [f.index for f in frames] == list(range(8))
    assert camera.dropped == 0
    assert frames[0].t_sec == 0.0 and frames[0].source == "<frames>"
    assert [f.t_sec for f in frames] == pytest.approx([k * 0.05 for k in range(8)], abs=0.1)
    assert (frames[0].width, frames[0].height) == (6, 4)


def test_a_slow_reader_gets_the_newest_and_knows_what_it_missed():
    taken = []
    with Camera(lambda: paced(60, 0.01)) as camera:
        for frame in camera:
            taken.append(frame)
            time.sleep(0.1)
    seen = shades(taken)
    assert seen == sorted(set(seen)) and seen[-1] == 59
    assert 3 <= len(seen) <= taken[-1].t_sec / 0.1 + 3
    assert camera.dropped == 60 - len(seen)


def test_what_is_handed_out_is_never_old():
    """The age of each frame as it is handed out, though the reader takes 0.15 s for each."""
    stamps = {}

    def source():
        for k in range(100):
            stamps[k] = time.monotonic()
            yield picture(k)
            time.sleep(0.01)

    ages = []
    for frame in Camera(source):
        ages.append(time.monotonic() - stamps[frame.index])
        time.sleep(0.15)
    assert len(ages) >= 4 and sorted(ages)[-2] < 0.2  # a busy machine may be late once


def test_fps_limits_what_is_handed_out():
    frames = list(Camera(lambda: paced(100, 0.01), fps=10))
    assert 5 <= len(frames) <= frames[-1].t_sec * 10 + 2
    assert shades(frames) == [f.index for f in frames]


def test_max_seconds_ends_it_also_when_nothing_comes():
    def stalls():
        yield picture(1)
        time.sleep(0.6)
        yield picture(2)

    begun = time.monotonic()
    assert shades(Camera(stalls, max_seconds=0.2)) == [1]
    assert time.monotonic() - begun < 2.5
    frames = list(Camera(lambda: paced(1000, 0.01), max_seconds=0.3))
    assert frames[-1].t_sec < 0.3


def test_silence_ends_it_with_a_word():
    def silent():
        yield picture(1)
        time.sleep(1.0)

    first, last = Camera(silent, timeout=0.2)
    assert isinstance(first, Frame)
    assert isinstance(last, Unreadable) and "no picture for 0.2 s" in last.reason


def test_a_lost_source_is_connected_to_anew(monkeypatch):
    monkeypatch.setattr(camera_module, "_FIRST_PAUSE", 0.02)
    connections = itertools.count()

    def source():
        k = next(connections)
        if k == 1:
            raise UnreadableError("x", "still away")
        yield picture(10 * k)
        time.sleep(0.05)
        yield picture(10 * k + 1)
        time.sleep(0.05)
        if k < 3:
            raise OSError("gone")

    camera = Camera(source, tries=2)
    frames = list(camera)
    assert shades(frames) == [0, 1, 20, 21, 30, 31]
    assert [f.index for f in frames] == list(range(6))  # one count over all connections
    assert all(np.diff([f.t_sec for f in frames]) > 0)
    assert camera.reconnects == 3


def test_tries_are_bounded_and_spaced(monkeypatch):
    monkeypatch.setattr(camera_module, "_FIRST_PAUSE", 0.05)
    attempts = []

    def source():
        attempts.append(time.monotonic())
        if len(attempts) > 1:
            raise UnreadableError("x", "still away")
        yield picture(1)
        raise UnreadableError("x", "cable cut")

    first, last = Camera(source, tries=3)
    assert shades([first]) == [1]
    assert last == Unreadable("<frames>", "still away (tried 3 times anew)")
    assert len(attempts) == 4
    # 0.05, 0.1, 0.2 seconds, at the least.
    assert all(gap >= least for gap, least in zip(np.diff(attempts), (0.05, 0.1, 0.2), strict=True))


def test_without_tries_the_first_loss_is_the_last():
    def source():
        yield picture(1)
        raise OSError("unplugged")

    assert list(Camera(source))[-1] == Unreadable("<frames>", "unplugged")


def test_an_error_of_the_source_itself_does_not_hang_the_reader():
    def source():
        yield picture(1)
        raise ZeroDivisionError

    silenced, threading.excepthook = threading.excepthook, lambda _: None
    try:
        last = list(Camera(source))[-1]
    finally:
        threading.excepthook = silenced
    assert isinstance(last, Unreadable) and "error of this program" in last.reason


def test_closing_stops_the_thread_and_the_source():
    closed = threading.Event()

    def source():
        try:
            yield from paced(10_000, 0.01)
        finally:
            closed.set()

    with Camera(source) as camera:
        assert shades(itertools.islice(camera, 2))[0] == 0
    assert closed.wait(2)
    assert list(camera) == []
    assert not [t for t in threading.enumerate() if t.name == "<frames>"]


def test_places():
    assert place(0).name == "camera:0" == place("0").name
    assert place("/dev/video2").kind == "camera"
    assert place("video=Integrated Camera").kind == "camera"
    secret = place("rtsp://me:secret@10.0.0.5:554/live?x=1")
    assert secret.name == "rtsp://10.0.0.5:554/live?x=1" and "secret" in secret.address
    with pytest.raises(UsageError, match="give a camera's number such as 0"):
        place("no-such-file.mp4")
    with pytest.raises(UsageError):
        Camera(-1)
    with pytest.raises(UsageError, match="above 0"):
        Camera(0, fps=0)


def test_no_such_camera_says_what_there_is():
    pytest.importorskip("av")
    if sys.platform != "linux":
        pytest.skip("names devices as Linux does")
    with pytest.raises(
        UnreadableError, match=r"camera:977: no such camera: .*(there are|has none)"
    ):
        list(Camera(977))


def test_a_device_that_is_no_camera():
    pytest.importorskip("av")
    if sys.platform != "linux":
        pytest.skip("names devices as Linux does")
    with pytest.raises(UnreadableError, match=r"/dev/null gives no pictures .* another number"):
        Camera("/dev/null").start()


def test_a_stream_that_is_not_there():
    pytest.importorskip("av")
    with pytest.raises(UnreadableError, match=r"http://127.0.0.1:9/: cannot be reached") as caught:
        list(Camera("http://me:secret@127.0.0.1:9/", timeout=2))
    assert "secret" not in str(caught.value)


def test_without_pyav_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"mien\[video\]"):
        Camera(0).start()


def test_a_file_is_played_in_real_time(tmp_path):
    pytest.importorskip("av")
    from synthetic_video import number, write_video

    path = tmp_path / "a.mkv"
    pts = [5000, 5100, 5200, 5300, 5700, 5800]
    write_video(path, range(6), pts=pts, time_base=Fraction(1, 1000))
    frames = list(Camera(path))
    assert [number(f.rgb) for f in frames] == [f.index for f in frames] == list(range(6))
    expected = [(p - pts[0]) / 1000 for p in pts]
    assert [f.t_sec for f in frames] == pytest.approx(expected, abs=0.09)
    assert frames[0].source == str(path)


@pytest.fixture
def motion_jpeg():
    """A server that sends each caller five numbered pictures as motion JPEG, and hangs up."""
    pytest.importorskip("av")
    import io

    from PIL import Image
    from synthetic_video import numbered

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for k in range(5):
                file = io.BytesIO()
                Image.fromarray(numbered(k)).save(file, "JPEG")
                content = file.getvalue()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n"
                self.wfile.write(head.encode() + b"\r\n" + content + b"\r\n")
                time.sleep(0.05)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_stream_is_read_and_connected_to_anew(motion_jpeg, monkeypatch):
    from synthetic_video import number

    monkeypatch.setattr(camera_module, "_FIRST_PAUSE", 0.02)
    with Camera(motion_jpeg, timeout=3) as camera:
        frames = list(itertools.islice(camera, 7))
    assert camera.name == motion_jpeg and camera.reconnects >= 1
    numbers = [number(f.rgb) for f in frames]
    assert min(np.diff(numbers)) < 0 and set(numbers) <= set(range(5))

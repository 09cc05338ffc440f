"""`mien video`, `mien camera` and videos in `mien analyze`, run as a user runs them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from synthetic_people import walk

from mien.labels import EIGHT
from mien.report.table import COLUMNS, VIDEO_COLUMNS

av = pytest.importorskip("av")
from synthetic_video import packet_times, write_video  # noqa: E402

pytestmark = pytest.mark.journey

MIEN = [sys.executable, "-m", "mien.cli.main"]
FRAMES = 50


def mien(*words, cwd=None, timeout=300):
    return subprocess.run(
        [*MIEN, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=timeout
    )


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def clip(tmp_path_factory, examples):
    """A smiling head that walks for two seconds and is not there on the last ten frames."""
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    pictures = walk(examples / "obama.jpg", FRAMES, gone=range(40, 50))
    write_video(path, pictures, sound="aac")
    return path


@pytest.fixture(scope="module")
def out(clip, tmp_path_factory):
    """Everything that one call can write."""
    folder = tmp_path_factory.mktemp("out")
    done = mien(
        "video", clip, "--csv", "t.csv", "--jsonl", "t.jsonl", "--parquet", "t.parquet",
        "--draw", "drawn.mp4", "--srt", "t.srt", "--report", "report.html", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} frames, 40 faces, 1 people" in done.stderr
    assert "happiness 100 %" in done.stdout
    return folder


def test_a_row_per_face_and_frame_with_the_containers_times(out, clip):
    rows = rows_of(out / "t.csv")
    assert list(rows[0]) == list(VIDEO_COLUMNS)
    assert list(VIDEO_COLUMNS[: len(COLUMNS)]) == list(COLUMNS)
    assert [int(r["frame"]) for r in rows] == list(range(FRAMES))
    assert [float(r["t_sec"]) for r in rows] == pytest.approx(packet_times(clip), abs=1e-6)
    assert [r["status"] for r in rows] == ["ok"] * 40 + ["no_face"] * 10
    assert {r["face_id"] for r in rows} == {"0", ""}


def test_raw_and_smoothed_readings(out):
    for row in rows_of(out / "t.csv")[:40]:
        assert row["smooth_expression"] == "happiness"
        for start in ("", "smooth_"):
            assert sum(float(row[start + label]) for label in EIGHT) == pytest.approx(1, abs=1e-3)


def test_all_formats_say_the_same(out):
    rows = rows_of(out / "t.csv")
    objects = [json.loads(line) for line in (out / "t.jsonl").read_text().splitlines()]
    assert [o["frame"] for o in objects] == [int(r["frame"]) for r in rows]
    told = [o["faces"][0]["smoothed"]["probabilities"]["happiness"] for o in objects[:40]]
    assert told == [float(r["smooth_happiness"]) for r in rows[:40]]
    table = pytest.importorskip("pandas").read_parquet(out / "t.parquet")
    assert list(table.columns) == list(VIDEO_COLUMNS)
    assert table["happiness"].head(40).tolist() == [float(r["happiness"]) for r in rows[:40]]
    assert not list(out.glob("*.part*"))


def test_the_annotated_clip_has_pictures_times_and_sound(out, clip):
    with av.open(str(out / "drawn.mp4")) as drawn:
        video = drawn.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 200, 150)
        assert drawn.streams.audio
        frames = [f.time for f in drawn.decode(video=0)]
    assert frames == pytest.approx(packet_times(clip), abs=1e-3)


def test_subtitles_and_report(out):
    assert (out / "t.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:01,600\nhappiness")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Person 0" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_threads_change_nothing(out, clip, tmp_path):
    done = mien("video", clip, "--csv", tmp_path / "one.csv", "--one-thread", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "one.csv").read_bytes() == (out / "t.csv").read_bytes()


def test_the_table_on_stdout(clip):
    done = mien("video", clip, "--csv", "-", "--every", "10", "--quiet")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [int(r["frame"]) for r in rows] == [0, 10, 20, 30, 40]


def test_a_file_that_ends_early_gives_what_it_can_and_says_where(clip, tmp_path):
    broken = tmp_path / "broken.mkv"
    with av.open(str(clip)) as source, av.open(str(broken), "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    done = mien("video", broken, "--csv", tmp_path / "t.csv")
    rows = rows_of(tmp_path / "t.csv")
    assert done.returncode == 1
    assert rows[-1]["status"] == "unreadable" and rows[-1]["error"]
    assert str(broken) in done.stderr
    assert 5 < sum(r["status"] == "ok" for r in rows) < 45


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.mp4"], "no such file"),
        (["{photo}"], "not a video|no video"),
        (["{clip}", "--csv", "-", "--jsonl", "-"], "stdout"),
        (["{clip}", "--start", "2", "--end", "1"], "before"),
        (["{clip}", "--gap", "-1"], "gap"),
    ],
)
def test_wrong_inputs_are_told(words, told, clip, examples):
    filled = [w.format(clip=clip, photo=examples / "obama.jpg") for w in words]
    done = mien("video", *filled)
    assert done.returncode in (1, 2)
    assert any(part in done.stderr for part in told.split("|")), done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory, examples):
    """Ten seconds: long enough to be stopped in the middle."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    write_video(path, walk(examples / "obama.jpg", 60) * 10, options={"preset": "ultrafast"})
    return path


def run_until_rows(clip, table, *words):
    """Start the command and wait until its table has some rows."""
    process = subprocess.Popen(
        [*MIEN, "video", str(clip), "--csv", str(table), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    part = table.with_name(table.name + ".part")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if part.exists() and part.read_bytes().count(b"\n") > 40:
            return process
        time.sleep(0.01)
    pytest.fail("no rows were written in time, or the clip was read to its end")
    return None


def test_killed_in_the_middle_every_finished_row_can_be_read(long_clip, tmp_path):
    process = run_until_rows(long_clip, tmp_path / "t.csv", "--detect-every", "1")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    rows = rows_of(tmp_path / "t.csv.part")
    assert [int(r["frame"]) for r in rows] == list(range(len(rows))) and len(rows) >= 40
    assert all(r["model"] == "mien-small" for r in rows)


def test_ctrl_c_leaves_finished_files(long_clip, tmp_path):
    report = tmp_path / "report.html"
    process = run_until_rows(
        long_clip, tmp_path / "t.csv", "--detect-every", "1", "--report", str(report)
    )
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in stderr
    assert 40 <= len(rows_of(tmp_path / "t.csv")) < 600
    assert report.exists() and not list(tmp_path.glob("*.part"))


def test_analyze_takes_videos_among_photos(clip, examples, tmp_path):
    done = mien(
        "analyze", examples / "biden.jpg", clip, "-o", tmp_path / "all.csv", "--draw", tmp_path
    )
    rows = rows_of(tmp_path / "all.csv")
    assert done.returncode == 0 and "1 photos, 50 frames, 41 faces" in done.stderr
    assert list(rows[0]) == list(COLUMNS)
    assert [r["t_sec"] for r in rows][:2] == ["", "0.0"]
    assert len(rows) == 1 + FRAMES
    assert (tmp_path / "walk.mp4").exists() and (tmp_path / "biden.jpg").exists()


def test_a_camera_is_read_live_and_never_lags(clip, tmp_path):
    """The clip, two seconds long, is played in real time."""
    start = time.monotonic()
    done = mien("camera", clip, "--csv", tmp_path / "live.csv", "--max-seconds", "1.5")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 20
    rows = rows_of(tmp_path / "live.csv")
    times = [float(r["t_sec"]) for r in rows]
    assert times == sorted(times) and times[-1] <= 1.7
    assert {r["face_id"] for r in rows if r["status"] == "ok"} == {"0"}


def test_a_camera_that_is_not_there():
    done = mien("camera", "77")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "77" in done.stderr

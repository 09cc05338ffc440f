import sys
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

from synthetic_video import (  # noqa: E402
    cornered,
    frame_times,
    number,
    numbered,
    packet_times,
    write_video,
)

from mien.errors import MienError, MissingExtraError, UnreadableError, UsageError  # noqa: E402
from mien.io.clip import ClipWriter, h264_encoder  # noqa: E402
from mien.io.video import probe, read_video  # noqa: E402


def write(path, times, **chosen):
    """A clip of numbered pictures at these times."""
    with ClipWriter(path, 96, 64, **chosen) as clip:
        for k, t in enumerate(times):
            clip.write(numbered(k), t)
    return clip


def stream_of(path, kind="video"):
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return {
            "codec": stream.codec.canonical_name,
            "format": getattr(stream, "pix_fmt", None),
            "end": stream.duration
            and float(((stream.start_time or 0) + stream.duration) * stream.time_base),
        }


def loudness(path):
    """Seconds and mean level of the sound, decoded."""
    with av.open(str(path)) as container:
        frames = [
            (f.time, f.samples / f.sample_rate, np.abs(f.to_ndarray()).mean())
            for f in container.decode(audio=0)
        ]
    return frames[0][0], sum(length for _, length, _ in frames), frames


def test_a_clip_is_what_browsers_play(tmp_path):
    path = tmp_path / "new" / "a.mp4"
    write(path, [k / 25 for k in range(20)])
    assert stream_of(path)["codec"] == "h264" and stream_of(path)["format"] == "yuv420p"
    content = path.read_bytes()
    assert content[4:8] == b"ftyp" and content.index(b"moov") < content.index(b"mdat")
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]
    assert [number(f.rgb) for f in read_video(path)] == list(range(20))


@pytest.mark.parametrize(
    "times",
    [
        [k / 30 for k in range(40)],
        [0.0, 0.01, 0.5, 0.533, 2.0, 2.04],  # variable
        [0.852 + k / 24 for k in range(30)],  # late, as some cameras' files are
        [3.0],
    ],
)
def test_the_times_are_those_given(tmp_path, times):
    path = tmp_path / "a.mp4"
    write(path, times)
    found = list(read_video(path))
    assert [f.t_sec for f in found] == pytest.approx(times, abs=1 / 90_000)
    assert [number(f.rgb) for f in found] == list(range(len(times)))
    last = times[-1] - times[-2] if len(times) > 1 else 0.04
    assert stream_of(path)["end"] == pytest.approx(times[-1] + last, abs=0.001)


def test_times_and_length_of_a_source_are_kept(tmp_path):
    source, path = tmp_path / "a.mkv", tmp_path / "b.mp4"
    pts = [0, 33, 67, 100, 400, 433, 467, 1500, 1533]
    write_video(source, range(9), pts=pts, time_base=Fraction(1, 1000))
    with ClipWriter(path, 96, 64, sound=source) as clip:
        for frame in read_video(source):
            clip.write(frame.rgb, frame.t_sec)
    assert clip.note is None  # a source without sound is no fault
    assert frame_times(path) == pytest.approx(frame_times(source), abs=1e-5)
    assert probe(path).duration == pytest.approx(1.566, abs=0.034)


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [
        ("a.mp4", "aac", True), ("a.ts", "aac", True), ("a.mkv", "libmp3lame", True),
        ("a.mkv", "ac3", False), ("a.webm", "libopus", True), ("a.mkv", "pcm_s16le", False),
        ("a.mkv", "flac", False),
    ],
)  # fmt: skip
def test_the_sound_goes_along(tmp_path, name, codec, kept):
    source, path = tmp_path / name, tmp_path / "b.mp4"
    video = "libvpx" if name.endswith("webm") else "libx264"
    write_video(source, range(50), sound=codec, codec=video)
    frames = list(read_video(source))
    with ClipWriter(path, 96, 64, sound=source) as clip:
        for frame in frames:
            clip.write(frame.rgb, frame.t_sec)
    before, after = stream_of(source, "audio")["codec"], stream_of(path, "audio")["codec"]
    assert after == (before if kept else "aac")
    assert frame_times(path) == pytest.approx([f.t_sec for f in frames], abs=1e-5)
    began, seconds, parts = loudness(source)
    clip_began, clip_seconds, clip_parts = loudness(path)
    assert clip_began == pytest.approx(began, abs=0.03)  # in step with the pictures
    assert clip_seconds == pytest.approx(2.0, abs=0.09) == pytest.approx(seconds, abs=0.09)
    middle = clip_parts[len(clip_parts) // 2][2]
    assert middle == pytest.approx(parts[len(parts) // 2][2], rel=0.4) or not kept
    assert middle > 0


def test_copied_packets_keep_their_times(tmp_path):
    source, path = tmp_path / "a.mp4", tmp_path / "b.mp4"
    times = write_video(source, range(50), sound="aac")
    write(path, times, sound=source)
    kept = packet_times(path, "audio")
    assert kept == pytest.approx(packet_times(source, "audio")[: len(kept)], abs=1e-6)
    assert len(kept) >= 90


def test_sound_ends_with_the_pictures(tmp_path):
    source, path = tmp_path / "a.mkv", tmp_path / "b.mp4"
    write_video(source, range(100), sound="aac", sound_seconds=4)
    write(path, [k / 25 for k in range(25)], sound=source)
    assert loudness(path)[1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_part_of_a_source_begins_at_zero_with_its_sound(tmp_path, codec):
    source, path = tmp_path / "a.mkv", tmp_path / "b.mp4"
    write_video(source, range(100), sound=codec)
    with ClipWriter(path, 96, 64, sound=source, offset=2.0) as clip:
        for frame in read_video(source, start=2.0, end=3.0):
            clip.write(frame.rgb, frame.t_sec)
    found = list(read_video(path))
    assert [number(f.rgb) for f in found] == list(range(50, 75))
    assert found[0].t_sec == pytest.approx(0, abs=1e-5)
    began, seconds, _ = loudness(path)
    assert began == pytest.approx(0, abs=0.03) and seconds == pytest.approx(1.0, abs=0.06)


def test_odd_sizes_are_padded_and_noted(tmp_path):
    path = tmp_path / "a.mp4"
    with ClipWriter(path, 101, 67) as clip:
        for k in range(3):
            clip.write(cornered(101, 67), k / 25)
    assert clip.note == "101 x 67 is padded to 102 x 68, since browsers play even sizes alone"
    frame = next(read_video(path))
    assert frame.rgb.shape == (68, 102, 3)
    assert np.abs(frame.rgb[:67, :101].astype(int) - cornered(101, 67)).mean() < 6
    assert np.abs(frame.rgb[:, 101].astype(int) - frame.rgb[:, 100]).mean() < 6


def test_a_picture_of_another_size_is_scaled(tmp_path):
    path = tmp_path / "a.mp4"
    with ClipWriter(path, 96, 64) as clip:
        clip.write(numbered(5), 0)
        clip.write(numbered(6, 192, 128), 0.04)
    assert [number(f.rgb) for f in read_video(path)] == [5, 6]


def test_colours_come_back(tmp_path):
    path = tmp_path / "a.mp4"
    with ClipWriter(path, 128, 64, quality=4) as clip:
        clip.write(cornered(128, 64), 0)
    [frame] = read_video(path)
    inner = np.ones((64, 128), bool)
    inner[26:38] = inner[:, 58:70] = False
    assert np.abs(frame.rgb[inner].astype(int) - cornered(128, 64)[inner]).max() <= 8


def test_the_picture_may_change_after_it_was_written(tmp_path):
    path, rgb = tmp_path / "a.mp4", numbered(7).copy()
    with ClipWriter(path, 96, 64) as clip:
        clip.write(rgb, 0)
        rgb[:] = numbered(1)
        clip.write(rgb, 0.04)
    assert [number(f.rgb) for f in read_video(path)] == [7, 1]


def test_times_must_not_run_backwards(tmp_path):
    path = tmp_path / "a.mp4"
    with ClipWriter(path, 96, 64) as clip:
        clip.write(numbered(0), 1.0)
        clip.write(numbered(1), 1.0)
        with pytest.raises(UsageError, match=r"a frame at 0\.500000 s after one at 1\.0000"):
            clip.write(numbered(2), 0.5)
    assert np.diff(frame_times(path)) == pytest.approx([1 / 90_000], abs=1e-9)


def test_nothing_takes_the_files_place_before_it_is_whole(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("the one before")
    with pytest.raises(ZeroDivisionError), ClipWriter(path, 96, 64) as clip:
        clip.write(numbered(0), 0)
        clip.write(numbered(1), 0.04)
        raise ZeroDivisionError
    assert path.read_text() == "the one before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.mp4.part"]
    clip.close()  # nothing more happens
    assert path.read_text() == "the one before"


def test_a_clip_without_pictures_is_none(tmp_path):
    with pytest.raises(UsageError, match="no picture was written"):
        ClipWriter(tmp_path / "a.mp4", 96, 64).close()
    assert not (tmp_path / "a.mp4").exists()


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="it is a folder"):
        ClipWriter(tmp_path, 96, 64)
    with pytest.raises(UsageError, match="cannot write"):
        ClipWriter(tmp_path / "file" / "a.mp4", 96, 64)
    with pytest.raises(UsageError, match="quality"):
        ClipWriter(tmp_path / "a.mp4", 96, 64, quality=52)
    with pytest.raises(UnreadableError, match="no such file"):
        ClipWriter(tmp_path / "a.mp4", 96, 64, sound=tmp_path / "nothing.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_without_an_encoder_it_is_said(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4", "libopenh264"})
    assert h264_encoder() == "libopenh264"
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with pytest.raises(MienError, match=r"without an H.264 encoder"):
        h264_encoder()


def test_without_pyav_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"annotated clips .*mien\[video\]"):
        ClipWriter(tmp_path / "a.mp4", 96, 64)

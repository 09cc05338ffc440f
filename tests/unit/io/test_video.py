import gc
import itertools
import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

from synthetic_video import (  # noqa: E402
    cornered,
    corners,
    frame_times,
    number,
    packet_times,
    write_video,
)

from mien.errors import MissingExtraError, UnreadableError, UsageError  # noqa: E402
from mien.io.container import quarter_turns, upright  # noqa: E402
from mien.io.video import VideoInfo, probe, read_video  # noqa: E402
from mien.types import Frame, Unreadable  # noqa: E402


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def plain(clips):
    """100 numbered frames, 25 a second, key frames eight apart, the index in front."""
    path = clips / "plain.mp4"
    write_video(path, range(100), container_options={"movflags": "+faststart"})
    return path


def read(path, **chosen):
    """The frames of a video as (index, the number in the picture, time); nothing may be wrong."""
    found = list(read_video(path, threads="NONE", **chosen))
    assert [item for item in found if isinstance(item, Unreadable)] == []
    return [(frame.index, number(frame.rgb), frame.t_sec) for frame in found]


def reasons(items):
    return [item.reason for item in items if isinstance(item, Unreadable)]


def only_reason(path, **chosen):
    [item] = read_video(path, **chosen)
    assert item.source == os.fspath(path)
    return item.reason


def test_every_frame_is_the_one_it_says_with_the_containers_time(plain):
    found = read(plain)
    assert [(index, shown) for index, shown, _ in found] == [(k, k) for k in range(100)]
    times = [t for _, _, t in found]
    assert times == pytest.approx([k / 25 for k in range(100)], abs=1e-9)
    assert times == pytest.approx(frame_times(plain), abs=1e-9)


def test_a_frame_is_a_read_only_rgb_picture(plain):
    frame = next(read_video(plain))
    assert frame.source == str(plain) and (frame.width, frame.height, frame.scale) == (96, 64, 1.0)
    assert frame.rgb.shape == (64, 96, 3) and frame.rgb.dtype == np.uint8
    assert frame.rgb.flags.c_contiguous and not frame.rgb.flags.writeable


def test_what_a_video_says_of_itself(plain):
    assert probe(plain) == VideoInfo(
        path=str(plain), width=96, height=64, fps=25.0, duration=4.0, frames=100, rotation=0,
        codec="h264", has_audio=False, start=0.0,
    )  # fmt: skip


def test_threads_change_nothing(plain):
    every_way = [
        [(f.index, f.t_sec, f.rgb.tobytes()) for f in read_video(plain, **how)]
        for how in (
            {},
            {"threads": "FRAME", "thread_count": 3},
            {"threads": "SLICE", "thread_count": 2},
            {"threads": "NONE"},
        )
    ]
    assert len(every_way[0]) == 100
    assert all(way == every_way[0] for way in every_way)


def test_a_variable_rate_keeps_its_own_times(clips):
    pts = [900, 1000, 1300, 20000, 20330]
    path = clips / "variable.mp4"
    write_video(path, range(5), pts=pts, time_base=Fraction(1, 10007))
    found = read(path)
    assert [(index, shown) for index, shown, _ in found] == [(k, k) for k in range(5)]
    times = [t for _, _, t in found]
    assert times == pytest.approx(frame_times(path), abs=1e-9)
    assert times == pytest.approx(packet_times(path), abs=1e-6)
    assert np.diff(times) == pytest.approx(np.diff(pts) / 10007, abs=1e-9)


def test_millisecond_times_of_matroska(clips):
    path = clips / "variable.mkv"
    pts = [0, 17, 50, 51, 1999]
    write_video(path, range(5), pts=pts, time_base=Fraction(1, 1000))
    assert read(path) == [(k, k, pytest.approx(t / 1000)) for k, t in enumerate(pts)]


@pytest.mark.parametrize("name", ["late.ts", "late.mkv", "late.mp4"])
def test_a_late_start_is_not_shifted_to_zero(clips, name):
    path = clips / name
    pts = [90_000 * 7 + 3600 * k for k in range(20)]
    write_video(path, range(20), pts=pts, time_base=Fraction(1, 90_000))
    found = read(path)
    assert [shown for _, shown, _ in found] == list(range(20))
    assert found[0][2] >= 7.0
    assert [t for _, _, t in found] == pytest.approx(packet_times(path), abs=1e-6)
    info = probe(path)
    assert info.start == found[0][2]
    if name != "late.mp4":  # there the pause before counts as a part
        assert info.duration == pytest.approx(0.8, abs=0.041)


def test_a_stream_without_times_gets_those_of_its_rate(clips):
    path = clips / "bare.h264"
    write_video(path, range(30))
    assert frame_times(path)[0] is None
    assert read(path) == [(k, k, pytest.approx(k / 25)) for k in range(30)]
    assert probe(path).duration is None and probe(path).frames is None


def test_where_only_decoding_times_are_those_stand_in(clips):
    path = clips / "old.avi"
    write_video(path, range(20), codec="mpeg4", time_base=Fraction(1, 25))
    assert read(path) == [(k, k, pytest.approx(k / 25)) for k in range(20)]


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_turned_upright(clips, degrees, mirrored):
    path = clips / f"turned{degrees}{mirrored}.mp4"
    write_video(path, [cornered(96, 64)] * 2, turn=(degrees, mirrored, False))
    # What a player shows: turned against the clock, then mirrored.
    seen = np.rot90(cornered(96, 64), degrees // 90)
    seen = seen[:, ::-1] if mirrored else seen
    frame = next(read_video(path))
    assert corners(frame.rgb) == corners(seen)
    assert np.abs(frame.rgb.astype(int) - seen).mean() < 6
    assert (frame.height, frame.width) == frame.rgb.shape[:2] == seen.shape[:2]
    info = probe(path)
    assert (info.height, info.width) == seen.shape[:2]
    if not mirrored:
        assert info.rotation == -degrees % 360


def test_a_phones_upright_video(clips):
    """The matrix as phones write it, put into the file's bytes: a quarter turn clockwise."""
    path = clips / "phone.mp4"
    write_video(path, [cornered(96, 64)] * 2)
    content = path.read_bytes()
    one, none, last = (n.to_bytes(4, "big", signed=True) for n in (65536, 0, 1 << 30))
    minus = (-65536).to_bytes(4, "big", signed=True)
    identity = one + none * 3 + one + none * 3 + last
    turned = none + one + none + minus + none * 2 + (64 << 16).to_bytes(4, "big") + none + last
    place = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:place] + turned + content[place + 36 :])
    assert (probe(path).width, probe(path).height, probe(path).rotation) == (64, 96, 90)
    [first, _] = read_video(path)
    # The left side of the stored picture is at the top, its bottom to the left.
    assert corners(first.rgb) == ["bottom left", "top left", "bottom right", "top right"]


def test_a_matrix_that_turns_askew_is_taken_to_the_nearest_quarter():
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    askew = (int(65536 * 0.17), int(65536 * 0.98), -int(65536 * 0.98), int(65536 * 0.17))
    assert quarter_turns(askew) == 90
    assert upright(picture, askew)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p"), ("libx264", "yuv444p"), ("libx264", "yuvj420p"),
        ("libx264", "yuv420p10le"), ("ffv1", "yuv422p10le"), ("ffv1", "gray"), ("ffv1", "bgr0"),
    ],
)  # fmt: skip
def test_any_pixel_format_becomes_the_same_rgb(clips, codec, pix_fmt):
    path = clips / f"{codec}-{pix_fmt}.mkv"
    picture = cornered(128, 64)
    options = {"crf": "8"} if codec == "libx264" else {}
    write_video(path, [picture] * 2, codec=codec, pix_fmt=pix_fmt, options=options)
    if pix_fmt == "gray":  # luma of ITU-R BT.601
        luma = picture @ np.array([0.299, 0.587, 0.114])
        picture = np.repeat(luma[..., None], 3, axis=2)
    [frame, _] = read_video(path)
    inner = np.ones((64, 128), bool)
    inner[26:38] = inner[:, 58:70] = False  # colours run where the quarters meet
    assert np.abs(frame.rgb[inner].astype(int) - picture[inner]).max() <= 8


def test_odd_sizes_have_no_padding_in_them(clips):
    path = clips / "odd.mkv"
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (67, 101, 3), dtype=np.uint8) for _ in range(3)]
    write_video(path, pictures, codec="ffv1", pix_fmt="bgr0")
    found = list(read_video(path))
    assert (found[0].width, found[0].height) == (101, 67)
    for frame, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(frame.rgb, picture)


def test_every_takes_multiples(plain):
    assert [i for i, _, _ in read(plain, every=3)] == list(range(0, 100, 3))
    assert [(i, k) for i, k, _ in read(plain, every=40)] == [(0, 0), (40, 40), (80, 80)]


def test_a_span_keeps_the_files_indices_and_times(plain):
    assert read(plain, start=1.0, end=1.2) == [
        (k, k, pytest.approx(k / 25)) for k in (25, 26, 27, 28, 29)
    ]
    assert [i for i, _, _ in read(plain, every=10, start=2.01)] == [60, 70, 80, 90]
    assert [i for i, _, _ in read(plain, end=0.1)] == [0, 1, 2]
    assert read(plain, start=3.9) == read(plain)[98:]


def nearest(times, fps):
    """For each point of a grid from the first time on, the nearest time; the earlier of two.

    The grid ends half a frame behind the last time.
    """
    end = times[-1] + (times[-1] - times[-2]) / 2
    points = times[0] + np.arange(1000) / fps
    points = points[points <= end + 1e-6]
    return sorted({int(np.argmin(np.round(np.abs(np.array(times) - p), 7))) for p in points})


@pytest.mark.parametrize("fps", [1, 2, 3, 7.5, 10, 12.5, 24, 25, 60])
def test_a_grid_takes_the_nearest_frames_once(plain, fps):
    times = frame_times(plain)
    found = read(plain, fps=fps)
    assert [i for i, _, _ in found] == [k for _, k, _ in found]
    assert [i for i, _, _ in found] == nearest(times, fps)


def test_a_grid_on_a_variable_rate_goes_by_time(clips):
    path = clips / "grid.mkv"
    pts = [500, 510, 530, 980, 1020, 1500, 3490, 3520, 3999]
    write_video(path, range(9), pts=pts, time_base=Fraction(1, 1000))
    # Points 0.5, 1.0, 1.5, ... 4.0: 0.98 and 1.02 are as near to 1.0, 1.5 serves 1.5 to 2.0.
    assert [i for i, _, _ in read(path, fps=2)] == nearest([t / 1000 for t in pts], 2)
    assert [i for i, _, _ in read(path, fps=2)] == [0, 3, 5, 6, 8]
    assert [i for i, _, _ in read(path, fps=2, start=1.2, end=3.6)] == [5, 6]


def test_a_span_without_frames_says_so(plain):
    reason = only_reason(plain, start=100.0, end=110.0)
    assert "between 100 s and 110 s" in reason and "0.000 s to 3.960 s" in reason
    reason = only_reason(plain, start=1.001, end=1.01)
    assert "between 1.001 s and 1.01 s" in reason


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"every": 0}, "every=0"),
        ({"fps": 0}, "above 0"),
        ({"fps": float("nan")}, "above 0"),
        ({"fps": 5, "every": 2}, "give one of them"),
        ({"start": 3.0, "end": 3.0}, "not before"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(plain, chosen, words):
    with pytest.raises(UsageError, match=words):
        read_video(plain, **chosen)


def test_a_truncated_file_gives_what_it_has_and_says_where_it_broke_off(plain, clips):
    path = clips / "cut.mp4"
    content = plain.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    *frames, last = read_video(path)
    kept = [(f.index, number(f.rgb)) for f in frames]
    assert kept == [(k, k) for k in range(len(frames))] and 10 < len(frames) < 90
    t = frames[-1].t_sec
    assert last.reason.startswith(
        f"broke off after {t:.3f} s (frame {len(frames) - 1} of about 100): "
    )


def test_a_truncated_matroska_file_is_known_by_the_length_it_promised(clips):
    path = clips / "cut.mkv"
    write_video(path, range(100))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    *frames, last = read_video(path)
    # The last ones depend on ones that are gone, but each is the one of its time.
    assert [number(f.rgb) for f in frames] == [round(f.t_sec * 25) for f in frames]
    assert 20 < len(frames) < 80 and f"frame {len(frames) - 1} of about 100" in last.reason
    assert "promises pictures up to 4.000 s" in last.reason


def test_a_recording_that_was_never_finished_has_no_index(clips):
    path = clips / "unfinished.mp4"
    write_video(path, range(50))
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moov") - 4])
    assert "its index is missing or damaged" in only_reason(path)
    with pytest.raises(UnreadableError, match="was not finished"):
        probe(path)


def spoilt(plain, path, first, last):
    """The plain clip with the bytes of the packets of frames first..last, by position, spoilt."""
    content = bytearray(plain.read_bytes())
    with av.open(str(plain)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        spans = [(p.pos, p.size) for p in packets]
    start, end = spans[first][0], sum(spans[last])
    content[start:end] = np.random.default_rng(3).bytes(end - start)
    path.write_bytes(content)
    return path


def wrong(items):
    """The frames whose picture is not the one of its time, at 25 a second."""
    return [
        (item.t_sec, item.index)
        for item in items
        if isinstance(item, Frame) and number(item.rgb) != round(item.t_sec * 25)
    ]


@pytest.mark.parametrize("thread_count", [1, 3])
def test_a_corrupt_stretch_is_one_remark_and_no_wrong_pictures(plain, clips, thread_count):
    path = spoilt(plain, clips / f"spoilt{thread_count}.mp4", 41, 44)
    found = list(read_video(path, threads="FRAME", thread_count=thread_count))
    [place] = [i for i, item in enumerate(found) if isinstance(item, Unreadable)]
    frames = [item for item in found if isinstance(item, Frame)]
    assert wrong(frames) == []
    before, after = found[place - 1], found[place + 1]
    assert 36 <= number(before.rgb) <= 41 and number(after.rgb) == 48
    assert number(frames[-1].rgb) == 99
    assert found[place].reason.startswith(
        f"damaged between {before.t_sec:.3f} s (frame {before.index}) and 1.920 s, left out: "
    )
    assert [f.index for f in frames] == sorted({f.index for f in frames})


@pytest.mark.parametrize("thread_count", [1, 3])
@pytest.mark.parametrize("packet", [2, 5, 10, 17, 19, 33, 35, 38, 50, 62])
def test_no_wrong_picture_follows_one_spoilt_packet(plain, clips, packet, thread_count):
    path = spoilt(plain, clips / f"one{packet}-{thread_count}.mp4", packet, packet)
    found = list(read_video(path, threads="FRAME", thread_count=thread_count))
    assert wrong(found) == []
    [reason] = reasons(found)
    assert reason.startswith("damaged between ")
    frames = {number(f.rgb) for f in found if isinstance(f, Frame)}
    # Nothing is lost before the key frame before, and nothing from the second one behind.
    assert frames >= {*range(packet - 9), *range(packet + 18, 100)}


def test_two_corrupt_stretches_are_two_remarks(plain, clips):
    path = spoilt(plain, clips / "first.mp4", 16, 18)
    path = spoilt(path, clips / "both.mp4", 64, 66)
    found = list(read_video(path))
    assert len(reasons(found)) == 2
    frames = [item for item in found if isinstance(item, Frame)]
    assert {number(f.rgb) for f in frames} >= {*range(10), *range(24, 58), *range(72, 100)}
    # Asked for a span behind the first stretch, only the second is worth a word.
    assert len(reasons(read_video(path, start=2.0))) == 1
    assert len(reasons(read_video(path, start=0.6))) == 2
    assert len(reasons(read_video(path, fps=5))) == 2


def test_damage_at_the_beginning(plain, clips):
    head, remark, *frames = read_video(spoilt(plain, clips / "start.mp4", 1, 3), threads="NONE")
    assert number(head.rgb) == 0
    assert remark.reason.startswith("damaged between 0.000 s (frame 0) and 0.320 s, left out: ")
    assert [number(f.rgb) for f in frames] == list(range(8, 100))
    path = spoilt(plain, clips / "key.mp4", 0, 3)
    remark, *frames = read_video(path, threads="NONE")
    assert remark.reason.startswith("damaged between the start and 0.320 s, left out: ")
    assert [number(f.rgb) for f in frames] == list(range(8, 100))
    info = probe(path)
    assert (info.width, info.height, info.start) == (96, 64, 0.32)


def test_damage_up_to_the_end_is_where_it_broke_off(plain, clips):
    path = spoilt(plain, clips / "end.mp4", 86, 99)
    *frames, last = read_video(path)
    assert [number(f.rgb) for f in frames] == list(range(len(frames)))
    assert 80 <= len(frames) <= 87
    assert last.reason.startswith(f"broke off after {frames[-1].t_sec:.3f} s")


def test_what_is_no_video_is_one_remark_with_advice(clips, examples):
    (clips / "empty.mp4").touch()
    (clips / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (clips / "text.mkv").write_text("this is a text\n" * 50)
    (clips / "text.nfo").write_text("this is a text\n" * 50)
    photo = next(path for path in sorted(examples.iterdir()) if path.suffix in (".jpg", ".png"))
    assert only_reason(clips / "missing.mp4") == "no such file"
    assert only_reason(clips / "empty.mp4") == "the file is empty"
    assert "not a video mien can read (MP4, MOV" in only_reason(clips / "noise.mp4")
    assert "not a video" in only_reason(clips / "text.mkv")
    assert "not a video" in only_reason(clips / "text.nfo")
    assert "a picture or a text, not a video" in only_reason(photo)
    assert only_reason(clips) == "a folder, not a video"
    assert "cameras" in only_reason("rtsp://example.org/a")
    assert only_reason("a\0b.mp4") == "not a path a file can have"
    with pytest.raises(UnreadableError, match="no such file"):
        probe(clips / "missing.mp4")


def test_sound_without_pictures(clips):
    path = clips / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        track = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 4096), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate = 48000
        out.mux(track.encode(frame))
        out.mux(track.encode())
    assert only_reason(path) == "no video in it, only audio"


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n", "ffconcat version 1.0\n", "v=0\r\n"]
)
def test_playlists_are_refused_unopened(clips, text):
    path = clips / "list.m3u8"
    path.write_bytes(text.encode())
    assert only_reason(path) == "a playlist, not a video: give the files that it names"


def test_names_that_ffmpeg_would_take_for_protocols(clips, monkeypatch):
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    monkeypatch.chdir(clips)
    write_video("a.mp4", range(3))
    Path("a.mp4").rename("concat:x|y 100%.mp4")
    assert [k for _, k, _ in read("concat:x|y 100%.mp4")] == [0, 1, 2]


def test_without_pyav_the_extra_is_named(monkeypatch, plain):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"video files .*pip install 'mien\[video\]'"):
        read_video(plain)
    with pytest.raises(MissingExtraError):
        probe(plain)


def test_closing_ends_the_frames(plain):
    with read_video(plain, every=2) as frames:
        assert [frame.index for frame in itertools.islice(frames, 3)] == [0, 2, 4]
        assert frames.info.frames == 100
    assert list(frames) == []


def test_sound_is_noticed(clips):
    path = clips / "sound.mkv"
    write_video(path, range(10), sound="aac")
    assert probe(path).has_audio and [k for _, k, _ in read(path)] == list(range(10))


def test_memory_stays_flat(clips):
    """At no time more than a few frames are alive, however many are read."""
    import tracemalloc

    path = clips / "long.mkv"
    write_video(path, [cornered(320, 240)] * 120, codec="mpeg4", time_base=Fraction(1, 1000))
    frame_bytes = 320 * 240 * 3
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_video(path, threads="NONE"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 120 and peak < 8 * frame_bytes


@pytest.mark.data
def test_a_real_clip(media):
    path = media / "woman2.mp4"
    info = probe(path)
    assert (info.width, info.height, info.frames, info.codec) == (596, 336, 464, "h264")
    frames = [(f.index, f.t_sec) for f in read_video(path)]
    assert [index for index, _ in frames] == list(range(464))
    assert [t for _, t in frames] == pytest.approx(frame_times(path), abs=1e-6)
    assert info.duration == pytest.approx(46400 / 2997)


def test_a_frame_is_let_go_of_without_a_garbage_collection(tmp_path):
    """PyAV's frames form circles once their side data is asked for; then films fill the memory."""
    write_video(tmp_path / "a.mp4", list(range(20)))
    gc.collect()
    gc.disable()
    try:
        for _ in read_video(tmp_path / "a.mp4", threads="NONE"):
            pass
        left = [o for o in gc.get_objects() if type(o) is av.VideoFrame]
    finally:
        gc.enable()
    assert len(left) <= 2

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.io.sources import expand, is_video, open_source, read
from mien.types import Frame, Unreadable


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def photo(name, colour="red"):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), colour).save(path, "PNG")


def paths(*inputs, stdin=None):
    """What the inputs stand for, with / on every system; an unreadable one as (source, reason)."""
    found = expand(inputs, stdin=stdin)
    return [
        (item.source, item.reason) if isinstance(item, Unreadable) else item.replace(os.sep, "/")
        for item in found
    ]


def test_a_folder_gives_its_photos_in_natural_order_then_its_subfolders(here):
    touch("f/10.jpg", "f/2.JPG", "f/b.PnG", "f/A.webp", "f/x/1.tif", "f/x/y/0.gif", "f/w/9.bmp")
    touch("f/notes.txt", "f/jpg", "f/movie.mp4", "f/.hidden.jpg", "f/.git/a.jpg", "f/phone.heic")
    assert paths("f") == paths(Path("f")) == paths("f/") == [
        "f/2.JPG", "f/10.jpg", "f/A.webp", "f/b.PnG", "f/phone.heic",
        "f/w/9.bmp", "f/x/1.tif", "f/x/y/0.gif",
    ]  # fmt: skip


def test_inputs_keep_their_order_and_repeats(here):
    touch("b.jpg", "a.jpg", "f/c.jpg")
    assert paths("b.jpg", "f", "a.jpg", "b.jpg") == ["b.jpg", "f/c.jpg", "a.jpg", "b.jpg"]


def test_a_file_named_outright_is_taken_whatever_its_ending(here):
    touch("scan.dat", ".hidden.jpg", "./d/no-ending")
    given = ["scan.dat", ".hidden.jpg", "./d/no-ending"]
    assert paths(*given) == given


def test_folders_that_look_like_photos(here):
    touch("x.jpg/y.png/1.jpg", "empty.jpg/notes.txt")
    assert paths("x.jpg") == ["x.jpg/y.png/1.jpg"]
    [(source, reason)] = paths("empty.jpg")
    assert source == "empty.jpg" and reason.startswith("the folder holds no photos")


def test_links_to_folders_do_not_loop_and_links_to_photos_count(here):
    touch("f/a.jpg", "f/sub/b.jpg")
    try:
        Path("f/sub/up").symlink_to("..", target_is_directory=True)
        Path("f/self.jpg").symlink_to("self.jpg")
        Path("f/link.png").symlink_to("a.jpg")
    except OSError:
        pytest.skip("no symbolic links here")
    assert paths("f") == ["f/a.jpg", "f/link.png", "f/self.jpg", "f/sub/b.jpg"]
    assert paths("f/**/*.jpg") == ["f/a.jpg", "f/self.jpg", "f/sub/b.jpg"]
    assert isinstance(read("f/self.jpg"), Unreadable)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list anything")
def test_a_subfolder_that_cannot_be_listed_is_reported(here):
    touch("f/a.jpg", "f/locked/b.jpg")
    Path("f/locked").chmod(0)
    try:
        assert paths("f") == ["f/a.jpg", ("f/locked", "cannot be listed: permission denied")]
    finally:
        Path("f/locked").chmod(0o700)


def test_a_subfolder_that_vanishes_is_reported(here):
    touch("f/a.jpg", "f/gone/b.jpg")
    found = expand(["f"])
    assert next(found) == str(Path("f/a.jpg"))
    Path("f/gone/b.jpg").unlink()
    Path("f/gone").rmdir()
    assert list(found) == [Unreadable(str(Path("f/gone")), "cannot be listed: no such file")]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("p/*.jpg", ["p/1.jpg", "p/2.jpg", "p/10.jpg"]),
        ("p/?.jpg", ["p/1.jpg", "p/2.jpg"]),
        ("p/[12].jpg", ["p/1.jpg", "p/2.jpg"]),
        ("./p/1*.jpg", ["p/1.jpg", "p/10.jpg"]),
        ("p/q/*", ["p/q/3.png", "p/q/r/4.jpg"]),
        ("p/**/*.jpg", ["p/1.jpg", "p/2.jpg", "p/10.jpg", "p/q/r/4.jpg"]),
        ("**/*.png", ["p/q/3.png"]),
        ("p/q/**", ["p/q/3.png", "p/q/r/4.jpg"]),
        ("*/q/*.png", ["p/q/3.png"]),
        ("p/q/*/../3.*", ["p/q/r/../3.png"]),
        ("p/.*.jpg", ["p/.5.jpg"]),
    ],
)
def test_patterns(here, pattern, found):
    touch("p/10.jpg", "p/2.jpg", "p/1.jpg", "p/notes.txt", "p/q/3.png", "p/q/r/4.jpg")
    touch("p/.5.jpg", "p/.s/6.jpg")
    assert paths(pattern) == found
    if not pattern.startswith("."):
        assert paths(str(here / pattern)) == [(here / name).as_posix() for name in found]


def test_a_pattern_that_is_a_files_name_means_the_file(here):
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    touch("a[1].jpg", "a1.jpg", "*.jpg", "d[2]/b.jpg", "d2/c.jpg")
    assert paths("a[1].jpg", "*.jpg", "d[2]") == ["a[1].jpg", "*.jpg", "d[2]/b.jpg"]


@pytest.mark.parametrize("pattern", ["*.jpg", "nowhere/*.jpg", "f/*", "**/*.png", "[", "a\0*"])
def test_a_pattern_without_a_match_is_reported(here, pattern):
    touch("f/notes.txt")
    assert paths(pattern) == [(pattern, "no photo matches this pattern")]


def test_a_pattern_python_cannot_follow_is_reported(here):
    [(source, reason)] = paths("f/**x.jpg")
    assert source == "f/**x.jpg" and "pattern" in reason


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.jpg", "no such file"),
        ("", "an empty path"),
        ("a\0b", "not a path a file can have"),
        ("https://example.org/a.jpg", "a web address; download the picture and give its file"),
    ],
)
def test_missing_paths_are_reported_and_the_rest_goes_on(here, path, reason):
    touch("a.jpg")
    assert paths(path, "a.jpg") == [(path, reason), "a.jpg"]


def test_a_name_too_long_for_the_system_is_reported(here):
    [(source, reason)] = paths("n" * 5000)
    assert source == "n" * 5000 and reason


def test_a_dash_reads_paths_one_a_line(here):
    touch("a b.jpg", "사진.jpg", "f/c.jpg", "last.jpg")
    lines = io.StringIO("a b.jpg\n\n사진.jpg\r\nf\nmissing.jpg\nlast.jpg")
    expected = ["a b.jpg", "사진.jpg", "f/c.jpg", ("missing.jpg", "no such file"), "last.jpg"]
    assert paths("-", stdin=lines) == expected


def test_a_dash_on_stdin_and_a_path_object_are_files(here):
    touch("-")
    assert paths("-", stdin=io.StringIO("-\n")) == ["-"]
    assert paths(Path("-")) == ["-"]


def test_the_process_stdin_is_the_default(here, monkeypatch):
    touch("a.jpg")
    monkeypatch.setattr("sys.stdin", io.StringIO("a.jpg\n"))
    assert paths("-") == ["a.jpg"]


def test_stdin_without_paths_is_reported(here):
    assert paths("-", stdin=io.StringIO("\n")) == [("-", "standard input holds no paths")]


def test_a_picture_on_stdin_says_what_belongs_there(here):
    picture = io.TextIOWrapper(io.BytesIO(b"\xff\xd8\xff\xe0\x00"), encoding="utf-8")
    [(source, reason)] = paths("-", stdin=picture)
    assert source == "-" and "reads paths from it, one a line, not a picture" in reason


def test_a_bad_file_is_reported_and_the_rest_is_read(here):
    photo("f/1.png", "red")
    touch("f/2.png")
    photo("f/3.png", "blue")
    first, second, third = open_source(["f"])
    assert isinstance(first, Frame) and first.rgb[0, 0].tolist() == [255, 0, 0]
    assert second == Unreadable(str(Path("f/2.png")), "the file is empty")
    assert isinstance(third, Frame) and third.rgb[0, 0].tolist() == [0, 0, 255]
    assert (third.source, third.width, third.height) == (str(Path("f/3.png")), 6, 4)


def test_everything_that_can_be_a_picture_goes_through_the_same_door(here):
    photo("a.png")
    content = Path("a.png").read_bytes()
    array = np.zeros((4, 6, 3), np.uint8)
    inputs = [array, content, "a.png", Path("a.png"), Image.new("RGB", (6, 4)), io.BytesIO(content)]
    names = ["<array>", "<bytes>", "a.png", "a.png", "<image>", "<bytes>"]
    assert [frame.source for frame in open_source([*inputs, "-"], stdin=io.StringIO("a.png"))] == [
        *names,
        "a.png",
    ]
    for item, name in zip(inputs, names, strict=True):
        if hasattr(item, "seek"):
            item.seek(0)
        [frame] = open_source(item)
        assert frame.source == name and frame.rgb.shape == (4, 6, 3)


def test_limits_reach_the_reader(here):
    photo("a.png")
    Image.new("RGB", (400, 200)).save("b.jpg")
    refused, reduced = open_source(["a.png", "b.jpg"], max_pixels=80_000, enough=100)
    assert isinstance(refused, Frame) and reduced.scale == 1 / 4
    [refused] = open_source("a.png", max_pixels=23)
    assert "6 x 4 is 24 pixels" in refused.reason


def test_nothing_is_read_before_it_is_asked_for(here):
    photo("a.png")
    frames = open_source(["a.png", "b.png"])
    assert next(frames).source == "a.png"
    assert next(frames) == Unreadable("b.png", "no such file")


def test_read_hands_back_what_is_wrong(here):
    assert read("no.jpg") == Unreadable("no.jpg", "no such file")
    assert read(b"", name="upload") == Unreadable("upload", "the file is empty")
    already = Unreadable("x", "why")
    assert read(already) is already
    with pytest.raises(TypeError, match="cannot read a picture from int"):
        read(3)
    with pytest.raises(TypeError, match="cannot read a picture from NoneType"):
        list(open_source([None]))


def test_videos_come_along_when_they_are_asked_for(here):
    touch("f/b.mp4", "f/a.jpg", "f/c.MOV", "f/notes.txt", "f/x/1.mkv", "g/notes.txt", "h/2.webm")

    def with_videos(*inputs, stdin=None):
        found = expand(inputs, videos=True, stdin=stdin)
        return [i.reason if isinstance(i, Unreadable) else i.replace(os.sep, "/") for i in found]

    assert with_videos("f") == ["f/a.jpg", "f/b.mp4", "f/c.MOV", "f/x/1.mkv"]
    assert with_videos("f/*", "h/*.webm") == [*with_videos("f"), "h/2.webm"]
    assert with_videos("-", stdin=io.StringIO("f/x\nh/2.webm\n")) == ["f/x/1.mkv", "h/2.webm"]
    assert paths("f") == ["f/a.jpg"]
    assert paths("h/*") == [("h/*", "no photo matches this pattern")]
    [nothing, no_match] = with_videos("g", "g/*")
    assert nothing.startswith("the folder holds no photos and no videos")
    assert no_match == "no photo or video matches this pattern"


@pytest.mark.parametrize(
    ("name", "content", "video"),
    [
        ("a.mp4", b"", True),
        ("a.MKV", b"anything", True),
        ("noname", b"\0\0\0\x20ftypisom", True),
        ("noname", b"\0\0\0\x20ftypqt  ", True),
        ("noname", b"\0\0\0\x20ftypheic", False),
        ("noname", b"\0\0\0\x20ftypavif", False),
        ("noname", b"\x1aE\xdf\xa3\x01\0\0\0", True),
        ("noname", b"RIFF\x10\0\0\0AVI LIST", True),
        ("noname", b"RIFF\x10\0\0\0WEBPVP8 ", False),
        ("noname", b"\0\0\1\xba\x44", True),
        ("noname", (b"G" + bytes(187)) * 2, True),
        ("noname", b"Good morning, " * 30, False),
        ("a.jpg", b"\xff\xd8\xff\xe0", False),
        ("noname", b"", False),
    ],
)
def test_videos_are_known_by_ending_or_first_bytes(here, name, content, video):
    Path(name).write_bytes(content)
    assert is_video(name) is is_video(Path(name)) is video


def test_what_is_not_there_is_judged_by_its_ending(here):
    assert is_video("nothing.webm") and not is_video("nothing") and not is_video(".")

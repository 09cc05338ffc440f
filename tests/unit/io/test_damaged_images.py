import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic_photos import assert_corners, corners, encode, reason_of, stored

from mien.errors import UnreadableError
from mien.io.images import FORMATS, read_image
from mien.io.sources import read
from mien.types import Frame, Unreadable


def box(brand):
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(12)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"just text\n", f"not a picture mien can read ({FORMATS})"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture mien can read"),
        (b"%PDF-1.7\n", "not a picture mien can read"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page or an SVG drawing"),
        (box(b"heic"), "HEIC or AVIF photo, which mien does not read: convert it to JPEG first"),
        (box(b"avif"), "HEIC or AVIF photo"),
        (box(b"isom"), "a video, not a photo"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged or incomplete PNG"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        (b"P6 0 0 255\n", "PPM"),
    ],
)
def test_content_that_is_no_picture_says_what_it_is(tmp_path, content, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableError) as caught:
        read_image(path)
    assert reason in caught.value.reason
    assert caught.value.source == str(path)
    assert reason in reason_of(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_a_file_cut_short_is_an_error_and_never_half_a_picture(kind, part):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    content = encode(Image.fromarray(noise), kind)
    reason = reason_of(content[: int(len(content) * part)])
    assert reason.startswith(("truncated: the file ends", "damaged or incomplete"))
    if kind in ("JPEG", "PNG", "BMP", "PPM"):
        assert reason == "truncated: the file ends before the picture does"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.jpg", "no such file"), (".", "folder"), ("a\0b.jpg", "not a path"), ("n" * 999, "")],
)
def test_paths_that_lead_to_no_file(tmp_path, path, reason):
    assert reason in reason_of(str(tmp_path / path))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_permission_denied(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch(mode=0)
    assert reason_of(path) == "permission denied"


def test_a_closed_image_or_file_says_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(corners(), "PNG"))
    with Image.open(path) as picture, path.open("rb") as file:
        pass
    assert "closed before its pixels were loaded" in reason_of(picture)
    assert "closed" in reason_of(file)


def test_an_empty_pil_image_has_no_pixels():
    assert reason_of(Image.new("RGB", (0, 0))) == "no pixels: 0 x 0"


def test_grey_beyond_sixteen_bits_is_refused():
    picture = encode(Image.fromarray(np.int32([[-5, 70000]])), "TIFF")
    assert "run from -5 to 70000; mien reads 0 to 65535" in reason_of(picture)


def huge_png(side):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk


@pytest.mark.parametrize("side", [10_001, 40_000])
def test_a_huge_picture_is_refused_by_its_header_alone(side):
    reason = reason_of(huge_png(side) + struct.pack(">I", 9) + b"IDAT" + bytes(20))
    assert reason.startswith(f"{side} x {side} is {side * side:,} pixels, over the limit")
    assert "100,000,000 (--max-pixels raises it)" in reason


@pytest.mark.parametrize("source", [corners(), encode(corners(), "JPEG"), encode(corners(), "GIF")])
def test_the_limit_is_the_callers(source):
    assert read_image(source, max_pixels=48 * 32).width == 48
    assert "48 x 32 is 1,536 pixels" in reason_of(source, max_pixels=48 * 32 - 1)


def test_the_limit_may_exceed_pillows_and_leaves_it_alone(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert_corners(read_image(encode(corners(), "PNG")).rgb)
    assert Image.MAX_IMAGE_PIXELS == 100


SEEDS = [
    stored(corners(), 6, "JPEG"),
    encode(corners(), "JPEG", progressive=True),
    stored(corners(), 6, "PNG"),
    encode(corners().quantize(8), "PNG"),
    stored(corners(), 6, "WEBP"),
    encode(corners(), "BMP"),
    encode(corners(), "TIFF"),
    encode(corners(), "TIFF", compression="tiff_deflate"),
    encode(corners(), "GIF"),
    encode(corners(), "PPM"),
]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    content=st.sampled_from(SEEDS),
    hits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1) | st.just(1.0),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_never_raises_anything_but_unreadable(content, hits, keep):
    spoilt = bytearray(content)
    for place, value in hits:
        spoilt[place % len(spoilt)] = value
    result = read(bytes(spoilt[: int(len(spoilt) * keep)]), max_pixels=1_000_000)
    if isinstance(result, Unreadable):
        assert result.source == "<bytes>" and result.reason
    else:
        assert isinstance(result, Frame) and result.rgb.shape[2] == 3

"""Pictures that are small and would take for ever to decode."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from uploads import noise

from mien.errors import UnreadableError
from mien.io import bombs
from mien.io.images import read_image


def saved(kind, **how):
    out = io.BytesIO()
    Image.fromarray(noise(64, 96)).save(out, kind, **how)
    return out.getvalue()


JPEG, PNG, GIF = saved("JPEG"), saved("PNG"), saved("GIF")


def scans(count):
    """A progressive JPEG of 64 x 64 grey pixels whose last scan comes `count` times more."""
    out = io.BytesIO()
    Image.new("L", (64, 64), 128).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + count * last + whole[-2:]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gif(extensions):
    """The GIF with `extensions` behind its table of colours."""
    start = 13 + (3 << (GIF[10] & 7) + 1 if GIF[10] & 0x80 else 0)
    return GIF[:start] + extensions + GIF[start:]


def tiff(tags, *, big=False, strips=1, order="<"):
    """The beginning of a TIFF with so many tags, of which the first tells where the strips are."""
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQQ", 43, 8, 0, 16, tags) if big else b""
    head = head or struct.pack(order + "HLH", 42, 8, tags)
    entry = order + ("HHQQ" if big else "HHLL")
    return mark + head + struct.pack(entry, 273, 4, strips, 0) + bytes(40 * min(tags, 3000))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (scans(60), "over 64 scans"),  # and the six or so that it has
        (scans(100_000), "over 64 scans"),
        (JPEG[:2] + b"\xff\xfe\x00\x02" * 2001 + JPEG[2:], "over 2,000 segments"),
        (JPEG[:2] + b"\xff" * 100_000 + JPEG[2:], "padding"),
        (JPEG[:2] + b"\xff\x00" * 100_000 + JPEG[2:], "padding"),
        (PNG[:33] + chunk(b"prVt", b"") * 20_001 + PNG[33:], "over 20,000 chunks"),
        (gif(b"\x21\xfe\x01a\x00" * 1001), "over 2,000 blocks"),
        (gif(b"\x21\xfe" + b"\x01a" * 2001 + b"\x00"), "over 2,000 blocks"),
        (gif(b"x" * 2001), "over 2,000 blocks"),
        (b"P6 #" + b"a" * 5000 + b"\n2 2 255 " + bytes(12), "comments"),
        (b"P5 " + b"#\n" * 3000 + b"2 2 255 " + bytes(4), "comments"),
        (tiff(2001), "over 2,000 tags"),
        (tiff(2001, order=">"), "over 2,000 tags"),
        (tiff(2001, big=True), "over 2,000 tags"),
        (tiff(1, strips=20_001), "over 20,000 strips"),
        (tiff(1, strips=20_001, big=True), "over 20,000 strips"),
    ],
)
def test_a_picture_of_too_many_pieces_is_refused_at_once(content, says):
    begun = time.process_time()
    with pytest.raises(bombs.BombError, match=says):
        bombs.check(content)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff",
        b"GIF8",
        b"II*\0\xff\xff\xff\xff",
        JPEG,
        saved("JPEG", progressive=True),
        scans(20),
        PNG,
        PNG[:33] + chunk(b"prVt", b"") * 19_000 + PNG[33:],
        GIF,
        gif(b"\x21\xfe\x01a\x00" * 900),
        saved("PPM"),
        b"P6\n# by a camera\n2 2\n255\n" + bytes(12) + bytes(5000),
        saved("TIFF"),
        saved("BMP"),
        saved("WEBP"),
        tiff(2000),
        tiff(1, strips=20_000, big=True),
    ],
)
def test_others_pass(content):
    bombs.check(content)


def test_a_film_behind_a_photo_is_no_bomb():
    film = np.random.default_rng(0).bytes(8 << 20)
    assert film.count(b"\xff\xda") > bombs.MOST_SCANS
    bombs.check(JPEG + film)


def test_it_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.jpg"
    path.write_bytes(scans(100))
    for source in (path, path.read_bytes()):
        with pytest.raises(UnreadableError, match="over 64 scans"):
            read_image(source)

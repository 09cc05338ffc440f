"""Pictures to test with, and what is to be seen in them."""

import io

import numpy as np
import pytest
from PIL import Image

from mien.errors import UnreadableError
from mien.io.images import read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def corners(width=48, height=32):
    """Red, green, blue and white quarters: any turn, flip or swap of channels shows."""
    picture = Image.new("RGB", (width, height))
    w, h = width // 2, height // 2
    for colour, corner in ((RED, (0, 0)), (GREEN, (w, 0)), (BLUE, (0, h)), (WHITE, (w, h))):
        picture.paste(colour, (*corner, corner[0] + w, corner[1] + h))
    return picture


def assert_corners(rgb, tolerance=0):
    h, w = rgb.shape[0] // 4, rgb.shape[1] // 4
    seen = [rgb[h, w], rgb[h, 3 * w], rgb[3 * h, w], rgb[3 * h, 3 * w]]
    assert np.abs(np.int32(seen) - np.int32([RED, GREEN, BLUE, WHITE])).max() <= tolerance


def reason_of(source, **options):
    with pytest.raises(UnreadableError) as caught:
        read_image(source, **options)
    return caught.value.reason


TURNS = {  # how to store the upright picture so that each EXIF orientation shows it upright
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(picture, orientation, kind, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNS.get(orientation)
    picture = picture if turn is None else picture.transpose(turn)
    return encode(picture, kind, exif=exif, **options)

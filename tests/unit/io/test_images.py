import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_photos import RED, TURNS, WHITE, assert_corners, corners, encode, reason_of, stored

from mien.io.images import ENOUGH, read_image


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("MPO", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (9, 9))]}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("GIF", {}, 0),
        ("PPM", {}, 0),
    ],
)
def test_every_format_keeps_its_colours_and_size(kind, options, tolerance):
    frame = read_image(encode(corners(), kind, **options))
    assert_corners(frame.rgb, tolerance)
    assert frame.rgb.shape == (32, 48, 3)
    assert (frame.width, frame.height, frame.scale, frame.index) == (48, 32, 1.0, 0)
    assert frame.rgb.dtype == np.uint8 and frame.rgb.flags.c_contiguous


def test_an_animation_gives_its_first_picture():
    gif = encode(corners(), "GIF", save_all=True, append_images=[Image.new("RGB", (48, 32))])
    assert_corners(read_image(gif).rgb)


def test_the_name_does_not_matter_the_content_does(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode(corners(), "PNG"))
    assert_corners(read_image(path).rgb)


@pytest.mark.parametrize("name", ["사진 한 장.png", "ß ñ 😀.png", "[1]*?.png"])
def test_any_name_of_file_can_be_read(tmp_path, name):
    if os.name == "nt" and "*" in name:
        pytest.skip("Windows has no such names")
    path = tmp_path / name
    path.write_bytes(encode(corners(), "PNG"))
    assert read_image(str(path)).source == read_image(path).source == str(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_every_orientation_gives_the_same_upright_picture(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    frame = read_image(stored(corners(), orientation, kind, **options))
    assert frame.rgb.shape == (32, 48, 3)
    assert (frame.width, frame.height) == (48, 32)
    assert_corners(frame.rgb, 8 if kind == "JPEG" else 0)


def test_orientation_of_deep_grey_and_of_a_pil_image():
    grey = np.zeros((32, 48), np.uint16)
    grey[:16, :24] = 65535
    frame = read_image(stored(Image.fromarray(grey), 6, "PNG"))
    assert frame.rgb.shape == (32, 48, 3)
    assert frame.rgb[4, 4].tolist() == [255] * 3 and frame.rgb[28, 4].tolist() == [0] * 3
    opened = Image.open(io.BytesIO(stored(corners(), 6, "PNG")))
    assert_corners(read_image(opened).rgb)


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_does_not_exist_is_none(orientation):
    assert_corners(read_image(stored(corners(), orientation, "PNG")).rgb)


def test_damaged_exif_does_not_spoil_a_good_picture():
    photo = stored(corners(), 1, "WEBP", lossless=True)
    assert_corners(read_image(photo.replace(b"MM\0*", b"MM\1*").replace(b"II*\0", b"II*\1")).rgb)


def deep(value, dtype=np.uint16):
    return Image.fromarray(np.full((4, 5), value, dtype))


def rgba(colour):
    return Image.new("RGBA", (5, 4), colour)


def clear_palette():
    picture = Image.new("P", (5, 4), 0)
    picture.putpalette([0, 0, 255, 255, 0, 0])
    return encode(picture, "PNG", transparency=0)


@pytest.mark.parametrize(
    ("source", "colour"),
    [
        (Image.new("L", (5, 4), 77), (77, 77, 77)),
        (Image.new("1", (5, 4), 1), WHITE),
        (encode(Image.new("1", (5, 4), 1), "PNG"), WHITE),
        (Image.new("LA", (5, 4), (0, 128)), (127, 127, 127)),
        (Image.new("HSV", (5, 4), (0, 255, 255)), RED),
        (encode(corners().quantize(8).crop((0, 0, 5, 4)), "PNG"), RED),
        (encode(corners().quantize(8).crop((0, 0, 5, 4)), "BMP"), RED),
        (clear_palette(), WHITE),
        (rgba((255, 0, 0, 255)), RED),
        (rgba((255, 0, 0, 0)), WHITE),
        (rgba((255, 0, 0, 128)), (255, 127, 127)),
        (encode(rgba((0, 0, 255, 128)), "PNG"), (127, 127, 255)),
        (encode(Image.new("RGB", (5, 4), RED), "PNG", transparency=RED), WHITE),
        (encode(deep(32768), "PNG"), (128, 128, 128)),
        (encode(deep(65535), "PNG"), WHITE),
        (encode(deep(32768), "TIFF"), (128, 128, 128)),
        (encode(deep(32768).convert("I"), "TIFF"), (128, 128, 128)),
        (encode(deep(32768).convert("I"), "PPM"), (128, 128, 128)),
        (deep(32768, ">u2"), (128, 128, 128)),
        (encode(deep(0.5, np.float32), "TIFF"), (128, 128, 128)),
        (encode(deep(200.2, np.float32), "TIFF"), (200, 200, 200)),
    ],
)
def test_every_depth_and_colour_becomes_rgb(source, colour):
    frame = read_image(source)
    assert frame.rgb.shape == (4, 5, 3)
    assert np.abs(frame.rgb.astype(int) - colour).max() <= 1


def test_cmyk_jpeg_has_its_colours_the_right_way_round():
    photo = encode(corners().convert("CMYK"), "JPEG", quality=95)
    assert_corners(read_image(photo).rgb, 10)


@pytest.mark.parametrize(
    ("size", "enough", "shape", "scale"),
    [
        ((400, 200), 100, (50, 100, 3), 1 / 4),
        ((400, 200), 101, (100, 200, 3), 1 / 2),
        ((400, 200), 50, (25, 50, 3), 1 / 8),
        ((400, 200), 1, (25, 50, 3), 1 / 8),
        ((400, 200), 201, (200, 400, 3), 1.0),
        ((400, 200), None, (200, 400, 3), 1.0),
        ((403, 203), 100, (51, 101, 3), 1 / 4),
        ((400, 6), 50, (2, 100, 3), 1 / 4),
        ((2 * ENOUGH - 1, 16), ENOUGH, (16, 2 * ENOUGH - 1, 3), 1.0),
        ((2 * ENOUGH, 16), ENOUGH, (8, ENOUGH, 3), 1 / 2),
    ],
)
def test_a_large_jpeg_is_decoded_only_as_far_as_enough(size, enough, shape, scale):
    frame = read_image(encode(corners(*size), "JPEG"), enough=enough)
    assert frame.rgb.shape == shape
    assert frame.scale == scale
    assert (frame.width, frame.height) == size


def test_reduced_and_turned_jpeg_has_the_size_and_colours_of_the_upright_one():
    frame = read_image(stored(corners(400, 200), 6, "JPEG"), enough=100)
    assert frame.rgb.shape == (50, 100, 3)
    assert (frame.width, frame.height, frame.scale) == (400, 200, 1 / 4)
    assert_corners(frame.rgb, 8)


def test_only_jpeg_is_reduced_and_a_pil_image_never():
    assert read_image(encode(corners(400, 200), "PNG"), enough=50).scale == 1
    opened = Image.open(io.BytesIO(encode(corners(400, 200), "JPEG")))
    assert read_image(opened, enough=50).rgb.shape == (200, 400, 3)


QUARTERS = np.asarray(corners())


@pytest.mark.parametrize(
    "array",
    [
        QUARTERS,
        np.dstack([QUARTERS, np.full((32, 48), 255, np.uint8)]),
        QUARTERS.astype(np.uint16) * 257,
        (QUARTERS.astype(np.uint16) * 257).astype(">u2"),
        QUARTERS / 255,
        (QUARTERS / 255).astype(np.float16),
        QUARTERS.astype(np.float32),
        np.asfortranarray(QUARTERS),
        QUARTERS[:, ::-1].copy()[:, ::-1],
    ],
)
def test_arrays_of_every_type_are_rgb(array):
    frame = read_image(array)
    assert (frame.rgb == QUARTERS).all()
    assert frame.rgb.flags.c_contiguous and not frame.rgb.flags.writeable
    assert (frame.width, frame.height, frame.scale) == (48, 32, 1.0)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_grey_arrays_get_three_channels(shape):
    grey = np.arange(20, dtype=np.uint8).reshape(shape)
    assert (read_image(grey).rgb == grey.reshape(4, 5, 1)).all()


def test_clear_parts_of_an_array_are_white():
    assert (read_image(np.zeros((4, 5, 4), np.uint8)).rgb == 255).all()


def test_a_ready_array_is_neither_copied_nor_locked():
    array = QUARTERS.copy()
    assert np.shares_memory(read_image(array).rgb, array)
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((0, 5, 3), np.uint8), "no pixels: 5 x 0"),
        (np.zeros(5, np.uint8), "shape (5,); expected (h, w), (h, w, 1), (h, w, 3) RGB"),
        (np.zeros((3, 4, 5), np.uint8), "shape (3, 4, 5); expected"),
        (np.zeros((2, 4, 5, 3), np.uint8), "shape (2, 4, 5, 3); expected"),
        (np.zeros((4, 5), np.int64), "an array of int64; expected uint8, uint16, or floats"),
        (np.zeros((4, 5), object), "an array of object; expected"),
        (np.full((4, 5), np.nan), "NaN or infinite"),
        (np.full((4, 5), np.inf, np.float32), "NaN or infinite"),
        (np.full((4, 5), -0.5), "run from -0.5 to -0.5; expected 0..1 or 0..255"),
        (np.full((4, 5), 300.0), "run from 300 to 300; expected 0..1 or 0..255"),
    ],
)
def test_arrays_that_are_no_picture_say_why(array, reason):
    assert reason in reason_of(array)


def test_names_of_pictures_in_memory(tmp_path):
    png = encode(corners(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(png)
    assert read_image(QUARTERS).source == "<array>"
    assert read_image(corners()).source == "<image>"
    assert [read_image(kind(png)).source for kind in (bytes, bytearray, memoryview)] == [
        "<bytes>"
    ] * 3
    assert read_image(io.BytesIO(png)).source == "<bytes>"
    with path.open("rb") as file:
        assert read_image(file).source == str(path)
    for source in (QUARTERS, corners(), png, path, io.BytesIO(png)):
        assert read_image(source, name="mine").source == "mine"


@pytest.mark.parametrize("source", [None, 3, [1, 2], {}, object()])
def test_what_can_hold_no_picture_is_a_type_error(source):
    with pytest.raises(TypeError, match=type(source).__name__):
        read_image(source)


def test_a_text_file_object_is_a_type_error():
    with pytest.raises(TypeError, match="binary mode"):
        read_image(io.StringIO("text"))


def test_reading_from_a_pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    reading, writing = os.pipe()
    os.write(writing, encode(corners(), "PNG"))
    os.close(writing)
    try:
        assert_corners(read_image(Path(f"/dev/fd/{reading}")).rgb)
    finally:
        os.close(reading)

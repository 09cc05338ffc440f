"""Photos become frames: a file, bytes, an array or a PIL image, upright and RGB uint8.

Whatever is wrong with a picture is raised as `UnreadableError` with a reason a person can act on.
Pillow's global settings (`Image.MAX_IMAGE_PIXELS`, `ImageFile.LOAD_TRUNCATED_IMAGES`) are neither
changed nor needed: each format's reader is opened directly, so the only pixel limit is mien's.
"""

import importlib
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from mien.errors import TooLargeError, UnreadableError, UnsupportedError
from mien.io import bombs
from mien.io.pixels import array_to_rgb, picture_to_rgb
from mien.types import Frame

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | Image.Image | IO[bytes]
)
"""What can be read as one picture: a path, a file's bytes, pixels, or a file open for reading."""

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused before decoding (as RGB it is 300 MB)."""

ENOUGH = 2560
"""Pixels a large JPEG keeps on its long side when it is decoded at a reduced size.

The detector looks at no more than 640 pixels on the long side and finds faces down to about
10 pixels there. In 2560 pixels such a face is 40, and its crop, which takes in a margin, about
the 48 pixels the classifier looks at: what a fuller decode adds, neither of the two would see.
"""

FORMATS = "JPEG, PNG, WebP, BMP, TIFF, GIF, PPM"

_TOO_LARGE = "too large for the memory of this machine"
_TRUNCATED = "truncated: the file ends before the picture does"

# Each format by its first bytes, and the Pillow module that reads it, imported when it is needed.
_OPENERS: tuple[tuple[str, re.Pattern[bytes], str], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff"), "Jpeg"),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), "Png"),
    ("WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WebP"),
    ("BMP", re.compile(rb"BM"), "Bmp"),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), "Tiff"),
    ("GIF", re.compile(rb"GIF8[79]a"), "Gif"),
    ("PPM", re.compile(rb"P[56]\s"), "Ppm"),
)

_NOT_PHOTOS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (
        re.compile(rb".{4}ftyp(hei|hev|mif1|msf1|avi[fs])", re.DOTALL),
        "a HEIC or AVIF photo, which mien does not read: convert it to JPEG first",
    ),
    (
        re.compile(rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", re.DOTALL),
        "a video, not a photo",
    ),
    (
        re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|svg)", re.IGNORECASE),
        "a web page or an SVG drawing, not a photo",
    ),
)

#: What Pillow's readers raise at damaged content, found by feeding them damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: ImageSource,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    enough: int | None = ENOUGH,
) -> Frame:
    """Read one picture as an upright RGB frame.

    EXIF orientation is applied, transparent parts become white, 16-bit grey is scaled by its
    full range, and of an animation or a multi-page file the first picture is taken.

    Args:
        source: A path, the bytes of a picture file, a binary file object (read to its end), a PIL
            image, or an array: (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA; uint8, uint16
            (0..65535), or floats in 0..1 or 0..255.
        name: What to call the picture; by default its path, or `<array>`, `<bytes>`, `<image>`.
        max_pixels: Files with more pixels than this, by their header, are refused undecoded.
        enough: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is much faster, as
            long as its long side keeps this many pixels. None: always decode in full.

    Returns:
        The frame. Its `rgb` is C-contiguous and read-only; a uint8 RGB array is not copied.

    Raises:
        UnreadableError: The content is missing, damaged, too large, or not a picture.
        TypeError: The source is none of the kinds above.
    """
    if isinstance(source, np.ndarray):
        rgb = array_to_rgb(source, name or "<array>")
        return Frame(name or "<array>", rgb, rgb.shape[1], rgb.shape[0])
    if isinstance(source, Image.Image):
        return _read_pil(source, name or "<image>", max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_stream(io.BytesIO(source), name or "<bytes>", max_pixels, enough)
    if isinstance(source, str | os.PathLike):
        return _read_file(os.fsdecode(source), name, max_pixels, enough)
    if hasattr(source, "read"):
        return _read_file_object(source, name, max_pixels, enough)
    raise TypeError(
        f"cannot read a picture from {type(source).__name__}: give a path, bytes, a NumPy array, "
        "a PIL image or a file opened in binary mode"
    )


def why_not_opened(error: OSError | ValueError) -> str:
    """Say in a few words why the file system refused a path."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "not a path a file can have"


def _read_pil(picture: Image.Image, name: str, max_pixels: int) -> Frame:
    if isinstance(picture, ImageFile) and picture.tile and picture.fp is None:
        raise UnreadableError(name, "the image's file was closed before its pixels were loaded")
    return _decode(picture, name, max_pixels, None)


def _read_file(path: str, name: str | None, max_pixels: int, enough: int | None) -> Frame:
    try:
        with Path(path).open("rb") as stream:
            return _read_stream(stream, name or path, max_pixels, enough)
    except (OSError, ValueError) as error:
        raise UnreadableError(name or path, why_not_opened(error)) from error


def _read_file_object(
    file: IO[bytes], name: str | None, max_pixels: int, enough: int | None
) -> Frame:
    label = getattr(file, "name", None)
    name = name or (label if isinstance(label, str) else "<bytes>")
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"{name} is open in text mode; open it in binary mode ('rb')")
    try:
        content = file.read()
    except (OSError, ValueError) as error:
        raise UnreadableError(name, f"could not be read: {error}") from error
    return _read_stream(io.BytesIO(content), name, max_pixels, enough)


def _read_stream(stream: IO[bytes], name: str, max_pixels: int, enough: int | None) -> Frame:
    """Read a picture file from its start; `stream` may be a pipe."""
    try:
        head = stream.read(64)
        found = next((known for known in _OPENERS if known[1].match(head)), None)
        if found is None:
            kind_of = UnsupportedError if head else UnreadableError
            raise kind_of(name, _not_a_picture(head))
        content = head + stream.read()
    except OSError as error:
        raise UnreadableError(name, why_not_opened(error)) from error
    except MemoryError as error:
        raise UnreadableError(name, _TOO_LARGE) from error
    kind, _, reader = found
    try:
        bombs.check(content)
        picture = _reader(reader)(io.BytesIO(content))
    except bombs.BombError as error:
        raise UnreadableError(name, str(error)) from error
    except _DAMAGE as error:
        raise UnreadableError(name, _explain(error, kind)) from error
    with picture:
        return _decode(picture, name, max_pixels, enough)


def _reader(name: str) -> Callable[[IO[bytes]], ImageFile]:
    """Pillow's class for pictures of one format: ``PIL.JpegImagePlugin.JpegImageFile``."""
    module = importlib.import_module(f"PIL.{name}ImagePlugin")
    found: Callable[[IO[bytes]], ImageFile] = getattr(module, f"{name}ImageFile")
    return found


def _decode(picture: Image.Image, name: str, max_pixels: int, enough: int | None) -> Frame:
    width, height = picture.size
    if width * height > max_pixels:
        raise TooLargeError(
            name,
            f"{width} x {height} is {width * height:,} pixels, over the limit of {max_pixels:,} "
            "(--max-pixels raises it)",
        )
    try:
        scale = _shrink(picture, enough)
        picture.load()
        if scale == 1:
            width, height = picture.size  # a TIFF turns itself upright as it loads
        orientation = _orientation(picture)
        if orientation in _UPRIGHT:
            picture = picture.transpose(_UPRIGHT[orientation])
        rgb = picture_to_rgb(picture, name)
    except _DAMAGE as error:
        raise UnreadableError(name, _explain(error, picture.format or "picture")) from error
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return Frame(name, rgb, width, height, scale)


def _shrink(picture: Image.Image, enough: int | None) -> float:
    """Have a large JPEG decoded at a reduced size; the fraction of its size that it will be.

    Only JPEG can: for other formats `draft` does nothing.
    """
    long_side = max(picture.size)
    step = next((s for s in (8, 4, 2) if enough is not None and long_side // s >= enough), 1)
    if step == 1:
        return 1.0
    picture.draft(None, (max(1, picture.width // step), max(1, picture.height // step)))
    return 1 / round(long_side / max(picture.size))


def _orientation(picture: Image.Image) -> object:
    """The EXIF orientation, 1 to 8; 1 where EXIF is damaged, since the picture may still be good.

    >>> _orientation(Image.new("RGB", (2, 1)))
    1
    """
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _not_a_picture(head: bytes) -> str:
    """What a file that starts with `head`, and with no picture's signature, is instead."""
    if not head:
        return "the file is empty"
    for signature, reason in _NOT_PHOTOS:
        if signature.match(head):
            return reason
    return f"not a picture mien can read ({FORMATS})"


def _explain(error: BaseException, kind: str) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return _TOO_LARGE
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: {text}"
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return _TRUNCATED
    return f"damaged or incomplete {kind}: {text}"

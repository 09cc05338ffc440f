"""Pixels of any depth and colour become RGB uint8: from arrays, and from PIL images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import UnreadableError
from mien.types import Image as Pixels


def picture_to_rgb(picture: Image.Image, name: str) -> Pixels:
    """A loaded PIL image of any mode as read-only (h, w, 3) RGB.

    Transparent parts become white; 16-bit grey is scaled by its full range.

    Raises:
        UnreadableError: Its values fit no range that has an agreed meaning (see `array_to_rgb`).
        OSError, ValueError: Pillow cannot convert it.
    """
    if picture.mode.startswith("I"):
        return array_to_rgb(_deep_grey(np.asarray(picture), name), name)
    if picture.mode == "F":
        return array_to_rgb(np.asarray(picture), name)
    if picture.has_transparency_data:
        picture = _on_white(picture)
    elif picture.mode != "RGB":
        picture = picture.convert("RGB")
    return array_to_rgb(np.asarray(picture), name)


def array_to_rgb(array: NDArray[Any], name: str) -> Pixels:
    """An array as read-only, C-contiguous (h, w, 3) RGB, without a copy where it is that already.

    Args:
        array: (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA, whose transparent parts become
            white; uint8, uint16 (0..65535), or floats in 0..1 or, if one is over 1, in 0..255.
        name: What to call it in an error.

    Raises:
        UnreadableError: Another shape or type, no pixels, or values out of range or not finite.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        reason = (
            f"an array of shape {array.shape}; expected (h, w), (h, w, 1), (h, w, 3) RGB or "
            "(h, w, 4) RGBA"
        )
        raise UnreadableError(name, reason)
    if array.size == 0:
        raise UnreadableError(name, f"no pixels: {array.shape[1]} x {array.shape[0]}")
    rgb = np.ascontiguousarray(_three_channels(_eight_bit(array, name))).view()
    rgb.flags.writeable = False
    return rgb


def _three_channels(pixels: Pixels) -> Pixels:
    """(h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as (h, w, 3)."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[2] == 4:
        return np.asarray(_on_white(Image.fromarray(np.ascontiguousarray(pixels))))
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture on white paper, which is how most viewers show what is transparent."""
    rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    paper = Image.new("RGB", rgba.size, "white")
    paper.paste(rgba, mask=rgba)
    return paper


def _deep_grey(grey: NDArray[Any], name: str) -> NDArray[np.uint16]:
    """Pillow's 16- or 32-bit integer grey as uint16."""
    if grey.size and (grey.min() < 0 or grey.max() > 65535):
        reason = f"its grey values run from {grey.min()} to {grey.max()}; mien reads 0 to 65535"
        raise UnreadableError(name, reason)
    return grey.astype(np.uint16, copy=False)


def _eight_bit(array: NDArray[Any], name: str) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind == "f":
        return _from_floats(array, name)
    reason = (
        f"an array of {array.dtype}; expected uint8, uint16, or floats in 0..1 or 0..255 "
        "(array.astype(np.uint8) makes whole numbers in 0..255 readable)"
    )
    raise UnreadableError(name, reason)


def _from_floats(array: NDArray[Any], name: str) -> Pixels:
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableError(name, "some pixel values are NaN or infinite")
    if low < 0 or high > 255:
        reason = f"pixel values run from {low:g} to {high:g}; expected 0..1 or 0..255"
        raise UnreadableError(name, reason)
    eight: Pixels = np.rint(array * 255 if high <= 1 else array).astype(np.uint8)
    return eight

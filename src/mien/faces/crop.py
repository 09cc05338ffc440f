"""The one way a face is cut out of a picture, by name and version.

Training data, evaluation and run time all crop here. A model file names the recipe it was made for;
a recipe that has been published is never changed, a better one gets a new name.
"""

import difflib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from mien.errors import UsageError
from mien.types import Floats, Image

# Triangle filter, widened when shrinking: no ringing at edges, and simple to write again elsewhere.
_FILTER = Pillow.Resampling.BILINEAR


@dataclass(frozen=True, slots=True)
class CropRecipe:
    """A square around a face box.

    The unit is the square root of the box's area, which follows the size of a head better than its
    height or width do (a spread of 4.8 % against 6.1 % on AffectNet, 19 % against 20 % on FER2013).
    """

    name: str
    margin: float
    """Side of the square in units."""
    drop: float = 0.0
    """How far the square's centre lies below the box's, in units."""


RECIPES: dict[str, CropRecipe] = {
    kind.name: kind
    for kind in (
        # The frame of FER2013's pictures, as the median over PublicTest of where YuNet's box lies
        # in them (benchmarks/crop_margin.py): from the hairline to just below the chin.
        CropRecipe("square-v1", margin=1.15, drop=0.02),
        # A sixth tighter, which classifiers of such pictures are right on more often: see
        # docs/decisions/0002-crop.md for what was measured.
        CropRecipe("square-v2", margin=0.95, drop=0.02),
        # For pictures that are crops already, with the detector "none".
        CropRecipe("whole-v1", margin=1.0),
    )
}
"""Every recipe, by name."""

CURRENT = "square-v2"
"""The recipe of models that are made now, and of their training faces that a detector finds."""


def recipe(name: str) -> CropRecipe:
    """The recipe `name`.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no crop recipe is called {name!r}.{guess} Known: {', '.join(RECIPES)}")
    return RECIPES[name]


def cut(rgb: Image, boxes: Floats, *, size: int, recipe: CropRecipe, scale: float = 1.0) -> Image:
    """The faces of a picture as square crops, (n, size, size, 3) uint8 RGB.

    Where a square leaves the picture, the picture's border is repeated. Moving picture and boxes by
    whole pixels changes nothing. Only the pixels around each face are looked at.

    Args:
        rgb: the picture, (h, w, 3) uint8.
        boxes: (n, 4) x0 y0 x1 y1, in pixels of the full picture. They may leave it.
        size: side of the crops in pixels.
        recipe: how the square lies around the box.
        scale: pixels of `rgb` per pixel of the full picture and side (``Frame.scale``).

    Raises:
        UsageError: a wrong shape or type, a size below 1, or a box that is not finite.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise UsageError(
            f"a picture must be uint8 (h, w, 3), not empty; got {rgb.dtype} {rgb.shape}"
        )
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise UsageError(f"boxes must be finite and of shape (n, 4); got {boxes.shape}")
    _check_size(size)
    height, width, _ = rgb.shape
    squares = _squares(boxes.astype(np.float64) * scale, width, height, recipe)
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for crop, (x, y, side) in zip(crops, squares.tolist(), strict=True):
        crop[:] = _square(rgb, x, y, side, size)
    return crops


def resize(crops: Image, size: int) -> Image:
    """Crops (n, h, w) or (n, h, w, 3) uint8 at `size` by `size` pixels, antialiased.

    Crops that have that size already are returned as they are, not copied.

    Raises:
        UsageError: a wrong shape or type, or a size below 1.
    """
    if crops.dtype != np.uint8 or crops.ndim not in {3, 4} or 0 in crops.shape[1:]:
        raise UsageError(
            f"crops must be uint8 (n, h, w) or (n, h, w, 3); got {crops.dtype} {crops.shape}"
        )
    _check_size(size)
    if crops.shape[1:3] == (size, size):
        return crops
    result = np.empty((len(crops), size, size, *crops.shape[3:]), np.uint8)
    for to, crop in zip(result, crops, strict=True):
        to[:] = Pillow.fromarray(np.ascontiguousarray(crop)).resize((size, size), _FILTER)
    return result


def to_grey(crops: Image) -> Image:
    """RGB crops (..., 3) uint8 as grey (...) uint8: ITU-R BT.601 luma, to the bit as Pillow's."""
    r, g, b = np.moveaxis(crops, -1, 0).astype(np.uint32)
    luma: NDArray[np.uint32] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16
    return luma.astype(np.uint8)


def _check_size(size: int) -> None:
    if size < 1:
        raise UsageError(f"a crop must be 1 pixel or more wide; got {size}")


def _squares(
    boxes: NDArray[np.float64], width: int, height: int, recipe: CropRecipe
) -> NDArray[np.float64]:
    """The square of each box in a picture of width x height: (n, 3), left, top and side.

    Rounded to 1/16 pixel, or float32 boxes would be cut a trace differently at the far end of a
    picture. At least a pixel and at most twice the picture wide, and not so far off that integers
    would overflow: there is nothing but repeated border out there.
    """
    longest = max(width, height)
    w, h = np.clip(boxes[:, 2:] - boxes[:, :2], 0, 4.0 * longest).T
    root = np.sqrt(w * h)
    side = np.clip(root * recipe.margin, 1, 2 * longest)
    x = (boxes[:, 0] + boxes[:, 2]) / 2 - side / 2
    y = (boxes[:, 1] + boxes[:, 3]) / 2 - side / 2 + root * recipe.drop
    corners = np.clip(np.stack([x, y], axis=1), -8.0 * longest, 8.0 * longest)
    return np.round(np.column_stack([corners, side]) * 16) / 16


def _square(rgb: Image, x: float, y: float, side: float, size: int) -> Image:
    """The square of `rgb` with its top left at (x, y), (size, size, 3)."""
    # The filter looks this far beyond the square: those pixels must be the picture's, too.
    reach = math.ceil(max(1.0, side / size)) + 1
    left, top = math.floor(x) - reach, math.floor(y) - reach
    right, bottom = math.ceil(x + side) + reach, math.ceil(y + side) + reach
    region = Pillow.fromarray(_region(rgb, left, top, right, bottom))
    box = (x - left, y - top, x - left + side, y - top + side)
    return np.asarray(region.resize((size, size), _FILTER, box=box))


def _region(rgb: Image, left: int, top: int, right: int, bottom: int) -> Image:
    """Rows `top` to `bottom`, columns `left` to `right`, the border repeated beyond it; a copy."""
    height, width, _ = rgb.shape
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(rgb[top:bottom, left:right])
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return rgb[rows[:, None], columns]

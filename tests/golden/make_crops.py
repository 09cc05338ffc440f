"""Make crops.npz: what `mien.faces.crop` gave when its recipes were published.

    python tests/golden/make_crops.py

Run it for a new recipe only. A published recipe that gives other pixels is a broken recipe.
"""

from pathlib import Path

import numpy as np

from mien.faces.crop import RECIPES, cut, resize, to_grey

FILE = Path(__file__).with_name("crops.npz")
SIZE = 40

# Inside, over an edge, over a corner, outside, narrower than a pixel, larger than the picture,
# much larger than the crop, off the pixel grid.
BOXES = np.float32(
    [
        [60, 50, 110, 115],
        [-20, 40, 30, 100],
        [170, 120, 220, 190],
        [300, 20, 340, 60],
        [80, 70, 80.5, 70.25],
        [-200, -200, 500, 500],
        [10, 5, 190, 155],
        [47.3, 33.8, 96.1, 91.4],
    ]
)


def picture():
    """A picture (160, 200, 3) with colour ramps, discs, stripes and one bright dot."""
    y, x = np.mgrid[:160, :200]
    rgb = np.stack([x * 255 // 199, y * 255 // 159, (x + y) * 255 // 358], axis=2)
    rgb[np.hypot(x - 80, y - 75) < 25] = (240, 60, 20)
    rgb[np.hypot(x - 72, y - 68) < 5] = (10, 20, 200)
    rgb[(y > 110) & (x // 3 % 2 == 0)] = (5, 250, 90)
    rgb[30, 150] = 255
    return rgb.astype(np.uint8)


def make():
    """Every recipe's crops of the picture, in full and half size, their greys and a resize."""
    rgb = picture()
    result = {}
    for name, recipe in RECIPES.items():
        crops = cut(rgb, BOXES, size=SIZE, recipe=recipe)
        result[name] = crops
        result[f"{name} half"] = cut(rgb[::2, ::2], BOXES, size=SIZE, recipe=recipe, scale=0.5)
        result[f"{name} grey"] = to_grey(crops)
        result[f"{name} resized"] = resize(crops, 17)
    return result


if __name__ == "__main__":
    np.savez_compressed(FILE, **make())

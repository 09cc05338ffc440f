"""The crop: geometry, borders, filter and grey."""

import numpy as np
import pytest
from PIL import Image

from mien.errors import UsageError
from mien.faces.crop import RECIPES, CropRecipe, cut, recipe, resize, to_grey

PLAIN = CropRecipe("plain", margin=1.0)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxes(*rows):
    return np.float32(rows).reshape(-1, 4)


def test_a_square_box_at_its_own_size_is_the_pixels_themselves():
    rgb = noise(50, 60)
    crop = cut(rgb, boxes([10, 20, 30, 40]), size=20, recipe=PLAIN)
    assert (crop[0] == rgb[20:40, 10:30]).all()


def test_the_side_is_margin_times_the_root_of_the_area():
    rgb = noise(100, 100)
    crop = cut(rgb, boxes([40, 32, 50, 72]), size=40, recipe=CropRecipe("twice", 2.0))
    assert (crop[0] == rgb[32:72, 25:65]).all()  # root 20, side 40, about (45, 52)


def test_drop_moves_the_square_down():
    rgb = noise(100, 100)
    crop = cut(rgb, boxes([20, 20, 40, 40]), size=20, recipe=CropRecipe("low", 1.0, drop=0.5))
    assert (crop[0] == rgb[30:50, 20:40]).all()


def test_the_border_is_repeated():
    rgb = noise(20, 30)
    crop = cut(rgb, boxes([-5, -5, 15, 15]), size=20, recipe=PLAIN)
    assert (crop[0] == np.pad(rgb, ((5, 5), (5, 5), (0, 0)), mode="edge")[:20, :20]).all()


def test_a_box_outside_shows_the_nearest_corner():
    rgb = noise(20, 30)
    for far in (100, 1e6, 1e30):
        crop = cut(rgb, boxes([far, far, far * 1.5, far * 1.5]), size=8, recipe=PLAIN)
        assert (crop == rgb[-1, -1]).all()


@pytest.mark.parametrize("shift", [(3, 11), (500, 320), (1, 900)])
def test_moving_picture_and_box_by_whole_pixels_changes_nothing(shift):
    dx, dy = shift
    face = noise(120, 120)
    box = np.float32([33.37, 41.21, 71.83, 90.49])
    near = np.zeros((140, 140, 3), np.uint8)
    near[10:130, 10:130] = face
    far = np.zeros((140 + dy, 140 + dx, 3), np.uint8)
    far[10 + dy : 130 + dy, 10 + dx : 130 + dx] = face
    for size in (7, 48, 112):
        one = cut(near, box[None] + 10, size=size, recipe=recipe("square-v1"))
        moved = box[None] + np.float32([dx, dy, dx, dy]) + 10
        assert (cut(far, moved, size=size, recipe=recipe("square-v1")) == one).all()


def test_only_the_pixels_around_the_face_matter():
    rgb = noise(400, 400)
    other = noise(400, 400, seed=1)
    other[80:220, 80:220] = rgb[80:220, 80:220]
    box = boxes([110, 110, 190, 190])
    one, two = (cut(p, box, size=32, recipe=recipe("square-v1")) for p in (rgb, other))
    assert (one == two).all()


def test_boxes_are_in_pixels_of_the_full_picture():
    full = np.asarray(Image.fromarray(noise(15, 15)).resize((240, 240), Image.Resampling.BICUBIC))
    half = np.asarray(Image.fromarray(full).reduce(2))
    box = boxes([61, 75, 170, 190])
    want = cut(full, box, size=32, recipe=PLAIN).astype(int)
    got = cut(half, box, size=32, recipe=PLAIN, scale=0.5).astype(int)
    assert np.abs(want - got).mean() < 1.5
    assert np.abs(want - got).max() <= 10


def test_shrinking_is_antialiased():
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = cut(stripes, boxes([20, 20, 180, 180]), size=16, recipe=PLAIN)
    assert np.abs(crop.astype(int) - 128).max() <= 4


@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 5], [5, 5, 5.01, 5.01], [9, 9, 2, 2], [-1e9, -1e9, 1e9, 1e9], [0, 0, 1e38, 1e38]],
)
def test_absurd_boxes_give_some_crop(box):
    crop = cut(noise(30, 40), boxes(box), size=24, recipe=recipe("square-v1"))
    assert crop.shape == (1, 24, 24, 3)


def test_one_pixel_picture():
    rgb = np.full((1, 1, 3), (1, 2, 3), np.uint8)
    crops = cut(rgb, boxes([0, 0, 1, 1], [-4, 0, 9, 2]), size=5, recipe=recipe("square-v1"))
    assert (crops == [1, 2, 3]).all()


def test_no_box_no_crop():
    assert cut(noise(9, 9), boxes(), size=5, recipe=PLAIN).shape == (0, 5, 5, 3)


def test_views_are_as_good_as_copies():
    rgb = noise(60, 60)[::-1, ::2]
    box = boxes([5, 9, 21, 30])
    want = cut(np.ascontiguousarray(rgb), box, size=12, recipe=PLAIN)
    assert (cut(rgb, box, size=12, recipe=PLAIN) == want).all()


@pytest.mark.parametrize(
    ("rgb", "box", "size"),
    [
        (np.zeros((9, 9), np.uint8), [0, 0, 5, 5], 4),
        (np.zeros((9, 9, 3)), [0, 0, 5, 5], 4),
        (np.zeros((0, 9, 3), np.uint8), [0, 0, 5, 5], 4),
        (np.zeros((9, 9, 3), np.uint8), [0, 0, np.nan, 5], 4),
        (np.zeros((9, 9, 3), np.uint8), [0, 0, 5, 5], 0),
    ],
)
def test_what_cannot_be_cut(rgb, box, size):
    with pytest.raises(UsageError):
        cut(rgb, boxes(box), size=size, recipe=PLAIN)


def test_recipes_by_name():
    assert recipe("square-v1") == CropRecipe("square-v1", margin=1.15, drop=0.02)
    assert recipe("square-v2") == CropRecipe("square-v2", margin=0.95, drop=0.02)
    assert recipe("whole-v1") == CropRecipe("whole-v1", margin=1.0, drop=0.0)
    assert all(name == each.name for name, each in RECIPES.items())
    with pytest.raises(UsageError, match=r"Did you mean 'square-v.'\? Known: square-v1"):
        recipe("square-v9")


def test_resize_leaves_the_right_size_alone():
    crops = noise(48, 48)[None]
    assert resize(crops, 48) is crops


@pytest.mark.parametrize("shape", [(3, 48, 48), (3, 48, 48, 3), (2, 20, 33, 3), (0, 9, 9)])
@pytest.mark.parametrize("size", [1, 24, 112])
def test_resize_keeps_the_rank(shape, size):
    crops = np.full(shape, 77, np.uint8)
    resized = resize(crops, size)
    assert resized.shape == (shape[0], size, size, *shape[3:])
    assert (resized == 77).all()


def test_resize_is_the_filter_of_cut():
    rgb = noise(64, 64)
    inside = resize(rgb[None, 16:48, 16:48], 16)[0].astype(int)
    crop = cut(rgb, boxes([16, 16, 48, 48]), size=16, recipe=PLAIN)[0].astype(int)
    assert np.abs(inside - crop)[1:-1, 1:-1].max() <= 1


def test_grey_is_pillows():
    rgb = noise(64, 64)
    assert (to_grey(rgb[None])[0] == np.asarray(Image.fromarray(rgb).convert("L"))).all()


def test_grey_knows_red_from_blue():
    pure = np.uint8([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]])
    assert to_grey(pure).tolist() == [[[76, 150, 29, 255]]]

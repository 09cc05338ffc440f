"""Augmentation: nothing at zero, the right direction and size elsewhere, and repeatable."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.train.data.augment import AugmentConfig, augment, blur, shrink  # noqa: E402

SIDE = 48
STILL = {"flip": 0.0, "rotate": 0.0, "shift": 0.0, "scale": 0.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def change(x, size=SIDE, seed=0, **options):
    return augment(x, AugmentConfig(**{**STILL, **options}), seeded(seed), size)


def noise(n=4, side=SIDE, seed=0):
    return torch.randint(0, 256, (n, 1, side, side), generator=seeded(seed)).float()


def blob(x, y, n=1):
    """A soft white spot about the pixel (x, y), on black."""
    at = torch.arange(SIDE, dtype=torch.float32)
    spot = torch.exp(-((at - x)[None, :] ** 2 + (at - y)[:, None] ** 2) / 8)
    return (255 * spot).expand(n, 1, SIDE, SIDE).contiguous()


def centres(pictures):
    """Where the light of each picture is, (n, 2), in pixels right of and below the middle."""
    light = pictures[:, 0] / pictures[:, 0].sum(dim=(1, 2), keepdim=True)
    at = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    return torch.stack([(light.sum(dim=1) * at).sum(1), (light.sum(dim=2) * at).sum(1)], dim=1)


def test_zero_is_the_picture_itself():
    x = noise()
    assert (change(x) - x).abs().max() < 0.05


def test_a_sure_flip_mirrors_exactly():
    x = noise()
    assert (change(x, flip=1.0) - x.flip(3)).abs().max() < 0.05


def test_every_other_picture_is_mirrored():
    x = blob(10, 23.5, n=1000)
    right = centres(change(x, flip=0.5))[:, 0] > 0
    assert 0.45 < right.float().mean() < 0.55


def test_shifts_go_every_way_and_are_of_the_size_asked_for():
    moved = centres(change(blob(23.5, 23.5, n=500), shift=0.25))
    assert moved.abs().max() <= 0.25 * SIDE + 0.1
    assert moved.abs().max() > 0.24 * SIDE
    # Uniform both ways: the deviation is the reach over the root of three.
    assert moved.std(dim=0) == pytest.approx([0.25 * SIDE / math.sqrt(3)] * 2, rel=0.1)
    assert moved.mean(dim=0).abs().max() < 1
    assert abs(float(torch.corrcoef(moved.T)[0, 1])) < 0.1


def test_rotations_turn_about_the_middle():
    turned = centres(change(blob(23.5 + 14, 23.5, n=500), rotate=30.0))
    assert turned.norm(dim=1) == pytest.approx([14.0] * 500, abs=0.2)
    degrees = torch.rad2deg(torch.atan2(turned[:, 1], turned[:, 0]))
    assert degrees.abs().max() <= 30.5
    assert degrees.abs().max() > 29
    assert float(degrees.std()) == pytest.approx(30 / math.sqrt(3), rel=0.1)
    assert abs(float(degrees.mean())) < 2


def test_scales_move_away_from_the_middle_and_towards_it():
    factor = centres(change(blob(23.5 + 10, 23.5 - 10, n=500), scale=0.2))
    across, down = (factor / torch.tensor([10.0, -10.0])).unbind(1)
    assert (across - down).abs().max() < 0.02
    assert 0.79 < across.min() < 0.82
    assert 1.18 < across.max() < 1.21


def test_a_flipped_picture_turns_the_same_way():
    x = blob(23.5 + 14, 23.5)
    plain = centres(change(x, rotate=30.0, seed=3))
    mirrored = centres(change(x, rotate=30.0, flip=1.0, seed=3))
    degrees = [math.degrees(math.atan2(y, x)) for x, y in (*plain.tolist(), *mirrored.tolist())]
    assert abs(degrees[0]) > 2
    assert abs(degrees[0]) + abs(degrees[1]) == pytest.approx(180, abs=0.5)


def test_the_border_is_repeated():
    x = torch.full((50, 1, SIDE, SIDE), 200.0)
    moved = change(x, rotate=30.0, shift=0.3, scale=0.3)
    assert (moved - 200).abs().max() < 0.01


@pytest.mark.parametrize("size", [24, 36, 64])
def test_the_output_has_the_size_asked_for(size):
    x = blob(12, 30, n=2)
    small = change(x, size=size)
    assert small.shape == (2, 1, size, size)
    brightest = divmod(int(small[0, 0].argmax()), size)
    scaled = [(30.5 / SIDE) * size - 0.5, (12.5 / SIDE) * size - 0.5]
    assert list(brightest) == pytest.approx(scaled, abs=1)


def test_colour_keeps_its_channels_together():
    x = torch.cat([blob(12, 30), blob(12, 30) / 2, blob(30, 12)], dim=1)
    out = change(x, rotate=20.0, shift=0.1)
    assert out.shape == (1, 3, SIDE, SIDE)
    assert (out[:, 0] - 2 * out[:, 1]).abs().max() < 0.01


EVERYTHING = AugmentConfig(
    flip=0.5,
    rotate=12,
    shift=0.1,
    scale=0.1,
    brightness=0.3,
    contrast=0.5,
    gamma=0.4,
    blur=0.8,
    small=0.3,
    noise=6.0,
    erase=0.5,
)


def test_the_same_generator_gives_the_same_pictures():
    x = noise(8)
    first, second = (augment(x, EVERYTHING, seeded(5), 36) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(x, EVERYTHING, seeded(6), 36))


def test_everything_stays_within_the_grey_levels():
    out = augment(noise(64), EVERYTHING, seeded(), SIDE)
    assert out.min() >= 0
    assert out.max() <= 255


def test_the_input_is_not_changed():
    x = noise()
    before = x.clone()
    augment(x, EVERYTHING, seeded(), SIDE)
    assert torch.equal(x, before)


def test_contrast_stretches_about_the_mean():
    x = 100 + 0.2 * noise(300)
    out = change(x, contrast=0.5)
    ratio = out.std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.53
    assert 1.47 < ratio.max() <= 1.5001
    assert (out.mean(dim=(1, 2, 3)) - x.mean(dim=(1, 2, 3))).abs().max() < 0.01


def test_brightness_lifts_by_a_part_of_the_range():
    x = 100 + 0.2 * noise(300)
    lift = (change(x, brightness=0.2) - x).mean(dim=(1, 2, 3))
    assert -51.01 < lift.min() < -48
    assert 48 < lift.max() < 51.01


def test_a_rectangle_of_the_mean_is_erased():
    x = noise(200)
    out = change(x, erase=1.0)
    kept = change(x)
    for before, after in zip(kept[:, 0], out[:, 0], strict=True):
        rows, columns = torch.nonzero(before != after, as_tuple=True)
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        # A tenth to a third of each side, and nothing but the mean inside.
        assert 4 <= bottom - top <= 17
        assert 4 <= right - left <= 17
        inside = after[top:bottom, left:right]
        assert (inside - before.mean()).abs().max() < 0.01


def test_erasing_happens_as_often_as_asked():
    x = noise(500)
    changed = (change(x, erase=0.3) != change(x)).flatten(1).any(dim=1)
    assert 0.25 < changed.float().mean() < 0.35


def spread(spots):
    """The variance of each picture's light along x and along y, (n, 2), in pixels squared."""
    light = spots[:, 0] / spots[:, 0].sum(dim=(1, 2), keepdim=True)
    at = torch.arange(SIDE, dtype=torch.float32)
    parts = torch.stack([light.sum(dim=1), light.sum(dim=2)], dim=1)
    mean = (parts * at).sum(dim=2, keepdim=True)
    return (parts * (at - mean) ** 2).sum(dim=2)


def point(n=1):
    """A single white pixel in the middle, (24, 24), on black."""
    x = torch.zeros(n, 1, SIDE, SIDE)
    x[:, :, 24, 24] = 255.0
    return x


def test_a_blur_is_a_gaussian_of_five_pixels():
    """One pixel's light is laid out as the product of two rows w(2), w(1), 1, w(1), w(2)."""
    out = blur(point(500), AugmentConfig(blur=1.0), seeded())[:, 0]
    assert out.sum(dim=(1, 2)) == pytest.approx([255.0] * 500, rel=1e-4)
    ones = out[:, 24, 25] / out[:, 24, 24]
    twos = out[:, 24, 26] / out[:, 24, 24]
    # exp(-1 / 2s^2) and exp(-4 / 2s^2): the second is the fourth power of the first.
    assert (twos - ones**4).abs().max() < 1e-4
    assert (out[:, 25, 25] / out[:, 24, 24] - ones**2).abs().max() < 1e-4
    assert torch.equal(out[:, 23, 24], out[:, 25, 24])
    assert torch.allclose(out[:, 24, 25], out[:, 25, 24])
    assert out[:, 24, 27].abs().max() == 0
    sigma = (-0.5 / ones[ones > 1e-6].log()).sqrt()
    assert sigma.max() <= 1.0001
    assert sigma.max() > 0.98
    # Uniform from 0 to 1: half of the deviations lie below a half.
    assert 0.44 < (ones < math.exp(-2)).float().mean() < 0.56


def test_a_blur_widens_by_its_variance_and_leaves_the_middle_where_it_is():
    x = blob(20, 30, n=50)
    out = change(x, blur=0.8)
    # Variances add up: that of the five weights, the same along both sides.
    more = spread(out) - spread(x)
    assert (more[:, 0] - more[:, 1]).abs().max() < 0.01
    assert more.min() > -0.01
    assert 0.55 < more.max() < 0.65  # 0.8^2, less what lies beyond two pixels
    assert (centres(out) - centres(x)).abs().max() < 0.01


def test_a_blur_leaves_flat_pictures_and_their_borders_alone():
    flat = torch.full((20, 3, SIDE, SIDE), 200.0)
    assert (blur(flat, AugmentConfig(blur=2.0), seeded()) - 200).abs().max() < 0.001
    step = torch.zeros(5, 1, SIDE, SIDE)
    step[..., 24:] = 100.0
    out = blur(step, AugmentConfig(blur=1.0), seeded())
    assert out[..., :22].abs().max() == 0
    assert (out[..., 26:] - 100).abs().max() < 0.001
    assert torch.equal(out[:, :, :1].expand_as(out), out)  # every row is the same


def test_grey_levels_are_bent_by_a_power():
    x = torch.linspace(0, 255, SIDE * SIDE).view(1, 1, SIDE, SIDE).expand(400, 1, SIDE, SIDE)
    out = change(x.contiguous(), gamma=0.4)
    middle = (out[:, 0, 24, 24] / 255).log() / (x[:, 0, 24, 24] / 255).log()
    quarter = (out[:, 0, 12, 12] / 255).log() / (x[:, 0, 12, 12] / 255).log()
    assert (middle - quarter).abs().max() < 0.01  # one power for all of a picture
    power = middle.log()
    assert power.abs().max() <= 0.4001
    assert power.min() < -0.39 and power.max() > 0.39
    assert float(power.std()) == pytest.approx(0.4 / math.sqrt(3), rel=0.1)
    assert out[:, 0, 0, 0].abs().max() == 0 and (out[:, 0, -1, -1] - 255).abs().max() < 0.01


def test_noise_has_a_deviation_of_its_own_in_every_picture():
    grey = torch.full((400, 1, SIDE, SIDE), 128.0)
    out = change(grey, noise=6.0)
    deviation = out.std(dim=(1, 2, 3))
    assert deviation.min() < 0.3 and 5.8 < deviation.max() < 6.3
    assert float(deviation.mean()) == pytest.approx(3.0, rel=0.08)
    assert (out.mean(dim=(1, 2, 3)) - 128).abs().max() < 0.6
    assert not torch.equal(out[0], out[1])


def test_noise_stays_within_the_grey_levels():
    for level in (0.0, 255.0):
        out = change(torch.full((50, 1, SIDE, SIDE), level), noise=20.0)
        assert out.min() >= 0 and out.max() <= 255
        assert (out != level).any()


def test_some_faces_are_shown_as_if_they_had_been_small():
    x = noise(600)
    out = shrink(x, AugmentConfig(small=0.3), seeded())
    changed = (out != x).flatten(1).any(dim=1)
    assert 0.24 < changed.float().mean() < 0.36
    assert torch.equal(out[~changed], x[~changed])
    # Noise is averaged away, the light of a picture stays.
    assert (out[changed].std(dim=(1, 2, 3)) < 0.75 * x[changed].std(dim=(1, 2, 3))).all()
    assert (out.mean(dim=(1, 2, 3)) - x.mean(dim=(1, 2, 3))).abs().max() < 6
    assert out.min() >= 0 and out.max() <= 255


def test_small_faces_have_a_quarter_to_two_thirds_of_the_side():
    """A point's light is as wide as the pixels of the small picture are."""
    widths = []
    for seed in range(200):
        out = shrink(point(), AugmentConfig(small=1.0), seeded(seed))
        lit = (out[0, 0] > 0.5).any(dim=0).sum()
        widths.append(int(lit))
    # Bilinear both ways: a point reaches about three small pixels, of 1.5 to 4 large ones.
    assert 4 <= min(widths) <= 6
    assert 11 <= max(widths) <= 17
    assert len(set(widths)) > 6


def test_a_small_face_stays_where_it_is():
    x = blob(20, 30, n=50)
    out = shrink(x, AugmentConfig(small=1.0), seeded())
    assert (out != x).any()
    assert (centres(out) - centres(x)).abs().max() < 0.1


@pytest.mark.parametrize("part", ["gamma", "blur", "noise", "small"])
def test_zero_turns_the_newer_parts_off_without_moving_the_others(part):
    """What else is drawn does not change with a part that is off: old runs can be repeated."""
    x = noise(8)
    told = {"rotate": 10.0, "shift": 0.1, "erase": 0.5}
    assert torch.equal(change(x, **told), change(x, **told, **{part: 0.0}))
    assert not torch.equal(change(x), change(x, **{part: 0.3}))

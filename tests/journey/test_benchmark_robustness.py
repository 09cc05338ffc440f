"""The changes that benchmarks/robustness.py makes to a picture, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripts import load_script

from mien.faces.crop import recipe

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "robustness.py"


@pytest.fixture(scope="module")
def changes():
    """The script as a module."""
    return load_script(FILE)


@pytest.fixture
def case(changes):
    """A face of 40 x 40 in a picture of 80 x 100 with a level ramp, 2 a pixel from 20 on."""
    ramp = np.broadcast_to(20 + 2 * np.arange(100), (80, 100)).astype(np.uint8)
    rgb = np.repeat(ramp[..., None], 3, axis=2)
    return changes.Case(rgb, np.array([30.0, 20.0, 70.0, 60.0]), 4)


def test_a_unit_is_the_side_of_the_box(case):
    assert case.unit == 40
    wide = replace(case, box=np.array([0.0, 0.0, 20.0, 80.0]))
    assert wide.unit == 40


def test_every_other_picture_goes_the_other_way(case):
    assert [replace(case, number=n).sign for n in (0, 2, 4, 6)] == [-1, 1, -1, 1]


def test_shrinking_keeps_the_box_on_the_face(changes, case):
    small = changes.shrunk(10)(case)
    assert small.rgb.shape == (20, 25, 3)
    assert small.box == pytest.approx([7.5, 5, 17.5, 15])
    # A ramp stays a ramp of four times the slope, the first value the mean of the first four.
    assert small.rgb[10, 10:12, 0].tolist() == pytest.approx([103, 111], abs=1)


def test_a_smear_of_a_ramp_is_the_ramp_inside(changes, case):
    changed = changes.smeared(0.1)(case)  # 4 pixels: 2 to either side
    assert changed.rgb[:, 2:-2].tolist() == case.rgb[:, 2:-2].tolist()
    assert changed.rgb[0, 0, 0] == round((20 * 3 + 22 + 24) / 5)
    spot = np.zeros((9, 9, 3), np.uint8)
    spot[4, 4] = 100
    line = changes.smeared(0.1)(replace(case, rgb=spot)).rgb[..., 0]
    assert line[4].tolist() == [0, 0, 20, 20, 20, 20, 20, 0, 0]
    assert line.sum() == 100


def test_a_blur_is_as_wide_as_it_says(changes, case):
    spot = np.zeros((41, 41, 3), np.uint8)
    spot[:, 20] = 255
    line = changes.blurred(0.1)(replace(case, rgb=spot)).rgb[20, :, 0].astype(float)
    spread = np.sqrt((line * (np.arange(41) - 20) ** 2).sum() / line.sum())
    assert spread == pytest.approx(4, rel=0.1)


def test_values_and_colours(changes, case):
    assert changes.valued(lambda x: x * 2)(case).rgb[0, 10].tolist() == [80, 80, 80]
    assert changes.valued(lambda x: x * 2)(case).rgb[0, 99].tolist() == [255, 255, 255]
    assert changes.tinted(1, 0.5, 0.25)(case).rgb[0, 10].tolist() == [40, 20, 10]
    plain = changes.CHANGES["colour"]["no colour"]
    coloured = replace(case, rgb=np.full((4, 4, 3), (200, 100, 50), np.uint8))
    assert plain(coloured).rgb[0, 0].tolist() == [round(59.8 + 58.7 + 5.7)] * 3
    lower = changes.CHANGES["contrast"]["times 0.5"](case).rgb.astype(float)
    assert lower.mean() == pytest.approx(case.rgb.mean(), abs=0.5)
    assert lower.std() == pytest.approx(case.rgb.std() / 2, rel=0.02)


def test_noise_is_the_same_in_every_run_and_another_in_each_picture(changes, case):
    grey = replace(case, rgb=np.full((60, 60, 3), 128, np.uint8))
    one = changes.noisy(10)(grey).rgb
    assert one.tolist() == changes.noisy(10)(grey).rgb.tolist()
    assert one.astype(float).std() == pytest.approx(10, rel=0.03)
    assert (one != changes.noisy(10)(replace(grey, number=6)).rgb).any()


def test_a_turn_is_about_the_faces_centre(changes, case):
    """A mark right of the centre goes up where degrees count against the clock, else down."""
    rgb = np.zeros((80, 100, 3), np.uint8)
    rgb[39:41, 64:66] = 250  # 15 right of (50, 40)
    quarter_turn = changes.rolled(90)
    up = quarter_turn(replace(case, rgb=rgb, number=2)).rgb[..., 0]
    assert np.argwhere(up > 200).mean(axis=0) == pytest.approx([25 - 0.5, 50 - 0.5], abs=1)
    down = quarter_turn(replace(case, rgb=rgb, number=4)).rgb[..., 0]
    assert np.argwhere(down > 200).mean(axis=0) == pytest.approx([55 - 0.5, 50 - 0.5], abs=1)


def test_what_is_covered(changes, case):
    masked = changes.covered(0.0, 0.5, 1.0, 1.0, (1, 2, 3))(case)
    seen = (masked.rgb == (1, 2, 3)).all(axis=2)
    assert seen[40:60, 30:70].all() and seen.sum() == 20 * 40
    parts = [changes.quarter(replace(case, number=n)).rgb for n in (0, 2, 4, 6)]
    grey = [tuple(np.argwhere((part == 128).all(axis=2)).mean(axis=0).round()) for part in parts]
    assert len(set(grey)) == 4
    assert case.rgb[50, 50, 0] == 120  # the picture itself stays as it is


def test_the_box_moves_by_parts_of_the_face(changes, case):
    assert changes.moved(0.1, -0.2)(case).box.tolist() == [34, 12, 74, 52]
    assert changes.resized(0.5)(case).box.tolist() == [40, 30, 60, 50]


def test_all_changes_give_crops_and_the_first_is_the_picture_as_it_is(changes, case):
    grey = np.random.default_rng(0).integers(30, 200, (80, 100, 1)).repeat(3, axis=2)
    case = replace(case, rgb=grey.astype(np.uint8))
    crops = changes.crops_of(case, 40, recipe("square-v1"))
    names = list(changes.every_change())
    assert crops.shape == (len(names), 40, 40, 3)
    different = [(crop != crops[0]).any() for crop in crops]
    same = [names[i][:2] for i, differs in enumerate(different) if not differs]
    assert same == [("as it is", ""), ("colour", "no colour")]


def test_the_table_pairs_faces(changes):
    """Two of four faces are lost under the second change, none under the others."""
    n = sum(1 for _ in changes.every_change())
    told = np.zeros((n, 4), int)
    told[1, :2] = 1
    lines = list(changes.table(told, np.zeros(4, int)))
    assert len(lines) == n + 2
    assert lines[2] == "| as it is |  | 100.0% |  |  | 100% |"
    cells = [cell.strip() for cell in lines[3].split("|")[1:-1]]
    assert cells[:4] == ["size of the face", "96 pixels", "50.0%", "-50.0"]
    assert cells[5] == "50%"
    low, high = (float(word) for word in cells[4].split(" to "))
    assert -100 <= low < -50 < high <= 0

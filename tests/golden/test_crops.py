"""Crops stay what they were when their recipe was published."""

from pathlib import Path

import numpy as np
import pytest
from scripts import load_script

from mien.faces.crop import RECIPES

make_crops = load_script(Path(__file__).with_name("make_crops.py"))

WANT = np.load(make_crops.FILE)
GOT = make_crops.make()


@pytest.mark.parametrize("name", GOT)
def test_as_published(name):
    assert name in WANT.files, "a new recipe: run tests/golden/make_crops.py"
    assert GOT[name].shape == WANT[name].shape
    assert np.abs(GOT[name].astype(int) - WANT[name]).max() <= 1


def test_no_recipe_has_gone():
    assert {name.split()[0] for name in WANT.files} <= set(RECIPES)

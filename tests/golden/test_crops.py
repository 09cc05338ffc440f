"""Crops stay what they were when their recipe was published."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mien.faces.crop import RECIPES

SCRIPT = Path(__file__).with_name("make_crops.py")
spec = importlib.util.spec_from_file_location("make_crops", SCRIPT)
make_crops = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_crops)

WANT = np.load(make_crops.FILE)
GOT = make_crops.make()


@pytest.mark.parametrize("name", GOT)
def test_as_published(name):
    assert name in WANT.files, "a new recipe: run tests/golden/make_crops.py"
    assert GOT[name].shape == WANT[name].shape
    assert np.abs(GOT[name].astype(int) - WANT[name]).max() <= 1


def test_no_recipe_has_gone():
    assert {name.split()[0] for name in WANT.files} <= set(RECIPES)

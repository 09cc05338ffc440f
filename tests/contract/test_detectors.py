"""What every detector must do, whichever it is."""

import numpy as np
import pytest
from PIL import Image

from mien.errors import MienError, ModelError
from mien.faces.detect import DETECTORS, load_detector

SEARCHING = [name for name in DETECTORS if name != "none"]

# Where the face is in examples/*.jpg: YuNet's boxes, rounded; their crops were looked at.
FACES = {"obama.jpg": (262, 65, 430, 295), "biden.jpg": (155, 65, 260, 208)}


@pytest.fixture(params=SEARCHING)
def name(request):
    if request.param == "yunet":
        request.getfixturevalue("yunet_home")
    try:
        load_detector(request.param)
    except (MienError, ModelError) as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture
def obama(examples):
    return np.asarray(Image.open(examples / "obama.jpg").convert("RGB"))


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.clip(high - low, 0, None).prod()
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("photo", FACES)
def test_finds_the_face_of_a_portrait(name, examples, photo):
    rgb = np.asarray(Image.open(examples / photo).convert("RGB"))
    found = load_detector(name, max_faces=1, max_side=400)(rgb)
    assert len(found) == 1
    assert overlap(found.boxes[0], np.float32(FACES[photo])) > 0.6


def test_what_comes_back(name, media):
    rgb = np.asarray(Image.open(media / "selfie-many-people.jpg").convert("RGB"))
    height, width, _ = rgb.shape
    found = load_detector(name)(rgb)
    assert len(found) >= 3
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= [width, height]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert ((found.scores > 0) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()


def test_landmarks_are_where_they_are_said_to_be(name, obama):
    found = load_detector(name, max_faces=1, max_side=320)(obama)
    if found.points is None:
        pytest.skip(f"{name} gives no landmarks")
    left_eye, right_eye, nose, mouth_left, mouth_right = found.points[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (31, 33), (3, 4000), (4000, 3)])
def test_no_face_in_grey(name, shape):
    assert len(load_detector(name)(np.full((*shape, 3), 128, np.uint8))) == 0


def test_no_face_in_a_photo_without(name, media):
    rgb = np.asarray(Image.open(media / "no-faces.jpg").convert("RGB"))
    assert len(load_detector(name)(rgb)) == 0


def test_memory_order_does_not_matter(name, obama):
    find = load_detector(name, max_side=320)
    small = obama[::2, ::2]  # not contiguous
    want = find(np.ascontiguousarray(small))
    assert len(want) >= 1
    for same in (small, np.asfortranarray(small), small[::-1][::-1]):
        assert find(same).boxes.tolist() == want.boxes.tolist()


def test_the_picture_is_not_changed(name, obama):
    picture = obama.copy()
    picture.setflags(write=False)
    load_detector(name, max_side=320)(picture)
    assert (picture == obama).all()


def test_boxes_follow_the_size_of_the_picture(name, obama):
    find = load_detector(name, max_faces=1, max_side=320)
    picture = Image.fromarray(obama)
    large = np.asarray(picture.resize((1280, 1600), Image.Resampling.BILINEAR))
    once, twice = find(obama).boxes[0], find(large).boxes[0]
    assert np.abs(twice / 2 - once).max() < 0.05 * (once[2] - once[0])


def test_options_are_honoured(name, media):
    picture = Image.open(media / "selfie-many-people.jpg").convert("RGB")
    rgb = np.asarray(picture.reduce(2))
    every = load_detector(name)(rgb)
    sides = np.min(every.boxes[:, 2:] - every.boxes[:, :2], axis=1)
    assert len(every) >= 2
    best = load_detector(name, max_faces=1)(rgb)
    assert best.boxes.tolist() == every.boxes[:1].tolist()
    limit = float(sides.max())
    large = load_detector(name, min_face=limit)(rgb)
    assert large.boxes.tolist() == every.boxes[sides >= limit].tolist()
    middle = float(every.scores[0])
    sure = load_detector(name, min_score=middle)(rgb)
    assert sure.scores.tolist() == every.scores[every.scores >= middle].tolist()
    assert len(load_detector(name, min_score=1.0)(rgb)) == 0

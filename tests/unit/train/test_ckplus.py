"""CK+ in its three forms, written small: who, which frames, which class."""

import tarfile

import numpy as np
import pytest
from conftest import data_folder
from PIL import Image
from synthetic_faces import write_csv

from mien.errors import DataError, UsageError
from mien.faces.crop import RECIPES, cut
from mien.labels import EIGHT, SEVEN
from mien.train.data import ckplus
from mien.train.data.splits import subject_folds
from mien.types import Faces

NO_NEUTRAL = tuple(label for label in EIGHT if label != "neutral")
FOLDERS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


def picture(path, level, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)


def read_all(root, **options):
    (rows,) = ckplus.read(root, ["all"], size=8, **options)
    return rows


def label_names(rows):
    labels = rows.labels["ckplus"]
    return [labels[i] for i in rows.targets["ckplus"].argmax(axis=1)]


@pytest.fixture
def small(tmp_path):
    """CK+48 with two subjects a class; the grey level is 10 times the class, plus the subject."""
    for i, folder in enumerate(FOLDERS):
        for subject in (5, 11):
            picture(tmp_path / folder / f"S{subject:03}_001_00000017.png", 10 * i + subject)
    return tmp_path


def test_ck48_maps_folders_by_name(small):
    rows = read_all(small)
    assert rows.labels["ckplus"] == NO_NEUTRAL
    levels = rows.images[:, 0, 0]
    assert (rows.images == levels[:, None, None]).all()
    for level, label, subject, name in zip(
        levels.tolist(), label_names(rows), rows.subjects, rows.names, strict=True
    ):
        number = 5 if level % 10 == 5 else 11
        folder = FOLDERS[(level - number) // 10]
        assert label == {"happy": "happiness"}.get(folder, folder)
        assert subject == f"S{number:03}"
        assert name == f"{folder}/S{number:03}_001_00000017.png"
    assert rows.counts("ckplus") == dict.fromkeys(NO_NEUTRAL, 2.0)


def test_ck48_may_lie_in_a_folder_of_its_name(small, tmp_path_factory):
    home = tmp_path_factory.mktemp("parent")
    small.rename(home / "CK+48")
    assert len(read_all(home)) == 14


def test_ck48_folds_are_disjoint_by_subject(small):
    train, test = ckplus.read(small, ["train-1/2", "test-1/2"], size=8)
    assert set(test.subjects) == {"S005"}
    assert set(train.subjects) == {"S011"}
    assert len(train) == len(test) == 7


def test_without_contempt(small):
    rows = read_all(small, contempt=False)
    assert rows.labels["ckplus"] == SEVEN[1:]
    assert len(rows) == 12


def test_in_colour_and_at_another_size(small):
    rows = ckplus.read(small, ["all"], size=5, colour=True)[0]
    assert rows.images.shape == (14, 5, 5, 3)


def test_ck48_has_no_neutral(small):
    with pytest.raises(UsageError, match="no neutral faces"):
        read_all(small, neutral=True)


def test_a_partial_ck48_says_what_is_there(small):
    for path in (small / "happy").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="happy: no pictures"):
        read_all(small)
    (small / "happy").rmdir()
    with pytest.raises(DataError, match=r"seven folders .* these surprise, sadness, anger"):
        read_all(small)


def test_nothing_there(tmp_path):
    for root in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DataError, match=r"expected cohn-kanade-images .* of these none"):
            read_all(root)


def test_a_strange_name_and_a_cut_picture(small):
    cut = small / "fear" / "S005_001_00000017.png"
    cut.write_bytes(cut.read_bytes()[:40])
    with pytest.raises(DataError, match=r"1 of 14 pictures cannot be read(.|\n)*fear.S005"):
        read_all(small)
    picture(small / "fear" / "face.png", 3)
    with pytest.raises(DataError, match=r"face\.png: expected names such as S010"):
        read_all(small)


# --- the original release


def sequence(root, subject, number, frames, code=None, size=(12, 8)):
    """Frames whose grey level is their number; labelled with `code` at the last, if any."""
    inside = f"{subject}/{number}"
    for i in range(1, frames + 1):
        name = f"{subject}_{number}_{i:08}"
        picture(root / "cohn-kanade-images" / inside / f"{name}.png", i, size)
    if code is not None:
        path = root / "Emotion" / inside / f"{name}_emotion.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"   {code:.7e}\n")


@pytest.fixture
def original(tmp_path):
    sequence(tmp_path, "S010", "002", 9, 7)
    sequence(tmp_path, "S010", "004", 5, 2)
    sequence(tmp_path, "S011", "001", 6)  # no label
    sequence(tmp_path, "S022", "003", 7, 5)
    return tmp_path


def test_the_last_frames_of_labelled_sequences(original):
    rows = read_all(original, crop="whole")
    assert rows.labels["ckplus"] == NO_NEUTRAL
    assert rows.images[:, 4, 4].tolist() == [7, 8, 9, 3, 4, 5, 5, 6, 7]
    assert label_names(rows) == ["surprise"] * 3 + ["contempt"] * 3 + ["happiness"] * 3
    assert rows.subjects == ("S010",) * 6 + ("S022",) * 3
    assert rows.names[0] == "cohn-kanade-images/S010/002/S010_002_00000007.png"


def test_the_first_frame_as_neutral_and_one_last(original):
    rows = read_all(original, crop="whole", neutral=True, frames=1)
    assert rows.labels["ckplus"] == EIGHT
    assert rows.images[:, 4, 4].tolist() == [1, 9, 1, 5, 1, 7]
    assert label_names(rows)[::2] == ["neutral"] * 3
    assert label_names(rows)[1::2] == ["surprise", "contempt", "happiness"]


def test_yus_classes_are_six_and_neutral(original):
    rows = read_all(original, crop="whole", neutral=True, contempt=False, frames=1)
    assert rows.labels["ckplus"] == SEVEN
    assert label_names(rows) == ["neutral", "surprise", "neutral", "neutral", "happiness"]


@pytest.mark.parametrize(
    ("code", "label"),
    [
        *((0, "neutral"), (1, "anger"), (2, "contempt"), (3, "disgust")),
        *((4, "fear"), (5, "happiness"), (6, "sadness"), (7, "surprise")),
    ],
)
def test_codes_of_the_original(tmp_path, code, label):
    sequence(tmp_path, "S001", "001", 4, code)
    rows = read_all(tmp_path, crop="whole", neutral=True, frames=1)
    assert label_names(rows)[1] == label


def test_a_wrong_code_names_the_file(original):
    sequence(original, "S022", "003", 7, 9)
    with pytest.raises(DataError, match=r"S022_003_00000007_emotion.txt, line 1: '9.0\d*e\+00'"):
        read_all(original, crop="whole")


def test_a_sequence_that_is_not_there(original):
    for path in (original / "cohn-kanade-images" / "S022" / "003").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"003: 0 frames are too few for .*S022_003"):
        read_all(original, crop="whole")


def test_images_without_labels(tmp_path):
    sequence(tmp_path, "S001", "001", 4)
    with pytest.raises(DataError, match=r"expected Emotion/S005/001"):
        read_all(tmp_path)


def test_crops_by_landmarks(tmp_path):
    """The points span x 10-32, y 20-42: centre (21, 31), side 200 (22 + 22) / 220 = 40."""
    sequence(tmp_path, "S001", "001", 1, 3, size=(80, 80))
    path = tmp_path / "cohn-kanade-images" / "S001" / "001" / "S001_001_00000001.png"
    pixels = np.zeros((80, 80), np.uint8)
    pixels[11:51, 1:41] = 200  # exactly the square
    Image.fromarray(pixels).save(path)
    points = np.tile([[21.0, 31.0]], (68, 1))
    points[:2] = (10, 20), (32, 42)
    marks = tmp_path / "Landmarks" / "S001" / "001" / "S001_001_00000001_landmarks.txt"
    with pytest.raises(DataError, match="needs one for every frame"):
        read_all(tmp_path, crop="landmarks", frames=1)
    marks.parent.mkdir(parents=True)
    np.savetxt(marks, points)
    (rows,) = ckplus.read(tmp_path, ["all"], size=40, frames=1, crop="landmarks")
    assert (rows.images == 200).all()
    np.savetxt(marks, points[:67])
    with pytest.raises(DataError, match="134 numbers, expected 68 points"):
        read_all(tmp_path, crop="landmarks", frames=1)


def finds(monkeypatch, *boxes):
    """Let the detector find these boxes in every picture."""
    found = Faces(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))
    monkeypatch.setattr(ckplus, "load_detector", lambda *a, **k: lambda rgb: found)


def test_crops_by_a_detector(tmp_path, monkeypatch):
    sequence(tmp_path, "S001", "001", 1, 3)
    path = tmp_path / "cohn-kanade-images" / "S001" / "001" / "S001_001_00000001.png"
    pixels = np.random.default_rng(4).integers(0, 256, (60, 80), np.uint8)
    Image.fromarray(pixels).save(path)
    box = (20, 10, 60, 50)
    finds(monkeypatch, box)
    (rows,) = ckplus.read(tmp_path, ["all"], size=12, frames=1)
    rgb = np.repeat(pixels[:, :, None], 3, axis=2)
    boxes = np.array([box], np.float32)
    wanted = cut(rgb, boxes, size=12, recipe=RECIPES["square-v2"])[0, :, :, 0]
    assert (rows.images[0] == wanted).all()


def test_frames_without_a_face_are_named(original, monkeypatch):
    finds(monkeypatch)
    with pytest.raises(DataError, match=r"9 of 9 pictures(.|\n)*S010_002_00000007.png: no face"):
        read_all(original)


def test_options_that_are_none(original):
    with pytest.raises(UsageError, match=r"crop is 'none'; .* by detect, landmarks, whole"):
        read_all(original, crop="none")
    with pytest.raises(UsageError, match="frames is 0"):
        read_all(original, frames=0)


# --- ckextended.csv


@pytest.fixture
def extended(tmp_path):
    codes = "01234567"
    usage = ["Training"] * 6 + ["PublicTest", "PrivateTest"]
    rows = [(c, " ".join([c + "0"] * 2304), u) for c, u in zip(codes, usage, strict=True)]
    write_csv(tmp_path / "ckextended.csv", rows)
    return tmp_path


def test_codes_of_ckextended(extended):
    rows = read_all(extended, neutral=True)
    wanted = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt"]
    assert label_names(rows) == wanted
    assert rows.images[:, 3, 3].tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    assert rows.subjects is None


def test_ckextended_without_neutral_and_its_usage(extended):
    training, private = ckplus.read(extended, ["Training", "PrivateTest"], size=8)
    assert len(training) == 6
    assert label_names(private) == ["contempt"]
    assert private.names == ("row 7",)
    assert private.labels["ckplus"] == NO_NEUTRAL


def test_a_split_of_ckextended_without_rows(extended):
    with pytest.raises(DataError, match="no rows of the split 'PrivateTest' and the wanted"):
        ckplus.read(extended, ["PrivateTest"], contempt=False)


def test_ckextended_cannot_be_split_by_subject(extended):
    with pytest.raises(DataError, match=r"leaky-test-1/2 splits at random"):
        ckplus.read(extended, ["test-1/2"])
    test, train = ckplus.read(extended, ["leaky-test-1/2", "leaky-train-1/2"], size=8)
    assert sorted(test.names + train.names) == [f"row {i}" for i in (0, 1, 2, 3, 4, 5, 7)]


def test_a_wrong_row_of_ckextended(extended):
    write_csv(extended / "ckextended.csv", [("8", " ".join(["0"] * 2304), "Training")])
    with pytest.raises(DataError, match=r"ckextended.csv, line 2: emotion is '8', expected 0-7"):
        read_all(extended)


# --- the real thing


@pytest.mark.data
def test_the_real_ck48(tmp_path):
    with tarfile.open(data_folder() / "ckplus48.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    (rows,) = ckplus.read(tmp_path, ["all"])
    assert len(rows) == 981
    assert len(set(rows.subjects)) == 118
    counts = {k: int(v) for k, v in rows.counts("ckplus").items()}
    want = {"anger": 135, "contempt": 54, "disgust": 177, "fear": 75}
    assert counts == {**want, "happiness": 207, "sadness": 84, "surprise": 249}
    folds = subject_folds(rows.subjects, 10)
    assert sum(len(at) for at in folds) == 981
    assert sum(len({rows.subjects[i] for i in at}) for at in folds) == 118

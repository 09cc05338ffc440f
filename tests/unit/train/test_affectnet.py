"""AffectNet in both forms, written small."""

import csv
import tarfile

import numpy as np
import pytest
from conftest import data_folder
from PIL import Image

from mien.errors import DataError, UsageError
from mien.faces.crop import RECIPES, cut
from mien.labels import EIGHT, SEVEN
from mien.train.data import affectnet, pictures
from mien.types import Faces

NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
# valence and arousal where each expression is expected, by code
TYPICAL = (
    *[(0.1, 0.1), (0.7, 0.2), (-0.6, -0.3), (0.2, 0.8)],
    *[(-0.3, 0.7), (-0.6, 0.4), (-0.5, 0.6), (-0.5, 0.3)],
)
SQUARE = np.tile([[21.0, 31.0]], (68, 1))
SQUARE[:2] = (10, 20), (32, 42)  # EmoNet's square around it is x 1-41, y 11-51


def item(root, n, code, valence, arousal, level=None, points=SQUARE):
    """One picture of the small form, 80x80, and its four files, with scalars as strings."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.full((80, 80, 3), n if level is None else level, np.uint8)
    Image.fromarray(pixels).save(root / "images" / f"{n}.jpg", quality=100)
    for kind, value in (("exp", str(code)), ("val", str(valence)), ("aro", str(arousal))):
        np.save(root / "annotations" / f"{n}_{kind}.npy", np.array(value))
    np.save(root / "annotations" / f"{n}_lnd.npy", np.asarray(points, np.float64).reshape(-1))


@pytest.fixture
def small(tmp_path):
    for code, (valence, arousal) in enumerate(TYPICAL):
        item(tmp_path / "val_set", 8 + code, code, valence, arousal)
    return tmp_path


def only(root, split="validation", **options):
    (rows,) = affectnet.read(root, [split], **{"size": 16, **options})
    return rows


def label_names(rows):
    labels = rows.labels["affectnet"]
    return [labels[i] for i in rows.targets["affectnet"].argmax(axis=1)]


def test_the_scalars_are_strings(small):
    kept = np.load(small / "val_set" / "annotations" / "8_exp.npy", allow_pickle=False)
    assert kept.shape == () and kept.dtype.kind == "U"
    rows = only(small)
    assert label_names(rows) == list(NAMES)
    assert rows.labels == {"affectnet": EIGHT, "affect": ("valence", "arousal")}
    assert rows.targets["affect"] == pytest.approx(np.array(TYPICAL, np.float32))
    assert rows.targets["affect"].dtype == np.float32
    assert rows.images[:, 8, 8].tolist() == list(range(8, 16))
    assert rows.names[1:3] == ("val_set/images/9.jpg", "val_set/images/10.jpg")
    assert rows.images.shape == (8, 16, 16)


def test_seven_classes_leave_contempt_out(small):
    rows = only(small, classes=7)
    assert rows.labels["affectnet"] == SEVEN
    assert label_names(rows) == list(NAMES[:7])
    with pytest.raises(UsageError, match="classes is 5"):
        only(small, classes=5)
    with pytest.raises(UsageError, match=r"crop is 'landmark'; .* by whole, landmarks, box"):
        only(small, crop="landmark")


def test_undefined_is_nan_and_unclassed_left_out(small):
    item(small / "val_set", 30, 3, -2, 0.5)
    item(small / "val_set", 31, 8, 0.1, 0.1)
    item(small / "val_set", 32, 10, -2, -2)
    rows = only(small)
    assert len(rows) == 9
    assert rows.targets["affect"][8] == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert len(only(small, clean=True)) == 8


def test_clean_keeps_the_typical_and_drops_the_rest(small):
    assert len(only(small, clean=True)) == 8
    item(small / "val_set", 40, 1, -0.5, 0.5)  # unhappy happiness
    item(small / "val_set", 41, 0, 0.2, 0.0)  # too far for neutral
    assert label_names(only(small, clean=True)) == list(NAMES)


@pytest.mark.parametrize(
    ("label", "valence", "arousal", "kept"),
    [
        ("neutral", 0.19, 0.0, True),
        ("neutral", 0.2, 0.0, False),
        ("happiness", 0.0, 0.9, False),
        ("happiness", 0.01, 0.9, True),
        ("happiness", 0.2, 0.0, False),
        ("sadness", 0.0, -0.9, False),
        ("sadness", -0.3, 0.9, True),
        ("surprise", 0.5, 0.0, False),
        ("surprise", -0.9, 0.1, True),
        ("fear", 0.0, 0.5, True),
        ("fear", -0.5, 0.0, True),
        ("fear", 0.1, 0.5, False),
        ("fear", -0.5, -0.1, False),
        ("disgust", -0.25, 0.0, False),
        ("disgust", -0.31, 0.0, True),
        ("anger", -0.9, 0.0, False),
        ("anger", -0.9, 0.1, True),
        ("contempt", 0.0, 0.5, False),
        ("contempt", -0.25, 0.0, True),
        ("anger", np.nan, 0.9, False),
        ("neutral", np.nan, 0.0, False),
    ],
)
def test_emonets_rule(label, valence, arousal, kept):
    got = affectnet.agrees(np.array([[valence, arousal]], np.float64), np.array([label]))
    assert got.tolist() == [kept]


def dropped_by_emonet(code, v, a):
    """The rule the other way round, as the published code has it."""
    r = np.sqrt(v * v + a * a)
    return (
        (code == 0 and r >= 0.2)
        or (code == 1 and (v <= 0 or r <= 0.2))
        or (code == 2 and (v >= 0 or r <= 0.2))
        or (code == 3 and (a <= 0 or r <= 0.2))
        or (code == 4 and (not (a >= 0 and v <= 0) or r <= 0.2))
        or (code == 5 and (v >= 0 or r <= 0.3))
        or (code == 6 and (a <= 0 or r <= 0.2))
        or (code == 7 and (v >= 0 or r <= 0.2))
    )


def test_emonets_rule_over_the_whole_plane():
    grid = np.linspace(-1, 1, 20)
    affect = np.array([(v, a) for v in grid for a in grid])
    for code, label in enumerate(NAMES):
        kept = affectnet.agrees(affect, np.array([label] * len(affect)))
        assert kept.tolist() == [not dropped_by_emonet(code, v, a) for v, a in affect]
        assert 0 < kept.sum() < len(affect)


def test_crop_by_landmarks(tmp_path):
    item(tmp_path / "val_set", 0, 0, 0, 0)
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[11:51, 1:41] = (250, 40, 40)
    Image.fromarray(pixels).save(
        tmp_path / "val_set" / "images" / "0.jpg", quality=100, subsampling=0
    )
    cropped = only(tmp_path, size=40, crop="landmarks", colour=True).images[0]
    assert np.abs(cropped[2:-2, 2:-2] - np.array([250.0, 40, 40])).max() < 8
    whole = only(tmp_path, size=80, colour=True).images[0]
    assert whole.mean() == pytest.approx(pixels.mean(), rel=0.05)
    assert whole[5, 5].max() < 30
    with pytest.raises(UsageError, match="no face boxes"):
        only(tmp_path, crop="box")


def find_in_light_pictures(monkeypatch):
    """Let the detector find a face in pictures of 10 and more, and none in darker ones."""
    boxes = np.array([[20.0, 30.0, 60.0, 70.0]], np.float32)

    def load(name, *, max_faces):
        assert (name, max_faces) == ("some", 1)
        return lambda rgb: Faces(boxes, np.ones(1, np.float32)).pick(
            np.arange(1 if rgb.max() >= 10 else 0)
        )

    monkeypatch.setattr(pictures, "load_detector", load)


def test_crop_by_a_detector(tmp_path, monkeypatch, caplog):
    for n in range(9, 12):
        item(tmp_path / "val_set", n, n - 8, *TYPICAL[n - 8])
    ramp = np.repeat(np.arange(80, dtype=np.uint8)[:, None], 80, axis=1)
    Image.fromarray(ramp).save(tmp_path / "val_set" / "images" / "11.jpg", quality=100)
    find_in_light_pictures(monkeypatch)
    rows = only(tmp_path, size=38, crop="detect", detector="some")
    # Picture 9 is too dark: it is left out with its labels, and told.
    assert rows.names == ("val_set/images/10.jpg", "val_set/images/11.jpg")
    assert label_names(rows) == ["sadness", "surprise"]
    assert rows.targets["affect"] == pytest.approx(np.array(TYPICAL[2:4], np.float32))
    assert "no face found in 1 of 3 pictures, left out" in caplog.text
    # A square of 0.95 x 40 pixels whose middle is 0.02 x 40 below the box's: rows 31.8 to 69.8.
    assert rows.images.shape == (2, 38, 38)
    assert np.abs(rows.images[1].mean(axis=1) - (31.8 + np.arange(38))).max() < 1
    same = cut(
        np.repeat(ramp[..., None], 3, axis=2),
        np.array([[20.0, 30.0, 60.0, 70.0]], np.float32),
        size=38,
        recipe=RECIPES["square-v2"],
    )
    assert np.abs(rows.images[1].astype(int) - same[0, :, :, 0]).max() <= 2


def test_pictures_without_any_face(tmp_path, monkeypatch):
    item(tmp_path / "val_set", 1, 0, 0, 0)
    find_in_light_pictures(monkeypatch)
    with pytest.raises(DataError, match="the split holds no faces"):
        only(tmp_path, crop="detect", detector="some")


def test_every_so_manieth_of_val_set_is_held_out(small):
    # Pictures 8 to 15; one that has no expression does not count.
    item(small / "val_set", 3, 9, 0, 0)
    names = [f"val_set/images/{n}.jpg" for n in range(8, 16)]
    assert list(only(small, "validation", held_out=3).names) == names[::3]
    kept = [name for i, name in enumerate(names) if i % 3]
    assert list(only(small, "train", held_out=3).names) == kept
    # Leaving contempt, the last one, out moves nobody to the other side.
    assert list(only(small, "train", held_out=3, classes=7).names) == kept[:-1]
    assert len(only(small, "val", held_out=2)) == 4
    with pytest.raises(UsageError, match="held_out is 1; 5 holds out every fifth face"):
        only(small, held_out=1)
    with pytest.raises(DataError, match="no split 'test'"):
        only(small, "test", held_out=3)


def test_each_fold_holds_out_others(small):
    names = [f"val_set/images/{n}.jpg" for n in range(8, 16)]
    for fold in range(3):
        assert list(only(small, "validation", held_out=3, fold=fold).names) == names[fold::3]
        kept = [name for i, name in enumerate(names) if i % 3 != fold]
        assert list(only(small, "train", held_out=3, fold=fold).names) == kept
    for fold, held_out in ((3, 3), (-1, 3), (1, 0)):
        with pytest.raises(UsageError, match=f"fold is {fold}; with held_out {held_out}"):
            only(small, held_out=held_out, fold=fold)


def test_a_picture_without_annotations_and_the_other_way(small):
    (small / "val_set" / "annotations" / "9_exp.npy").unlink()
    (small / "val_set" / "images" / "11.jpg").unlink()
    with pytest.raises(DataError, match=r"2 numbers .* but not both: 9, 11"):
        only(small)


def test_a_cut_picture_is_named(small):
    path = small / "val_set" / "images" / "12.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"1 of 8 pictures cannot be read(.|\n)*12\.jpg: "):
        only(small)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("exp", np.array("eleven"), "'eleven' is not a number"),
        ("exp", np.array("11"), "expression is 11, expected 0-10"),
        ("val", np.array("1.5"), "1.5 is no valence or arousal"),
        ("lnd", np.zeros(10), "10 numbers in the landmarks, expected 136"),
    ],
)
def test_wrong_annotations_name_their_picture(small, kind, value, message):
    np.save(small / "val_set" / "annotations" / f"9_{kind}.npy", value)
    with pytest.raises(DataError, match=rf"9\.jpg: {message}"):
        only(small)


def test_pickles_are_not_loaded(small):
    path = small / "val_set" / "annotations" / "9_exp.npy"
    np.save(path, np.array({"a": 1}, object), allow_pickle=True)
    with pytest.raises(DataError, match=r"9_exp\.npy: cannot be read as a NumPy array"):
        only(small)
    path.write_bytes(b"\x93NUM")
    with pytest.raises(DataError, match=r"9_exp\.npy: cannot be read as a NumPy array"):
        only(small)


def test_no_such_split_or_folder(small):
    with pytest.raises(DataError, match="no split 'test'; it has train, training, train_set"):
        only(small, "test")
    with pytest.raises(DataError, match="expected train_set/images and train_set/annotations"):
        only(small, "train")


# --- the first form


def write_list(root, rows, name="validation.csv"):
    path = root / "Manually_Annotated_file_lists" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([affectnet.COLUMNS, *rows])


def listed(code, valence, arousal, name="103/a.png", points=SQUARE):
    marks = ";".join(f"{v:g}" for v in np.ravel(points))
    return [name, "1", "11", "40", "36", marks, str(code), str(valence), str(arousal)]


def test_the_first_form(tmp_path):
    folder = tmp_path / "Manually_Annotated_Images" / "103"
    folder.mkdir(parents=True)
    pixels = np.zeros((80, 90), np.uint8)
    pixels[9:49, 1:41] = 200  # the box 1, 11, 40, 36 as a square about its centre
    Image.fromarray(pixels).save(folder / "a.png")
    write_list(
        tmp_path,
        [
            listed(6, -0.4, 0.5),
            listed(9, -2, -2, "103/none.png"),
            ["103/none.png", *["NULL"] * 4, "", "10", "-2", "-2"],
        ],
    )
    rows = only(tmp_path, "val", crop="box", size=40)
    assert label_names(rows) == ["anger"]
    assert rows.names == ("Manually_Annotated_Images/103/a.png",)
    assert rows.targets["affect"] == pytest.approx(np.array([[-0.4, 0.5]]))
    assert (rows.images == 200).all()
    whole = only(tmp_path, "val_set", size=80)
    assert whole.images[0].mean() == pytest.approx(pixels[:, 5:85].mean(), abs=1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (listed(11, 0, 0), "line 2: expression is 11"),
        (listed("x", 0, 0), "line 2: 'x' is not a number"),
        (listed(1, "nan", 0), "line 2: 'nan' is not a number"),
        (listed(1, "0.1.2", 0), "line 2: '0.1.2' is not a number"),
        (listed(1, 0, 0, points=SQUARE[:3]), "line 2: 6 numbers in the landmarks"),
        (listed(1, 0, 0)[:-1], "line 2: 8 columns, expected 9"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    write_list(tmp_path, [row])
    with pytest.raises(DataError, match=rf"validation\.csv, {message}"):
        only(tmp_path)


def test_a_list_without_a_header(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text(",".join(listed(1, 0, 0)) + "\n")
    with pytest.raises(DataError, match=r"training\.csv: expected a header .* subDirectory_file"):
        only(tmp_path, "train")


def test_pictures_of_the_list_that_are_not_there(tmp_path):
    write_list(tmp_path, [listed(1, 0.5, 0.5), listed(2, -0.5, 0, "104/b.png")])
    with pytest.raises(DataError, match=r"2 of 2 pictures(.|\n)*104.b\.png: no such"):
        only(tmp_path)


@pytest.mark.data
def test_the_real_validation_set(tmp_path):
    with tarfile.open(data_folder() / "affectnet_val.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    (rows,) = affectnet.read(tmp_path, ["val_set"], size=24)
    assert len(rows) == 2998
    assert set(rows.counts("affectnet").values()) == {374.0, 375.0}
    affect = rows.targets["affect"]
    assert affect.min(axis=0) == pytest.approx([-0.987, -0.667], abs=1e-3)
    assert affect.max(axis=0) == pytest.approx([0.982, 0.984], abs=1e-3)
    kept = affectnet.agrees(affect, np.array(label_names(rows)))
    assert kept.sum() == 2887
    for code, (v, a), keep in zip(label_names(rows), affect, kept, strict=True):
        assert keep != dropped_by_emonet(NAMES.index(code), v, a)

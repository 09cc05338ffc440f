"""FER2013 as people have it: two forms of the file, votes beside it, folders; and damaged ones."""

import time

import numpy as np
import pytest
from synthetic_faces import (
    COLUMNS,
    VOTES_HEADER,
    csv_rows,
    face,
    faces,
    labels_of,
    votes_rows,
    write_csv,
    write_fer2013,
    write_folders,
)

from mien.errors import DataError, UsageError
from mien.labels import EIGHT, SEVEN
from mien.train.data import fer2013

OLD = {
    "anger": "Angry",
    "disgust": "disgust",
    "fear": "FEAR",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprise",
    "neutral": "neutral",
}


def only(root, split="Training", rule="crossentropy"):
    (rows,) = fer2013.read(root, [split], votes=rule)
    return rows


def label_names(rows, head="fer2013"):
    return [rows.labels[head][i] for i in rows.targets[head].argmax(axis=1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_fer2013(tmp_path_factory.mktemp("fer2013"), n=14)


def test_faces_and_labels_arrive(root):
    rows = only(root)
    assert (rows.images == faces(14)).all()
    assert rows.images.dtype == np.uint8
    assert label_names(rows) == labels_of(14)
    assert rows.targets["fer2013"].sum(axis=1).tolist() == [1] * 14


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("0", "anger"),
        ("1", "disgust"),
        ("2", "fear"),
        ("3", "happiness"),
        ("4", "sadness"),
        ("5", "surprise"),
        ("6", "neutral"),
    ],
)
def test_codes_are_mapped_by_name(tmp_path, code, label):
    row = csv_rows(1, ("Training",))[0]
    write_csv(tmp_path / "fer2013.csv", [[code, *row[1:]]])
    rows = only(tmp_path)
    assert rows.labels["fer2013"] == SEVEN
    assert rows.targets["fer2013"].tolist() == [[float(name == label) for name in SEVEN]]


def test_the_other_order_of_columns_has_spaces(tmp_path, root):
    moved = [[code, " " + split, " " + pixels] for code, pixels, split in csv_rows(14)]
    write_csv(tmp_path / "icml_face_data.csv", moved, ("emotion", " Usage", " pixels"))
    assert only(tmp_path).images.tolist() == only(root).images.tolist()
    assert label_names(only(tmp_path, "PublicTest")) == labels_of(14)


@pytest.mark.parametrize("name", ["fer2013.csv.gz", "icml_face_data.csv.gz"])
def test_gzipped(tmp_path, root, name):
    write_csv(tmp_path / name, csv_rows(14))
    write_csv(tmp_path / "fer2013new.csv.gz", votes_rows(14), VOTES_HEADER)
    assert only(tmp_path).digest() == only(root).digest()


def test_the_file_may_be_given_itself(tmp_path, root):
    path = write_csv(tmp_path / "mine.csv", csv_rows(14))
    assert (only(path).images == only(root).images).all()
    assert only(root / "fer2013.csv").digest() == only(root).digest()


def test_the_splits_are_told_apart(root):
    asked = ("PrivateTest", "Training", "PublicTest")
    parts = fer2013.read(root, asked)
    for rows, seed in zip(parts, (2000, 0, 1000), strict=True):
        assert (rows.images == faces(14, seed)).all()
    assert parts[0].names[:2] == ("row 28", "row 29")


def test_public_faces_join_training_but_for_a_fold(root):
    for fold in range(3):
        train, held, private = fer2013.read(root, fer2013.SPLITS, held_out=3, fold=fold)
        assert held.names == tuple(f"row {i}" for i in range(14 + fold, 28, 3))
        assert train.names == tuple(f"row {i}" for i in range(28) if f"row {i}" not in held.names)
        assert (held.images == faces(14, 1000)[fold::3]).all()
        assert private.digest() == only(root, "PrivateTest").digest()


def test_faces_that_join_training_have_its_targets(root):
    train, held = fer2013.read(root, fer2013.SPLITS[:2], relabel=0.4, held_out=2)
    joined = train.take(np.array([name == "row 15" for name in train.names]))
    assert 0.5 < joined.targets["fer2013"].max() < 1  # partly what votes have
    assert set(np.unique(held.targets["fer2013"])) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 1}, "held_out is 1; 5 holds out every fifth face"),
        ({"held_out": 3, "fold": 3}, "fold is 3; with held_out 3"),
        ({"fold": 1}, "fold is 1; with held_out 0"),
    ],
)
def test_a_fold_that_is_none(root, options, message):
    with pytest.raises(UsageError, match=message):
        fer2013.read(root, ["Training"], **options)


def test_folders_are_not_divided(tmp_path):
    write_folders(tmp_path / "train", OLD)
    with pytest.raises(UsageError, match=r"held_out divides the PublicTest of fer2013\.csv"):
        fer2013.read(tmp_path, ["train"], held_out=4)


def test_votes_are_joined(root):
    rows = only(root)
    assert rows.labels["ferplus"] == EIGHT
    assert label_names(rows, "ferplus") == labels_of(14)
    # Seven of ten votes for neutral, three for happiness; 70 % is not yet 75 %.
    assert rows.targets["ferplus"][0].tolist() == pytest.approx([0.7, 0.3, 0, 0, 0, 0, 0, 0])


def test_without_votes_there_is_one_head(tmp_path):
    write_csv(tmp_path / "fer2013.csv", csv_rows(2))
    assert set(only(tmp_path).targets) == {"fer2013"}


@pytest.mark.parametrize("split", ["PublicTest", "PrivateTest"])
@pytest.mark.parametrize("rule", ["crossentropy", "multi_target", "probability"])
def test_measured_splits_use_the_majority(root, split, rule):
    assert only(root, split, rule).targets["ferplus"][0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_a_face_without_votes_keeps_its_label(tmp_path):
    write_csv(tmp_path / "fer2013.csv", csv_rows(2, ("Training",)))
    votes = votes_rows(2, ("Training",))
    votes[1] = ["Training", "", *["0"] * 9, "10"]
    write_csv(tmp_path / "fer2013new.csv", votes, VOTES_HEADER)
    rows = only(tmp_path)
    assert rows.targets["ferplus"][1].tolist() == [0] * 8
    assert rows.targets["fer2013"][1].tolist() == [0, 1, 0, 0, 0, 0, 0]


PIXELS = csv_rows(1)[0][1]
MALFORMED = {
    "too few pixels": (["0", PIXELS.rsplit(" ", 1)[0], "Training"], "2304 pixels of 0-255"),
    "too many pixels": (["0", PIXELS + " 7", "Training"], "2304 pixels of 0-255"),
    "no pixels": (["0", "", "Training"], "2304 pixels of 0-255"),
    "256": (["0", PIXELS.rsplit(" ", 1)[0] + " 256", "Training"], "2304 pixels of 0-255"),
    "huge": (["0", PIXELS.rsplit(" ", 1)[0] + " " + "9" * 30, "Training"], "pixels of 0-255"),
    "negative": (["0", "-1 " + PIXELS.split(" ", 1)[1], "Training"], "2304 pixels of 0-255"),
    "word": (["0", "x " + PIXELS.split(" ", 1)[1], "Training"], "pixels are not whole numbers"),
    "behind": (["0", PIXELS + " x", "Training"], "pixels are not whole numbers"),
    "fraction": (["0", PIXELS + ".5", "Training"], "pixels are not whole numbers"),
    "code 7": (["7", PIXELS, "Training"], "emotion is '7', expected 0-6"),
    "no code": (["", PIXELS, "Training"], "emotion is '', expected 0-6"),
    "usage": (["0", PIXELS, "training"], "Usage is 'training'"),
    "columns": (["0", PIXELS, "Training", "4"], "4 columns, expected 3"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_row_is_named(tmp_path, case):
    row, reason = MALFORMED[case]
    path = write_csv(tmp_path / "fer2013.csv", [*csv_rows(1), row])
    with pytest.raises(DataError) as caught:
        only(tmp_path)
    assert str(path) in str(caught.value)
    assert "line 5" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("header", "rows", "reason"),
    [
        (("emotion", "pixels"), [], "expected columns emotion, pixels, Usage"),
        (COLUMNS, [], "no rows below the header"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, header, rows, reason):
    path = write_csv(tmp_path / "fer2013.csv", rows, header)
    with pytest.raises(DataError) as caught:
        only(tmp_path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_an_empty_file(tmp_path):
    (tmp_path / "fer2013.csv").write_text("")
    with pytest.raises(DataError, match="expected columns"):
        only(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"expected one of fer2013\.csv"):
        only(tmp_path)


def test_an_empty_split(tmp_path):
    write_csv(tmp_path / "fer2013.csv", csv_rows(1, ("Training",)))
    with pytest.raises(DataError, match="no rows of the split 'PublicTest'"):
        only(tmp_path, "PublicTest")


def test_an_unknown_split(root):
    with pytest.raises(DataError, match="no split 'public'; it has Training, PublicTest"):
        only(root, "public")


def damaged_votes(case):
    rows = votes_rows(2)
    if case == "one row less":
        return rows[:-1]
    if case == "splits in another order":
        return rows[::-1]
    if case == "not whole":
        rows[3][4] = "1.5"
    if case == "too few columns":
        rows[3].pop()
    return rows


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("one row less", "5 rows, but the faces beside it have 6"),
        ("splits in another order", "line 2: expected 'Training'"),
        ("not whole", "line 5: the votes are not whole numbers"),
        ("too few columns", "line 5: expected 'PublicTest' and 12 columns"),
    ],
)
def test_malformed_votes_are_named(tmp_path, case, reason):
    write_csv(tmp_path / "fer2013.csv", csv_rows(2))
    path = write_csv(tmp_path / "fer2013new.csv", damaged_votes(case), VOTES_HEADER)
    with pytest.raises(DataError) as caught:
        only(tmp_path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_votes_in_another_order_of_labels_are_refused(tmp_path):
    write_csv(tmp_path / "fer2013.csv", csv_rows(2))
    header = ("Usage", "Image name", *sorted(EIGHT), "unknown", "NF")
    write_csv(tmp_path / "fer2013new.csv", votes_rows(2), header)
    with pytest.raises(DataError, match="expected the header Usage,Image name,neutral,happiness"):
        only(tmp_path)


def test_the_reader_is_faster_than_splitting_the_text(root):
    text = csv_rows(1)[0][1]

    def seconds(read):
        times = []
        for _ in range(30):
            started = time.thread_time()
            read()
            times.append(time.thread_time() - started)
        return min(times)

    ours = seconds(lambda: fer2013.read_pixels(root, 2, text))
    assert ours < seconds(lambda: np.array(text.split(), dtype=np.int64))


def test_a_folder_copy(tmp_path):
    write_folders(tmp_path / "train", OLD, 14)
    write_folders(tmp_path / "test", OLD, 7, seed=50)
    train, test = fer2013.read(tmp_path, ("Training", "PublicTest"))
    assert set(train.targets) == {"fer2013"}
    assert train.labels["fer2013"] == SEVEN
    assert train.counts("fer2013") == dict.fromkeys(SEVEN, 2.0)
    for rows in (train, test):
        for picture, label in zip(rows.images, label_names(rows), strict=True):
            bar = 3 + 6 * SEVEN.index(label)
            assert picture[bar : bar + 6, 8:40].min() >= 170
            assert picture[:bar].max(initial=0) < 60
    assert (test.images[label_names(test).index("anger")] == face("anger", 50 + 4)).all()


def test_the_names_of_a_folder_copys_splits(tmp_path):
    write_folders(tmp_path / "Train", OLD, 7)
    write_folders(tmp_path / "val", OLD, 7, seed=20)
    write_folders(tmp_path / "test", OLD, 7, seed=40)
    asked = ("Training", "train", "PublicTest", "validation", "test")
    training, train, public, validation, test = (only(tmp_path, name).digest() for name in asked)
    assert training == train
    assert public == validation
    assert len({train, validation, test}) == 3


def test_a_folder_copy_does_not_know_the_private_test(tmp_path):
    write_folders(tmp_path / "train", OLD, 7)
    write_folders(tmp_path / "test", OLD, 7)
    with pytest.raises(DataError, match="no split 'PrivateTest' among the folders test, train"):
        only(tmp_path, "PrivateTest")


def test_a_folder_copy_with_a_strange_class(tmp_path):
    write_folders(tmp_path / "train", OLD, 7)
    write_folders(tmp_path / "train", {"neutral": "contempt"}, 1)
    with pytest.raises(DataError, match="FER2013 has no contempt"):
        only(tmp_path)
    write_folders(tmp_path / "test", {"neutral": "bored"}, 1)
    with pytest.raises(DataError, match="'bored' is not an expression"):
        only(tmp_path, "test")


def test_the_file_goes_before_the_folders(tmp_path, root):
    write_folders(tmp_path / "train", OLD, 7)
    write_csv(tmp_path / "fer2013.csv", csv_rows(14))
    assert (only(tmp_path).images == only(root).images).all()

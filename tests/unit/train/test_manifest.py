"""Tables of pictures, as CSV and as Parquet."""

import csv

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.labels import EIGHT
from mien.train.data import manifest
from mien.train.data.readers import READERS

HEADER = ("path", "label", "valence", "arousal", "subject", "split")
ROWS = [
    ("p/1.png", "Happy", "0.5", "0.25", "anna", "train"),
    ("p/2.png", "contempt", "", "", "ben", "train"),
    ("p/3.png", "", "-1", "1", "anna", "train"),
    ("p/4.png", "fear", "0", "0", "cleo", "test"),
]


def write_csv(path, rows=ROWS, header=HEADER):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def root(tmp_path):
    (tmp_path / "p").mkdir()
    for n in range(1, 5):
        Image.new("L", (6, 6), 10 * n).save(tmp_path / "p" / f"{n}.png")
    write_csv(tmp_path / "manifest.csv")
    return tmp_path


def label_names(rows, head="ferplus"):
    target = rows.targets[head]
    known = rows.labelled(head)
    return [EIGHT[t.argmax()] if k else None for t, k in zip(target, known, strict=True)]


def check(train, test):
    assert train.images[:, 0, 0].tolist() == [10, 20, 30]
    assert label_names(train) == ["happiness", "contempt", None]
    assert train.targets["affect"] == pytest.approx(
        np.array([[0.5, 0.25], [np.nan, np.nan], [-1, 1]]), nan_ok=True
    )
    assert train.subjects == ("anna", "ben", "anna")
    assert train.names == ("p/1.png", "p/2.png", "p/3.png")
    assert (label_names(test), test.subjects) == (["fear"], ("cleo",))
    assert test.labels == {"ferplus": EIGHT, "affect": ("valence", "arousal")}


def test_a_csv_manifest(root):
    check(*manifest.read(root, ["train", "test"], size=6))
    check(*manifest.read(root / "manifest.csv", ["train", "test"], size=6))


def test_a_parquet_manifest(root):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = dict(zip(HEADER, map(list, zip(*ROWS, strict=True)), strict=True))
    for name in ("valence", "arousal"):
        columns[name] = [float(v) if v else None for v in columns[name]]
    (root / "manifest.csv").unlink()
    parquet.write_table(pyarrow.table(columns), root / "manifest.parquet")
    check(*manifest.read(root, ["train", "test"], size=6))
    columns["label"][1] = "bored"
    parquet.write_table(pyarrow.table(columns), root / "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet, row 2: 'bored' is not an expression"):
        manifest.read(root, ["train"])
    (root / "manifest.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"manifest\.parquet: cannot be read as Parquet"):
        manifest.read(root, ["train"])


def test_path_and_label_alone(root):
    write_csv(root / "manifest.csv", [row[:2] for row in ROWS], ("Path ", " LABEL"))
    (rows,) = manifest.read(root, ["all"], size=6, head="mine", colour=True)
    assert set(rows.targets) == {"mine"}
    assert rows.subjects is None
    assert rows.images.shape == (4, 6, 6, 3)
    assert label_names(rows, "mine") == ["happiness", "contempt", None, "fear"]
    with pytest.raises(DataError, match="does not tell who is on which picture"):
        manifest.read(root, ["test-1/2"], size=6)


def test_folds_by_subject_where_there_is_no_split(root):
    write_csv(root / "manifest.csv", [row[:5] for row in ROWS], HEADER[:5])
    train, test = manifest.read(root, ["train-1/3", "test-1/3"], size=6)
    assert test.subjects == ("anna", "anna")
    assert train.subjects == ("ben", "cleo")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("p/1.png", "bored", "", "", "a", "train"), "line 2: 'bored' is not an expression"),
        (("p/1.png", "fear", "1.5", "0", "a", "train"), "line 2: '1.5' is no valence"),
        (("p/1.png", "fear", "0", "much", "a", "train"), "line 2: 'much' is no valence"),
        (("p/1.png", "fear", "0", "0", "", "train"), "line 2: the subject is empty"),
        (("", "fear", "0", "0", "a", "train"), "line 2: the path is empty"),
        (("p/1.png", "fear"), "line 2: 2 columns, expected 6"),
    ],
)
def test_a_wrong_row_is_named(root, row, message):
    write_csv(root / "manifest.csv", [row])
    with pytest.raises(DataError, match=rf"manifest\.csv, {message}"):
        manifest.read(root, ["train"])


def test_pictures_that_are_not_there(root):
    (root / "p" / "2.png").unlink()
    (root / "p" / "3.png").write_bytes((root / "p" / "1.png").read_bytes()[:45])
    with pytest.raises(DataError, match=r"2 of 3 pictures(.|\n)*2\.png(.|\n)*3\.png"):
        manifest.read(root, ["train"])


def test_a_table_that_is_none(root):
    with pytest.raises(DataError, match=r"no rows of the split 'val'; it has test, train"):
        manifest.read(root, ["val"])
    write_csv(root / "manifest.csv", [], HEADER)
    with pytest.raises(DataError, match="no rows"):
        manifest.read(root, ["train"])
    write_csv(root / "manifest.csv", [], ("file", "label"))
    with pytest.raises(DataError, match="no column path; found file, label"):
        manifest.read(root, ["train"])
    write_csv(root / "manifest.csv", [], ("path", "label", "valence"))
    with pytest.raises(DataError, match="valence and arousal without the other"):
        manifest.read(root, ["train"])
    (root / "manifest.csv").unlink()
    with pytest.raises(DataError, match=r"expected manifest\.csv or manifest\.parquet"):
        manifest.read(root, ["train"])


def test_the_readers_pass_options_on_and_refuse_others(root):
    options = {"size": 6, "votes": "majority", "relabel": 0.0}  # the two are FER2013's
    check(*READERS["manifest"](root, ["train", "test"], options))
    (rows,) = READERS["manifest"](root, ["test"], {**options, "head": "mine", "colour": True})
    assert rows.images.shape == (1, 6, 6, 3) and "mine" in rows.targets
    with pytest.raises(ValueError, match="no option color; it has size, colour, head"):
        READERS["manifest"](root, ["test"], {**options, "color": True})


def test_the_readers_have_the_names_that_recipes_use():
    assert list(READERS) == [
        *("fer2013", "folder", "ckplus", "affectnet", "rafdb", "manifest", "identities"),
    ]


def test_the_folder_reader_takes_its_splits_from_sub_folders(tmp_path):
    for split, level in (("train", 50), ("val", 90)):
        path = tmp_path / split / "fear" / "1.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (6, 6), level).save(path)
    read = READERS["folder"](tmp_path, ["val", "train"], {"size": 4})
    assert [rows.images[0].tolist() for rows in read] == [[[90] * 4] * 4, [[50] * 4] * 4]

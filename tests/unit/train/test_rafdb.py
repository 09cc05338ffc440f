"""RAF-DB as it is handed out, written small."""

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.labels import SEVEN
from mien.train.data import rafdb

NAMES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


@pytest.fixture
def root(tmp_path):
    """A training face of each class, its colour (10 x code, 0, 200); two faces to test on."""
    lines = []
    for code in range(1, 8):
        write(tmp_path, f"train_{code:05}", (10 * code, 0, 200))
        lines.append(f"train_{code:05}.jpg {code}")
    for n, code in ((1, 4), (2, 7)):
        write(tmp_path, f"test_{n:04}", (5, 5, 5))
        lines.append(f"test_{n:04}.jpg {code}")
    write_list(tmp_path, lines)
    return tmp_path


def write(root, name, colour):
    path = root / "Image" / "aligned" / f"{name}_aligned.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 100), colour).save(path, quality=100, subsampling=0)


def write_list(root, lines):
    path = root / "EmoLabel" / "list_patition_label.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def label_names(rows):
    return [rows.labels["rafdb"][i] for i in rows.targets["rafdb"].argmax(axis=1)]


def test_codes_are_mapped_by_name(root):
    train, test = rafdb.read(root, ["train", "test"], size=10, colour=True)
    assert train.labels == {"rafdb": SEVEN}
    assert label_names(train) == list(NAMES)
    assert label_names(test) == ["happiness", "neutral"]
    assert train.names == tuple(f"train_{code:05}" for code in range(1, 8))
    assert train.images.shape == (7, 10, 10, 3)
    wanted = np.array([[10 * code, 0, 200] for code in range(1, 8)])
    assert np.abs(train.images[:, 5, 5] - wanted).max() <= 2


def test_grey_unless_asked_for(root):
    (rows,) = rafdb.read(root, ["train"])
    assert rows.images.shape == (7, 100, 100)
    # BT.601: 0.299 r + 0.114 b
    wanted = [0.299 * 10 * code + 0.114 * 200 for code in range(1, 8)]
    assert rows.images[:, 50, 50] == pytest.approx(wanted, abs=2)


def test_the_folder_may_be_called_basic(root, tmp_path_factory):
    home = tmp_path_factory.mktemp("rafdb")
    root.rename(home / "basic")
    assert len(rafdb.read(home, ["test"])[0]) == 2


def test_pictures_that_are_not_there(root):
    for code in (2, 3):
        (root / "Image" / "aligned" / f"train_{code:05}_aligned.jpg").unlink()
    with pytest.raises(DataError, match=r"2 of 7 pictures(.|\n)*train_00003_aligned\.jpg: no such"):
        rafdb.read(root, ["train"])
    assert len(rafdb.read(root, ["test"])[0]) == 2


@pytest.mark.parametrize("line", ["train_00008.jpg 8", "train_00008.jpg", "train_00008 3"])
def test_a_wrong_line_is_named(root, line):
    write_list(root, ["train_00001.jpg 1", line])
    with pytest.raises(DataError, match=rf"list_patition_label\.txt, line 2: '{line}', expected"):
        rafdb.read(root, ["train"])


def test_another_kind_of_name(root):
    write_list(root, ["val_00001.jpg 1"])
    with pytest.raises(DataError, match=r"line 1: 'val_00001' is of neither train nor test"):
        rafdb.read(root, ["train"])


def test_no_such_split_or_folder(root, tmp_path_factory):
    with pytest.raises(DataError, match="no split 'val'; it has train, test"):
        rafdb.read(root, ["val"])
    write_list(root, ["train_00001.jpg 1"])
    with pytest.raises(DataError, match="no lines of the split 'test'"):
        rafdb.read(root, ["test"])
    with pytest.raises(DataError, match=r"expected EmoLabel.list_patition_label\.txt"):
        rafdb.read(tmp_path_factory.mktemp("empty"), ["train"])

"""CSV tables of data sets: what is a row, and what is no table."""

import gzip

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.train.data import affectnet, fer2013, folder, manifest, rafdb
from mien.train.data.tables import csv_rows

TEXT = 'a,b\n\n1,"two\nlines"\n\n3,é\n'
ROWS = [(1, ["a", "b"]), (4, ["1", "two\nlines"]), (6, ["3", "é"])]


def test_rows_have_their_lines_and_empty_lines_are_none(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TEXT, encoding="utf-8-sig")
    assert list(csv_rows(path)) == ROWS
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert list(csv_rows(tmp_path / "t.csv.gz")) == ROWS


def write_damaged(tmp_path, kind):
    name = "t.csv.gz" if kind in ("cut", "not gzip") else "t.csv"
    packed = gzip.compress(np.random.default_rng(0).bytes(5000).hex().encode())
    content = {
        "binary": b"\xff\xd8\xff\xe0 a picture",
        "NUL": b"a,b\n1,\0\n",
        "cut": packed[: len(packed) // 2],
        "not gzip": b"a,b\n1,2\n",
    }
    path = tmp_path / name
    if kind != "none":
        path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize("kind", ["binary", "cut", "not gzip", "none"])
def test_what_is_no_table_is_named(tmp_path, kind):
    path = write_damaged(tmp_path, kind)
    with pytest.raises(DataError, match=rf"{path.name}: cannot be read as a CSV table"):
        list(csv_rows(path))


def test_every_reader_names_a_list_that_is_no_text(tmp_path):
    bytes_ = b"emotion,pixels,Usage\n\xff\xfe\x81\n"
    lists = {
        "fer2013.csv": lambda: fer2013.read(tmp_path, ["Training"]),
        "manifest.csv": lambda: manifest.read(tmp_path, ["all"]),
        rafdb.LIST: lambda: rafdb.read(tmp_path, ["train"], size=8),
        "Manually_Annotated_file_lists/validation.csv": lambda: affectnet.read(
            tmp_path, ["validation"], size=8
        ),
    }
    (tmp_path / rafdb.ALIGNED).mkdir(parents=True)
    for name, read in lists.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_)
        with pytest.raises(DataError, match=rf"{path.name}: cannot be read as"):
            read()
        path.unlink()


def test_a_list_with_empty_lines_names_the_right_line(tmp_path):
    Image.new("L", (6, 6), 10).save(tmp_path / "1.png")
    table = tmp_path / "manifest.csv"
    table.write_text("path,label\n\n1.png,fear\n\n1.png,joy\n\n")
    (rows,) = manifest.read(tmp_path, ["all"])
    assert rows.targets["ferplus"].argmax(axis=1).tolist() == [6, 1]
    table.write_text("path,label\n\n1.png,fear\n\n1.png,bored\n")
    with pytest.raises(DataError, match=r"line 5: 'bored' is not an expression"):
        manifest.read(tmp_path, ["all"])


def test_an_empty_folder_is_a_class_without_faces(tmp_path):
    for name in ("joy", "contempt"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="no pictures; expected"):
        folder.read(tmp_path, 4)
    Image.new("L", (6, 8), 70).save(tmp_path / "joy" / "1.png")
    rows = folder.read(tmp_path, 4)
    assert rows.names == ("joy/1.png",) and rows.targets["ferplus"][0, 1] == 1
    assert rows.images.tolist() == [[[70] * 4] * 4]
    (tmp_path / "contempt" / "1.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"1 of 2 pictures(.|\n)*contempt/1\.png: the file is empty"
    ):
        folder.read(tmp_path, 4)

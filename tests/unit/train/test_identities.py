"""Folders of people: who is in, and which pictures are for validation."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError, UsageError
from mien.train.data import identities
from mien.train.data.readers import READERS

COUNTS = {"ann": 10, "Bob": 25, "n000003": 2, "lonely": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Each picture is of one grey level of its own."""
    folder = tmp_path_factory.mktemp("people")
    level = 0
    for name, n in COUNTS.items():
        (folder / name).mkdir()
        for i in range(n):
            level += 5
            Image.fromarray(np.full((12, 20), level, np.uint8)).save(folder / name / f"{i:02}.png")
    (folder / "ann" / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    return folder


def read(root, **options):
    return identities.read(root, ("train", "validation"), size=8, **options)


def test_everyone_is_in_both_splits(root):
    train, validation = read(root)
    for rows, counts in ((train, (23, 9, 1)), (validation, (2, 1, 1))):
        # Folders are sorted by code point; one picture cannot be divided.
        assert rows.labels == {"identity": ("Bob", "ann", "n000003")}
        assert rows.counts("identity") == dict(zip(rows.labels["identity"], counts, strict=True))
        assert rows.images.shape == (len(rows), 8, 8)
        assert rows.subjects == tuple(name.split("/")[0] for name in rows.names)
    names = [*train.names, *validation.names]
    assert len(set(names)) == len(names) == 37


def test_pictures_and_names_belong_together(root):
    train, _ = read(root)
    offset = {"ann": 0, "Bob": 10, "n000003": 35}
    for image, name, code in zip(
        train.images, train.names, train.targets["identity"].argmax(axis=1), strict=True
    ):
        person, number = name.removesuffix(".png").split("/")
        assert np.unique(image).tolist() == [5 * (offset[person] + int(number) + 1)]
        assert train.labels["identity"][code] == person


def test_the_split_is_told_by_the_names(root):
    _, validation = read(root, part=0.3)
    hashes = {f"{i:02}.png": hashlib.sha256(f"{i:02}.png".encode()).hexdigest() for i in range(25)}
    for person, n, held in (("Bob", 25, 8), ("ann", 10, 3), ("n000003", 2, 1)):
        own = [f"{i:02}.png" for i in range(n)]
        lowest = sorted(own, key=hashes.__getitem__)[:held]
        seen = [name.split("/")[1] for name in validation.names if name.startswith(person)]
        assert seen == sorted(lowest)


def test_options(root):
    (train,) = identities.read(root, ["train"], size=8, colour=True, at_least=5)
    assert train.labels["identity"] == ("Bob", "ann")
    assert train.images.shape == (32, 8, 8, 3)
    (same,) = READERS["identities"](
        root, ["train"], {"size": 8, "colour": True, "at_least": 5, "votes": "majority"}
    )
    assert same.digest() == train.digest()


def test_what_is_refused(root, tmp_path):
    with pytest.raises(UsageError, match=r"no split 'Training'; set data\.train to train"):
        identities.read(root, ["Training"])
    with pytest.raises(DataError, match=r"no such folder; expected .*<person>"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="1 of 4 folders hold 20 pictures or more"):
        read(root, at_least=20)
    for options in ({"part": 0.0}, {"part": 1.0}, {"at_least": 1}):
        with pytest.raises(UsageError, match="part must be between 0 and 1, at_least 2 or more"):
            read(root, **options)


def test_a_damaged_picture_is_named(root, tmp_path):
    for person in ("a", "b"):
        (tmp_path / person).mkdir()
        for i in range(2):
            Image.new("L", (8, 8)).save(tmp_path / person / f"{i}.png")
    (tmp_path / "b" / "1.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match=r"b/1\.png"):
        read(tmp_path)

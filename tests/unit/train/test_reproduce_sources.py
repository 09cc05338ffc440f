"""Which faces each paper's comparison is made of."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from synthetic_sets import write_sets

from mien.errors import DataError
from mien.labels import EIGHT
from mien.train.data.rows import Rows, one_hot
from mien.train.reproduce import lee2023, ngo2020, yang2023, yu2023
from mien.train.reproduce.budgets import Budget
from mien.train.reproduce.sources import (
    AFFECTNET_COUNTS,
    find,
    imbalanced,
    thin,
)

BUDGET = Budget("quick", seeds=1, epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("sets"))


def rows(codes):
    codes = np.asarray(codes)
    images = np.zeros((len(codes), 4, 4), np.uint8)
    names = tuple(map(str, range(len(codes))))
    return Rows(images, {"expression": one_hot(codes, 8)}, {"expression": EIGHT}, names)


def test_sets_are_found_in_a_folder_and_by_themselves(data):
    assert find(data, "fer2013") == data / "fer2013"
    assert find(data / "fer2013", "fer2013") == data / "fer2013"
    assert find(data, "ckplus") == data / "CK+48" == find(data / "CK+48", "ckplus")
    assert find(data, "affectnet") == data / "affectnet" == find(data / "affectnet", "affectnet")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fer2013", "fer2013/fer2013.csv"), ("ckplus", "CK"), ("affectnet", "affectnet/val_set")],
)
def test_a_missing_set_is_named_with_its_place(tmp_path, name, expected):
    with pytest.raises(DataError, match=f"this needs {name}, expected at .*{expected}"):
        find(tmp_path, name)


def test_the_imbalanced_part_has_affectnets_shares():
    """Of 300 faces a class as many are kept as 300 happy ones allow."""
    kept = imbalanced(rows(np.repeat(np.arange(8), 300)), "expression")
    counts = kept.counts("expression")
    factor = 300 / 134_415
    assert counts == {k: max(1, round(factor * n)) for k, n in AFFECTNET_COUNTS.items()}
    assert (counts["happiness"], counts["neutral"], counts["contempt"]) == (300, 167, 8)
    assert sum(AFFECTNET_COUNTS.values()) == 287_651


def test_thin_is_even():
    assert thin(rows(np.zeros(10, int)), 3).names == ("1", "5", "8")
    assert len(thin(rows(np.zeros(10, int)), 0)) == 10
    assert len(thin(rows(np.zeros(10, int)), 11)) == 10


def test_yangs_split_is_by_row_number(data, monkeypatch):
    monkeypatch.setattr(yang2023, "TRAINED_ROWS", 65)  # as 24,000 is more than four in five
    split = yang2023.plan(data, BUDGET).sources["plain"].read()
    assert split.train.names == tuple(f"row {i}" for i in range(65))
    assert split.held_out["validation"].names == tuple(f"row {i}" for i in range(65, 70))
    assert len(split.held_out["PublicTest"]) == 70
    monkeypatch.setattr(yang2023, "TRAINED_ROWS", 70)  # a small copy: four in five
    split = yang2023.plan(data, BUDGET).sources["plain"].read()
    assert (len(split.train), len(split.held_out["validation"])) == (56, 14)


def test_equalised_by_hand():
    """Levels 10, 10, 20, 30 of four pixels: H = 2, 3, 4 becomes 0, 127.5 (to even: 128), 255."""
    picture = np.array([[[10, 10], [20, 30]]], np.uint8)
    assert yang2023.equalise(picture).tolist() == [[[0, 0], [128, 255]]]
    flat = np.full((1, 2, 2), 7, np.uint8)
    assert (yang2023.equalise(flat) == flat).all()


def test_equalised_as_opencv_does():
    cv2 = pytest.importorskip("cv2")
    pictures = np.random.default_rng(0).integers(30, 180, (5, 48, 48)).astype(np.uint8)
    expected = np.stack([cv2.equalizeHist(picture) for picture in pictures])
    assert np.abs(yang2023.equalise(pictures).astype(int) - expected).max() <= 1


def test_yus_folds_keep_subjects_apart_and_the_leaking_ones_do_not(data):
    sources = yu2023.plan(data, Budget("cpu", seeds=1, epochs=1, folds=10)).sources
    assert len(sources) == 10 + 10 + 1
    apart = sources["3"].read()
    assert not set(apart.train.subjects) & set(apart.held_out["test"].subjects)
    assert len(apart.train) == 189 and len(apart.held_out["test"]) == 21
    leaking = sources["leaky-3"].read()
    assert set(leaking.train.subjects) & set(leaking.held_out["test"].subjects)
    tested = [sources[str(fold)].read().held_out["test"].names for fold in range(1, 11)]
    assert sorted(name for names in tested for name in names) == sorted(
        {*apart.train.names, *apart.held_out["test"].names}
    )


def test_lees_affect_is_of_affectnet_alone(data):
    split = lee2023.plan(data, BUDGET).sources["both"].read()
    known = ~np.isnan(split.train.targets["affect"]).any(axis=1)
    assert known.sum() == 51  # 64 less every fifth
    assert [name.startswith("val_set") for name in split.train.names] == known.tolist()
    held = split.held_out["AffectNet"].names
    assert held[:3] == tuple(f"val_set/images/{i}.jpg" for i in (0, 5, 10))
    broken = {f"val_set/images/{i}.jpg" for i in range(0, 64, 9)}
    assert set(split.held_out["cleaned"].names) == set(held) - broken
    public = split.held_out["PublicTest"]
    assert np.isnan(public.targets["affect"]).all()
    assert public.labelled("ferplus").all() and not public.labelled("affectnet").any()
    own = split.held_out["AffectNet"]
    assert own.labelled("affectnet").all() and not own.labelled("ferplus").any()
    np.testing.assert_array_equal(split.train.labelled("affectnet"), known)
    np.testing.assert_array_equal(split.train.labelled("ferplus"), ~known)


def test_a_cut_keeps_both_of_lees_sets(data):
    split = lee2023.plan(data, Budget("quick", seeds=1, epochs=1, faces=30)).sources["both"].read()
    affectnet = [name for name in split.train.names if name.startswith("val_set")]
    assert (len(affectnet), len(split.train)) == (15, 30)


def test_ngos_identities_are_the_subjects(data):
    sources = ngo2020.plan(data, BUDGET).sources
    split = sources["identities"].read()
    assert split.train.labels["identity"] == tuple(f"S{10 + i:03d}" for i in range(10))
    assert (len(split.train), len(split.held_out["frames"])) == (140, 70)
    assert split.train.counts("identity")["S010"] == 14
    ferplus = sources["ferplus"].read()
    assert ferplus.train.labels["expression"] == EIGHT
    assert (ferplus.train.targets["expression"].max(axis=1) == 1).all()

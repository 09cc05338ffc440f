"""Folds by subject, folds that leak, and what is seen on both sides."""

import numpy as np
import pytest

from mien.errors import DataError, UsageError
from mien.train.data.leaks import find_leaks, shared_subjects
from mien.train.data.rows import Rows, one_hot
from mien.train.data.splits import (
    choose,
    others,
    random_folds_that_leak,
    subject_folds,
    subject_holdout,
)

SUBJECTS = ("S9", "S2", "S5", "S2", "S1", "S9", "S2", "S4")  # sorted: S1 S2 S4 S5 S9


def rows_of(images, subjects=None, mark="", codes=None):
    """Rows named by `mark` and their number."""
    n = len(images)
    codes = np.zeros(n, np.intp) if codes is None else codes
    names = tuple(f"{mark}{i}" for i in range(n))
    return Rows(images, {"h": one_hot(codes, 2)}, {"h": ("fear", "anger")}, names, subjects)


def faces(n, seed, side=48):
    """Blurry random pictures, no two alike."""
    drawn = np.random.default_rng(seed).integers(20, 200, (n, 6, 6)).astype(np.uint8)
    return np.repeat(np.repeat(drawn, side // 6, axis=1), side // 6, axis=2)


def test_subjects_are_dealt_out_in_the_order_of_their_ids():
    folds = [at.tolist() for at in subject_folds(SUBJECTS, 2)]
    assert folds == [[0, 4, 5, 7], [1, 2, 3, 6]]  # S1 S4 S9, and S2 S5
    assert [at.tolist() for at in subject_folds(SUBJECTS, 5)] == [[4], [1, 3, 6], [7], [2], [0, 5]]


def test_folds_by_subject_are_a_partition():
    drawn = np.random.default_rng(1).integers(0, 40, 300)
    subjects = [f"S{i:03}" for i in drawn]
    folds = subject_folds(subjects, 10)
    assert sorted(np.concatenate(folds).tolist()) == list(range(300))
    people = [{subjects[i] for i in at} for at in folds]
    assert sum(map(len, people)) == len(set(subjects))
    assert max(map(len, people)) - min(map(len, people)) <= 1
    assert others(folds, 3).tolist() == sorted(set(range(300)) - set(folds[3].tolist()))


@pytest.mark.parametrize("k", [1, 6])
def test_too_many_or_too_few_folds(k):
    with pytest.raises(UsageError, match=f"5 subjects cannot be dealt into {k} folds"):
        subject_folds(SUBJECTS, k)


def test_a_holdout_by_subject():
    kept, held = subject_holdout(SUBJECTS, 0.4)  # 2 of 5: floor(1.25), floor(3.75): S2 and S5
    assert held.tolist() == [1, 2, 3, 6]
    assert kept.tolist() == [0, 4, 5, 7]
    assert subject_holdout(SUBJECTS, 0.01)[1].tolist() == [7]  # the middle one, S4
    assert subject_holdout(SUBJECTS, 0.99)[0].size > 0
    for part in (0, 1):
        with pytest.raises(UsageError, match="cannot hold out"):
            subject_holdout(SUBJECTS, part)
    with pytest.raises(UsageError, match="of 1 subjects"):
        subject_holdout(("S1", "S1"), 0.5)


def test_leaky_folds_are_stratified_and_put_people_on_both_sides():
    codes = np.repeat([0, 1], [40, 20])
    subjects = np.array([f"S{i // 5}" for i in range(60)])
    folds = random_folds_that_leak(codes, 4)
    assert sorted(np.concatenate(folds).tolist()) == list(range(60))
    assert [np.bincount(codes[at]).tolist() for at in folds] == [[10, 5]] * 4
    assert set(subjects[folds[0]]) & set(subjects[others(folds, 0)])
    again = random_folds_that_leak(codes, 4)
    assert all((a == b).all() for a, b in zip(folds, again, strict=True))
    assert any(
        (a != b).any() for a, b in zip(folds, random_folds_that_leak(codes, 4, 1), strict=True)
    )
    with pytest.raises(UsageError, match="3 rows cannot be dealt into 4 folds"):
        random_folds_that_leak(codes[:3], 4)


def test_parts_are_chosen_by_name():
    rows = rows_of(faces(8, 1), SUBJECTS)
    assert choose(rows, "all", "h") is rows
    test, train = choose(rows, "test-2/2", "h"), choose(rows, "train-2/2", "h")
    assert test.names == ("1", "2", "3", "6")
    assert test.subjects == ("S2", "S5", "S2", "S2")
    assert (test.images == rows.images[[1, 2, 3, 6]]).all()
    assert train.names == ("0", "4", "5", "7")
    leaky = choose(rows, "leaky-test-1/2", "h"), choose(rows, "leaky-train-1/2", "h")
    assert sorted(leaky[0].names + leaky[1].names) == sorted(rows.names)
    assert shared_subjects(*leaky)


@pytest.mark.parametrize("split", ["Training", "test-0/3", "test-4/3", "train-1", "tests-1/2"])
def test_other_names_are_refused(split):
    with pytest.raises(DataError, match=f"no split '{split}'"):
        choose(rows_of(faces(8, 1), SUBJECTS), split, "h")


def test_no_folds_by_subject_without_subjects():
    with pytest.raises(DataError, match="leaky-test-1/2 splits at random"):
        choose(rows_of(faces(8, 1)), "test-1/2", "h")


# --- leaks


def test_nothing_is_shared():
    a, b = rows_of(faces(30, 1), mark="a"), rows_of(faces(20, 2), mark="b")
    assert find_leaks(a, b) == []


def test_exact_copies_are_named():
    images = faces(20, 2)
    images[7], images[11] = faces(30, 1)[4], faces(30, 1)[29]
    got = find_leaks(rows_of(faces(30, 1), mark="a"), rows_of(images, mark="b"))
    assert got == [("a4", "b7", "exact", 0.0), ("a29", "b11", "exact", 0.0)]


def test_near_copies_are_named_by_distance():
    source = faces(30, 1)
    images = faces(20, 2)
    images[3] = source[5] // 2 + 40  # darker, flatter
    noise = np.random.default_rng(3).normal(0, 12, (48, 48))
    images[9] = np.clip(source[8] + noise, 0, 255).astype(np.uint8)
    first, second = find_leaks(rows_of(source, mark="a"), rows_of(images, mark="b"))
    assert first[:3] == ("a5", "b3", "near")
    assert second[:3] == ("a8", "b9", "near")
    assert 0 <= first.distance < 0.001 < second.distance < 0.05
    means = [p.reshape(24, 2, 24, 2).mean(axis=(1, 3)).ravel() for p in (source[8], images[9])]
    assert second.distance == pytest.approx(1 - np.corrcoef(*means)[0, 1], abs=1e-4)
    assert find_leaks(rows_of(source), rows_of(images), near=0) == []


def test_sizes_and_colours_do_not_matter():
    small = faces(10, 1)
    large = np.repeat(np.repeat(small, 2, axis=1), 2, axis=2)
    colour = np.repeat(large[..., None], 3, axis=3)
    got = find_leaks(rows_of(small, mark="a"), rows_of(colour[:3], mark="b"))
    assert sorted(leak[:3] for leak in got) == [(f"a{i}", f"b{i}", "near") for i in range(3)]


def test_flat_pictures_are_like_nothing_but_themselves():
    flat = np.full((2, 48, 48), 9, np.uint8)
    flat[1] = 200
    got = find_leaks(rows_of(flat, mark="a"), rows_of(flat[1:], mark="b"))
    assert got == [("a1", "b0", "exact", 0.0)]


def test_more_than_a_chunk():
    a = np.concatenate([faces(2500, 1)])
    got = find_leaks(rows_of(a, mark="a"), rows_of(a[[2300, 10]], mark="b"))
    assert got == [("a10", "b1", "exact", 0.0), ("a2300", "b0", "exact", 0.0)]


def test_shared_subjects_are_named_once():
    a = rows_of(faces(4, 1), ("S1", "S2", "S2", "S3"), "a")
    b = rows_of(faces(4, 2), ("S4", "S3", "S2", "S2"), "b")
    assert shared_subjects(a, b) == ("S2", "S3")
    assert find_leaks(a, b) == [("a1", "b2", "subject", 0.0), ("a3", "b1", "subject", 0.0)]
    assert shared_subjects(a, rows_of(faces(4, 2))) == ()

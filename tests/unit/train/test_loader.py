"""Batches: balanced sampling, a teacher's answers, and what is not drawn."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.data.augment import AugmentConfig  # noqa: E402
from mien.train.data.loader import (  # noqa: E402
    TensorData,
    balanced_chances,
    training_batches,
)
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot  # noqa: E402

STILL = AugmentConfig(flip=0.0, rotate=0.0, shift=0.0, scale=0.0)
# 700 of the first class, 80 of the second, 20 of the third, 100 unlabelled.
CODES = np.repeat([0, 1, 2, -1], [700, 80, 20, 100])


def data(answers=None):
    """Faces that carry their own number: two grey levels of two halves."""
    n = len(CODES)
    images = np.zeros((n, 4, 4), np.uint8)
    affect = np.stack([np.arange(n) / n, np.full(n, np.nan)], axis=1).astype(np.float32)
    targets = {"a": one_hot(CODES, 3), "affect": affect}
    labels = {"a": ("x", "y", "z"), "affect": AFFECT_LABELS}
    return TensorData(
        Rows(images, targets, labels, tuple(map(str, range(n)))), ("a", "affect"), 4, "cpu", answers
    )


def drawn(epoch=0, seed=0, skip=0, chances=None, **told):
    """The targets of an epoch's batches, and which faces these are (n * valence)."""
    source = data()
    batches = training_batches(
        source, STILL, size=4, batch=90, seed=seed, epoch=epoch, skip=skip, chances=chances, **told
    )
    return [targets for _, targets in batches]


def faces(targets):
    return [round(v * len(CODES)) for batch in targets for v in batch["affect"][:, 0].tolist()]


CHANCES = balanced_chances(torch.from_numpy(one_hot(CODES, 3)))


def test_the_odds_by_hand():
    # 800 labelled faces, three classes: 800 / 3 / n_k each, and 1 for those without a label.
    wanted = [800 / 3 / 700, 800 / 3 / 80, 800 / 3 / 20, 1.0]
    assert CHANCES[[0, 700, 780, 800]].tolist() == pytest.approx(wanted)
    assert float(CHANCES[CODES >= 0].mean()) == pytest.approx(1)


def test_the_odds_of_distributions():
    target = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    # The classes hold 2.5 and 0.5: 0.4, 0.2 + 1 and 0.4, which sum to 2.
    assert balanced_chances(target).tolist() == pytest.approx([0.6, 1.8, 0.6])


def test_no_labels_at_all():
    assert balanced_chances(torch.zeros(3, 2)).tolist() == [1, 1, 1]


def test_balanced_batches_have_equal_classes():
    seen = [drawn(epoch, chances=CHANCES) for epoch in range(20)]
    codes = CODES[[face for targets in seen for face in faces(targets)]]
    assert len(codes) == 20 * 900
    share = np.bincount(codes + 1, minlength=4) / len(codes)
    # A ninth without a label, as is natural; the rest in three. Deviations are below 0.0036.
    assert share == pytest.approx([1 / 9, 8 / 27, 8 / 27, 8 / 27], abs=0.015)


def test_natural_batches_have_each_face_once():
    assert sorted(faces(drawn())) == list(range(900))
    assert sorted(faces(drawn(chances=CHANCES))) != list(range(900))


def test_a_balanced_epoch_entered_in_the_middle_goes_on_as_it_would_have():
    whole = drawn(epoch=3, chances=CHANCES)
    rest = drawn(epoch=3, chances=CHANCES, skip=4)
    assert faces(whole[4:]) == faces(rest)
    assert faces(whole) != faces(drawn(epoch=4, chances=CHANCES))
    assert faces(whole) != faces(drawn(epoch=3, seed=1, chances=CHANCES))


def test_affect_and_a_teachers_answers_are_not_drawn():
    said = {"a": np.full((900, 3), -1.5), "affect": np.full((900, 2), 0.25)}
    source = data({head: answer.astype(np.float32) for head, answer in said.items()})
    ((_, targets), *_) = training_batches(
        source, STILL, size=4, batch=90, seed=0, epoch=0, draw=True
    )
    assert set(targets) == {"a", "affect", "teacher/a", "teacher/affect"}
    assert targets["teacher/a"].unique().tolist() == [-1.5]
    assert targets["teacher/affect"].unique().tolist() == [0.25]
    assert 0 < float(targets["affect"][:, 0].max()) < 1
    assert torch.isnan(targets["affect"][:, 1]).all()

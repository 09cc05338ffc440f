"""Mixup: two faces in one crop, and the labels in the same parts."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.augment import AugmentConfig  # noqa: E402
from mien.train.data.loader import TensorData, training_batches  # noqa: E402
from mien.train.data.mixup import mixup  # noqa: E402
from mien.train.data.rows import Rows, one_hot  # noqa: E402
from mien.train.sections import DataConfig, LossConfig  # noqa: E402

N = 2000
X = torch.arange(1.0, N + 1).reshape(N, 1, 1, 1).expand(N, 1, 2, 2)


def mixed(targets, alpha=1.0, seed=0):
    return mixup(X, targets, alpha, torch.Generator().manual_seed(seed))


def parts(x):
    """Which part of each crop is its own, out of its grey level: x_i = l n_i + (1 - l) n_(i-1)."""
    own, before = X[:, 0, 0, 0], X.roll(1, dims=0)[:, 0, 0, 0]
    return (x[:, 0, 0, 0] - before) / (own - before)


def test_crops_and_labels_are_averaged_in_the_same_parts():
    target = torch.zeros(N, 2)
    target[::2, 0] = 1.0
    target[1::2, 1] = 1.0
    x, targets = mixed({"a": target})
    part = parts(x)
    assert x.shape == X.shape and bool((x == x[:, :, :1, :1]).all())
    wanted = torch.where(target > 0, part[:, None], 1 - part[:, None])
    assert torch.allclose(targets["a"], wanted, atol=2e-3)


@pytest.mark.parametrize("alpha, deviation", [(1.0, 12**-0.5), (0.2, (0.25 / 1.4) ** 0.5)])
def test_the_parts_are_of_the_beta_distribution(alpha, deviation):
    part = parts(mixed({}, alpha)[0])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
    assert float(part.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(part.std()) == pytest.approx(deviation, abs=0.02)


def test_a_seed_fixes_them():
    assert bool((mixed({})[0] == mixed({})[0]).all())
    assert not bool((mixed({})[0] == mixed({}, seed=1)[0]).any())


def test_what_is_unknown_of_one_is_unknown_of_both():
    target, affect = torch.ones(N, 1), torch.full((N, 2), 0.5)
    target[3] = 0.0
    affect[7, 1] = float("nan")
    _, targets = mixed({"a": target, "affect": affect})
    assert torch.nonzero(targets["a"][:, 0] == 0).flatten().tolist() == [3, 4]
    assert torch.allclose(targets["a"].sum(), torch.tensor(N - 2.0))
    assert torch.nonzero(targets["affect"].isnan()).tolist() == [[7, 1], [8, 1]]
    assert torch.allclose(targets["affect"][:, 0], torch.tensor(0.5))


def test_a_teachers_logits_are_averaged_as_probabilities():
    logits = torch.tensor([[2.0, 0.0], [-1.0, 1.0]]).repeat(N // 2, 1)
    told = torch.tensor([[0.5, -0.5], [0.0, 1.0]]).repeat(N // 2, 1)
    x, targets = mixed({"teacher/a": logits, "teacher/affect": told})
    part = parts(x)[:, None]
    chances = torch.softmax(logits, dim=1)
    wanted = part * chances + (1 - part) * chances.roll(1, dims=0)
    assert torch.allclose(torch.softmax(targets["teacher/a"], dim=1), wanted, atol=1e-3)
    wanted = part * told + (1 - part) * told.roll(1, dims=0)
    assert torch.allclose(targets["teacher/affect"], wanted, atol=2e-3)


def test_batches_are_mixed_after_they_are_augmented():
    images = np.zeros((8, 4, 4), np.uint8)
    images[:, :, 2:] = 200
    images[4:] = images[4:].transpose(0, 2, 1)
    labels = one_hot(np.repeat([0, 1], 4), 2)
    rows = Rows(images, {"a": labels}, {"a": ("x", "y")}, tuple("abcdefgh"))
    still = {"flip": 0.0, "rotate": 0.0, "shift": 0.0, "scale": 0.0}
    data = TensorData(rows, ("a",), 4, "cpu")

    def one(alpha):
        config = AugmentConfig(**still, mixup=alpha)
        return next(training_batches(data, config, size=4, batch=8, seed=0, epoch=0))

    (x, plain), (y, halved) = one(0.0), one(1.0)
    assert set(plain["a"].flatten().tolist()) == {0.0, 1.0}
    both = (halved["a"] > 0).all(dim=1)
    assert bool(both.any()) and torch.allclose(halved["a"].sum(dim=1), torch.ones(8))
    # Two halves that lie across each other have four corners, of as many grey levels where l is not
    # a half; and what is mixed has a mean of 0 and a deviation of 1 as every crop has.
    assert len(y[both][0].unique()) == 4 and len(x[both][0].unique()) == 2
    assert torch.allclose(y.mean(dim=(1, 2, 3)), torch.zeros(8), atol=1e-5)
    assert torch.allclose(y.std(dim=(1, 2, 3), unbiased=False), torch.ones(8), atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [{"loss": LossConfig(kind="centre")}, {"data": DataConfig(votes="multi_target")}],
)
def test_losses_that_need_one_label_a_face_refuse_it(other):
    with pytest.raises(UsageError, match=r"augment\.mixup gives faces two labels"):
        TrainConfig(augment=AugmentConfig(mixup=0.2), **other)


def test_an_alpha_below_zero_is_refused():
    with pytest.raises(UsageError, match=r"augment\.mixup must not be below 0"):
        TrainConfig(augment=AugmentConfig(mixup=-0.1))

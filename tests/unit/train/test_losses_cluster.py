"""Centre loss and weighted-cluster loss against the equations, written again in NumPy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.losses.cluster import CentreLoss, WeightedClusterLoss  # noqa: E402

K, F = 4, 3
WEIGHTS = np.array([1.0, 0.25, 0.5, 0.1])
CODES = np.array([0, 1, 1, 3, -1, 0])


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


X, CENTRES = numbers(6, F), numbers(K, F, seed=1)


def centre_loss(rate=0.5, centres=CENTRES):
    loss = CentreLoss(K, F, rate).double()
    loss.centres.copy_(torch.from_numpy(centres))
    return loss


def cluster_loss(rate=0.5, delta=1.0, centres=CENTRES, **told):
    loss = WeightedClusterLoss(torch.from_numpy(WEIGHTS), F, rate, delta, **told).double()
    loss.weights.copy_(torch.from_numpy(WEIGHTS))  # not by way of float32
    loss.centres.copy_(torch.from_numpy(centres))
    return loss


BOTH = pytest.mark.parametrize("make", [centre_loss, cluster_loss])


def tensors(x=X, codes=CODES):
    return torch.from_numpy(x), torch.from_numpy(codes)


def denominator(j, delta, centres=CENTRES):
    return sum(((centres[j] - centres[i]) ** 2).sum() for i in range(K) if i != j) + delta


# --- the losses


def test_centre_loss_is_half_the_mean_squared_distance():
    known = [i for i in range(6) if CODES[i] >= 0]
    wanted = sum(((X[i] - CENTRES[CODES[i]]) ** 2).sum() for i in known) / 2 / 5
    assert float(centre_loss()(*tensors())) == pytest.approx(wanted)


def test_two_points_by_hand():
    loss = CentreLoss(2, 2)
    loss.centres.copy_(torch.tensor([[0.0, 0.0], [10.0, 0.0]]))
    # |(3, 4)|^2 = 25 and |(1, 0)|^2 = 1: half the mean is 6.5.
    x = torch.tensor([[3.0, 4.0], [11.0, 0.0]])
    assert float(loss(x, torch.tensor([0, 1]))) == 6.5


def test_cluster_loss_weighs_each_row_by_its_own_class_and_denominator():
    known = [i for i in range(6) if CODES[i] >= 0]
    each = [
        WEIGHTS[CODES[i]] * ((X[i] - CENTRES[CODES[i]]) ** 2).sum() / denominator(CODES[i], 0.7)
        for i in known
    ]
    assert float(cluster_loss(delta=0.7)(*tensors())) == pytest.approx(sum(each) / 2 / 5)


def test_three_clusters_by_hand():
    loss = WeightedClusterLoss(torch.tensor([1.0, 0.5, 0.25]), 2, delta=1.0)
    loss.centres.copy_(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    # Squared distances between the centres: 9, 16 and 25.
    assert loss.spread().tolist() == pytest.approx([9 + 16 + 1, 9 + 25 + 1, 16 + 25 + 1])
    x = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 4.0]])
    wanted = 0.5 * (1.0 * 1 / 26 + 0.5 * 4 / 35 + 0) / 3
    assert float(loss(x, torch.tensor([0, 1, 2]))) == pytest.approx(wanted)


def test_centres_far_apart_make_the_cluster_loss_small():
    codes, off_by_one = torch.tensor([0, 1]), torch.from_numpy(CENTRES[:2]) + 1
    near = cluster_loss()(off_by_one, codes)
    apart = cluster_loss(centres=10 * CENTRES)(
        off_by_one + 9 * torch.from_numpy(CENTRES[:2]), codes
    )
    scale = [denominator(j, 1.0) / denominator(j, 1.0, 10 * CENTRES) for j in (0, 1)]
    assert min(scale) * float(near) < float(apart) < max(scale) * float(near)
    assert max(scale) < 0.02


@BOTH
def test_the_loss_does_not_depend_on_the_batch_size(make):
    once = make()(*tensors())
    thrice = make()(*tensors(np.tile(X, (3, 1)), np.tile(CODES, 3)))
    assert float(thrice) == pytest.approx(float(once))


@BOTH
def test_no_class_at_all_is_zero_with_a_gradient_of_zero(make):
    x = torch.from_numpy(X).clone().requires_grad_()
    value = make()(x, torch.full((6,), -1))
    value.backward()
    assert float(value.detach()) == 0
    assert x.grad.abs().max() == 0


@BOTH
def test_the_gradient_is_that_of_finite_differences(make):
    x = torch.from_numpy(X).clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: make()(z, torch.from_numpy(CODES)), (x,))


@BOTH
def test_centres_are_state_and_are_not_learnt(make):
    loss = make()
    assert list(loss.parameters()) == []
    assert torch.equal(loss.state_dict()["centres"], torch.from_numpy(CENTRES))


# --- the centres


@BOTH
def test_centres_move_towards_their_features(make):
    loss = make()
    before = np.linalg.norm(loss.centres.numpy() - 5, axis=1)
    loss.update(torch.full((K, F), 5.0).double(), torch.arange(K))
    after = np.linalg.norm(loss.centres.numpy() - 5, axis=1)
    assert (after < before).all()
    loss.update(torch.full((K, F), -100.0).double(), torch.arange(K))
    assert (loss.centres.numpy() < CENTRES).any(axis=1).all()


def test_the_update_of_wen():
    loss = centre_loss(rate=0.4)
    loss.update(*tensors())
    wanted = CENTRES.copy()
    for j in range(K):
        own = [i for i in range(6) if CODES[i] == j]
        wanted[j] -= 0.4 * sum(CENTRES[j] - X[i] for i in own) / (1 + len(own)) if own else 0
    assert loss.centres.numpy() == pytest.approx(wanted)
    assert (loss.centres.numpy()[2] == CENTRES[2]).all()  # nobody of class 2 was there


def test_one_row_moves_its_centre_by_a_quarter_of_the_way():
    loss = CentreLoss(2, 1, rate=0.5)
    loss.update(torch.tensor([[8.0]]), torch.tensor([1]))
    assert loss.centres.tolist() == [[0.0], [2.0]]  # 0.5 * (8 - 0) / (1 + 1)


@pytest.mark.parametrize("summed", [False, True])
def test_the_update_of_the_cluster_loss(summed):
    loss = cluster_loss(rate=0.4, delta=0.7, summed=summed)
    loss.update(*tensors())
    wanted = CENTRES.copy()
    for j in range(K):
        own = [i for i in range(6) if CODES[i] == j]
        part = sum((CENTRES[j] - X[i] for i in own), np.zeros(F)) * WEIGHTS[j]
        part = part / denominator(j, 0.7) / (1 if summed else 1 + len(own))
        wanted[j] -= 0.4 * part
    assert loss.centres.numpy() == pytest.approx(wanted)


@BOTH
def test_no_centre_moves_past_its_features(make):
    loss = make(rate=1.0, centres=np.zeros((K, F)))
    for n in (1, 10, 1000):
        loss.centres.zero_()
        loss.update(torch.ones(n, F).double(), torch.zeros(n, dtype=torch.long))
        assert 0 < float(loss.centres[0].max()) <= n / (1 + n)


@BOTH
def test_repeated_updates_end_at_the_class_means(make):
    loss = make(rate=1.0)
    x, codes = torch.from_numpy(X), torch.from_numpy(CODES)
    for _ in range(3000):
        loss.update(x, codes)
    assert loss.centres[0].numpy() == pytest.approx((X[0] + X[5]) / 2, abs=1e-6)
    assert loss.centres[3].numpy() == pytest.approx(X[3], abs=1e-3)


@BOTH
def test_centres_start_on_the_class_means(make):
    loss = make()
    loss.initialise(*tensors())
    known = X[CODES >= 0]
    wanted = [(X[0] + X[5]) / 2, (X[1] + X[2]) / 2, known.mean(axis=0), X[3]]
    assert loss.centres.numpy() == pytest.approx(np.array(wanted))


@BOTH
def test_centres_need_a_labelled_face(make):
    with pytest.raises(UsageError, match="at least one labelled face"):
        make().initialise(torch.from_numpy(X), torch.full((6,), -1))


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_rates_that_cannot_be(rate):
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        CentreLoss(2, 2, rate)
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        WeightedClusterLoss(torch.ones(2), 2, rate)


def test_a_delta_that_cannot_be():
    with pytest.raises(UsageError, match="delta is 0"):
        WeightedClusterLoss(torch.ones(2), 2, delta=0)

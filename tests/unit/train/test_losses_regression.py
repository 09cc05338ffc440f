"""The losses of valence and arousal against NumPy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.losses.regression import (  # noqa: E402
    REGRESSIONS,
    concordance_loss,
    mean_squared,
    smooth_l1,
)

NAN = float("nan")
each_loss = pytest.mark.parametrize("loss", REGRESSIONS.values(), ids=list(REGRESSIONS))


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def drawn(seed, n=7):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 2))


def test_smooth_l1_by_hand():
    # Errors 0.5, -0.2, 3, -1: 0.125, 0.02, 2.5 and 0.5.
    assert float(smooth_l1(double([[0.5, -0.2], [3.0, -1.0]]), double([[0.0] * 2] * 2))) == (
        pytest.approx((0.125 + 0.02 + 2.5 + 0.5) / 4)
    )


def test_smooth_l1_is_pytorchs():
    p, y = torch.from_numpy(drawn(0)), torch.from_numpy(3 * drawn(1))
    assert float(smooth_l1(p, y)) == pytest.approx(float(torch.nn.functional.smooth_l1_loss(p, y)))


def test_mean_squared_by_hand():
    assert float(mean_squared(double([[0.5, -0.2]]), double([[0.0, 0.1]]))) == pytest.approx(
        (0.25 + 0.09) / 2
    )


def ccc(p, y):
    """Lin 1989 with moments of the population."""
    cov = np.mean((p - p.mean()) * (y - y.mean()))
    return 2 * cov / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)


def test_concordance_is_lins():
    p, y = drawn(0), drawn(1)
    wanted = np.mean([1 - ccc(p[:, i], y[:, i]) for i in (0, 1)])
    assert float(concordance_loss(torch.from_numpy(p), torch.from_numpy(y))) == pytest.approx(
        wanted
    )


def test_concordance_by_hand():
    # y = 0, 2 and p = 1, 3: cov 1, variances 1, means one apart: 2 / 3; and p = y.
    p, y = double([[1.0, 0.0], [3.0, 2.0]]), double([[0.0, 0.0], [2.0, 2.0]])
    assert float(concordance_loss(p, y)) == pytest.approx((1 / 3 + 0) / 2)
    assert float(concordance_loss(-y, y)) == pytest.approx(1 + 2 / (1 + 1 + 4))


@each_loss
def test_unknown_values_do_not_count(loss):
    p, y = drawn(0), drawn(1)
    some = y.copy()
    some[[0, 3], 0] = NAN
    some[5, 1] = NAN
    got = float(loss(torch.from_numpy(p), torch.from_numpy(some)))
    parts = []
    for i in (0, 1):
        known = ~np.isnan(some[:, i])
        column = torch.from_numpy(p[known][:, [i]]), torch.from_numpy(y[known][:, [i]])
        parts.append((float(loss(*column)), known.sum()))
    if loss is concordance_loss:
        wanted = np.mean([value for value, _ in parts])
    else:
        wanted = np.average([value for value, _ in parts], weights=[n for _, n in parts])
    assert got == pytest.approx(wanted)


def test_concordance_leaves_out_an_output_with_one_value():
    y = double([[0.1, 0.5], [0.4, NAN], [NAN, NAN]])
    p = double([[0.2, 0.9], [0.3, 0.9], [0.9, 0.9]])
    alone = concordance_loss(p[:2, :1], y[:2, :1])
    assert float(concordance_loss(p, y)) == pytest.approx(float(alone))


@each_loss
def test_nothing_known_is_zero_with_a_gradient_of_zero(loss):
    p = torch.randn(3, 2, requires_grad=True)
    value = loss(p, torch.full((3, 2), NAN))
    value.backward()
    assert float(value.detach()) == 0
    assert p.grad.abs().max() == 0


def test_constant_outputs_have_a_finite_gradient():
    p = torch.zeros(4, 2, requires_grad=True)
    concordance_loss(p, torch.zeros(4, 2)).backward()
    assert torch.isfinite(p.grad).all()


@each_loss
def test_the_gradient_is_that_of_finite_differences(loss):
    target = torch.from_numpy(drawn(1))
    target[2, 1] = NAN
    p = torch.from_numpy(drawn(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (p,))

"""Class weights and the weighted softmax loss, by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.losses.classification import (  # noqa: E402
    class_weights,
    soft_cross_entropy,
    weighted_softmax,
)

# exp of the logits is 1, 2, 5: the probabilities are 1/8, 1/4, 5/8.
LOGITS = [math.log(v) for v in (1, 2, 5)]

#: AffectNet's training counts, ids 0-7, and the paper's weights 3750 / n.
AFFECTNET = [74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750]
PUBLISHED = [0.0501, 0.0279, 0.1473, 0.2661, 0.5880, 0.9861, 0.1507, 1.0]


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def loss(logits, target, weights, smoothing=0.0, **told):
    return float(
        weighted_softmax(double(logits), double(target), double(weights), smoothing, **told)
    )


def test_the_papers_weights_on_affectnet():
    weights = class_weights(torch.tensor(AFFECTNET), "min_over_count")
    assert weights.tolist() == pytest.approx(PUBLISHED, abs=5e-5)
    # Its mean over natural batches is K f_min / n, a tenth of plain cross-entropy's 1.
    natural = np.average(weights.numpy(), weights=AFFECTNET)
    assert natural == pytest.approx(8 * 3750 / 287_651, rel=1e-4)


def test_the_other_rules_differ_by_a_factor():
    counts = torch.tensor([10.0, 40.0, 50.0])
    assert class_weights(counts, "min_over_count").tolist() == pytest.approx([1, 1 / 4, 1 / 5])
    balanced = class_weights(counts, "balanced")
    assert balanced.tolist() == pytest.approx([100 / 30, 100 / 120, 100 / 150])
    assert float((balanced * counts).sum() / counts.sum()) == pytest.approx(1)
    assert class_weights(counts, "max_over_count").tolist() == pytest.approx([5, 5 / 4, 1])


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("min_over_count", [1, 0, 0.25]),
        ("balanced", [50 / 20, 0, 50 / 80]),
        ("max_over_count", [4, 0, 1]),
    ],
)
def test_a_class_without_rows_does_not_count(rule, wanted):
    assert class_weights(torch.tensor([10, 0, 40]), rule).tolist() == pytest.approx(wanted)


def test_what_class_weights_refuse():
    with pytest.raises(UsageError, match=r"no class-weight rule 'half'\. Known: min_over_count"):
        class_weights(torch.tensor([1, 2]), "half")
    with pytest.raises(UsageError, match="at least one labelled face"):
        class_weights(torch.zeros(3))


def test_each_row_has_the_weight_of_its_own_class():
    # -(1/2) (w_0 log(1/8) + w_2 log(5/8)); not the sum of all weights on every row.
    wanted = (0.5 * math.log(8) + 2.0 * math.log(8 / 5)) / 2
    assert loss([LOGITS] * 2, [[1, 0, 0], [0, 0, 1]], [0.5, 7.0, 2.0]) == pytest.approx(wanted)


def test_dividing_by_the_sum_of_the_weights():
    wanted = (0.5 * math.log(8) + 2.0 * math.log(8 / 5)) / (0.5 + 2.0)
    rows = ([LOGITS] * 2, [[1, 0, 0], [0, 0, 1]])
    assert loss(*rows, [0.5, 7.0, 2.0], normalise=True) == pytest.approx(wanted)
    assert loss(*rows, [5.0, 70.0, 20.0], normalise=True) == pytest.approx(wanted)


def test_pytorchs_weighted_cross_entropy_is_the_normalised_one():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    codes, weights = torch.tensor([0, 3, 1, 1, 2, 0]), double([0.2, 1.0, 3.0, 0.5])
    theirs = torch.nn.functional.cross_entropy(logits, codes, weights)
    ours = weighted_softmax(logits, torch.eye(4).double()[codes], weights, normalise=True)
    assert float(ours) == pytest.approx(float(theirs))


def test_a_distribution_has_the_mean_of_its_classes_weights():
    target = [0.5, 0.3, 0.2]
    entropy = 0.5 * math.log(8) + 0.3 * math.log(4) + 0.2 * math.log(8 / 5)
    wanted = (0.5 * 2 + 0.3 * 1 + 0.2 * 4) * entropy
    assert loss([LOGITS], [target], [2, 1, 4]) == pytest.approx(wanted)


def test_smoothing_moves_the_aim_and_not_the_weight():
    third = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    wanted = 2 * (0.7 * math.log(8) + 0.3 * third)
    assert loss([LOGITS], [[1, 0, 0]], [2, 1, 4], 0.3) == pytest.approx(wanted)


def test_rows_without_a_target_do_not_count():
    target = [[0, 0, 0], [0, 1, 0]]
    assert loss([LOGITS] * 2, target, [9, 3, 9]) == pytest.approx(3 * math.log(4))
    assert loss([LOGITS] * 2, target, [9, 3, 9], normalise=True) == pytest.approx(math.log(4))


@pytest.mark.parametrize("normalise", [False, True])
def test_no_target_at_all_is_zero_with_a_gradient_of_zero(normalise):
    logits = torch.randn(3, 4, requires_grad=True)
    value = weighted_softmax(logits, torch.zeros(3, 4), torch.ones(4), normalise=normalise)
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("normalise", [False, True])
def test_equal_weights_of_one_are_plain_cross_entropy(normalise):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 4, generator=generator)
    target = torch.softmax(torch.randn(5, 4, generator=generator), dim=1)
    ours = weighted_softmax(logits, target, torch.ones(4), 0.1, normalise=normalise)
    assert float(ours) == pytest.approx(float(soft_cross_entropy(logits, target, 0.1)), rel=1e-6)


@pytest.mark.parametrize("normalise", [False, True])
def test_the_gradient_is_that_of_finite_differences(normalise):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(4, 5, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.eye(5).double()[[0, 3, 3, 1]]
    target[2] = 0
    weights = torch.rand(5, dtype=torch.float64, generator=generator)

    def value(z):
        return weighted_softmax(z, target, weights, 0.1, normalise=normalise)

    assert torch.autograd.gradcheck(value, (logits,))

"""Cross-entropy against distributions, by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.train.losses.classification import multi_target, soft_cross_entropy  # noqa: E402
from mien.train.tasks import ExpressionTask  # noqa: E402

# exp of the logits is 1, 2, 5: the probabilities are 1/8, 1/4, 5/8.
LOGITS = [math.log(v) for v in (1, 2, 5)]


def loss(logits, target, smoothing=0.0):
    tensors = (torch.tensor(v, dtype=torch.float64) for v in (logits, target))
    return float(soft_cross_entropy(*tensors, smoothing))


def test_one_class():
    assert loss([LOGITS], [[0, 0, 1]]) == pytest.approx(math.log(8 / 5))
    assert loss([LOGITS], [[1, 0, 0]]) == pytest.approx(math.log(8))


def test_a_distribution():
    wanted = 0.5 * math.log(8) + 0.3 * math.log(4) + 0.2 * math.log(8 / 5)
    assert loss([LOGITS], [[0.5, 0.3, 0.2]]) == pytest.approx(wanted)


def test_the_mean_is_over_rows():
    wanted = (math.log(8) + math.log(4)) / 2
    assert loss([LOGITS, LOGITS], [[1, 0, 0], [0, 1, 0]]) == pytest.approx(wanted)


def test_rows_without_a_target_do_not_count():
    target = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert loss([LOGITS, LOGITS, [9, 0, 0]], target) == pytest.approx(math.log(4))


def test_smoothing():
    third = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    wanted = 0.7 * math.log(8) + 0.3 * third
    assert loss([LOGITS], [[1, 0, 0]], 0.3) == pytest.approx(wanted)
    assert loss([LOGITS, LOGITS], [[1, 0, 0], [0, 0, 0]], 0.3) == pytest.approx(wanted)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_no_target_at_all_is_zero_with_a_gradient_of_zero(smoothing):
    logits = torch.randn(3, 7, requires_grad=True)
    value = soft_cross_entropy(logits, torch.zeros(3, 7), smoothing)
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad.abs().max() == 0


def test_the_gradient_is_probability_less_target():
    logits = torch.tensor([LOGITS], dtype=torch.float64, requires_grad=True)
    soft_cross_entropy(logits, torch.tensor([[0.0, 1.0, 0.0]]).double()).backward()
    assert logits.grad[0].tolist() == pytest.approx([1 / 8, 1 / 4 - 1, 5 / 8])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_is_that_of_finite_differences(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.rand(4, 5, dtype=torch.float64, generator=generator)
    target = target / target.sum(dim=1, keepdim=True)
    target[2] = 0
    assert torch.autograd.gradcheck(lambda z: soft_cross_entropy(z, target, smoothing), (logits,))


def test_large_logits_stay_finite():
    assert loss([[1e4, 0, 0]], [[0, 1, 0]]) == pytest.approx(1e4)


class Fixed(torch.nn.Module):
    def __init__(self, **logits):
        super().__init__()
        self.logits = {head: torch.tensor(rows) for head, rows in logits.items()}

    def forward(self, x):
        return self.logits


def test_the_task_averages_over_heads():
    targets = {"a": torch.tensor([[0.0, 0, 1]]), "b": torch.tensor([[1.0, 0]])}
    task = ExpressionTask()
    losses = task(Fixed(a=[LOGITS], b=[[0.0, 0.0]]), torch.zeros(1), targets)
    assert float(losses.parts["a"]) == pytest.approx(math.log(8 / 5))
    assert float(losses.parts["b"]) == pytest.approx(math.log(2))
    assert float(losses.total) == pytest.approx((math.log(8 / 5) + math.log(2)) / 2)


def test_the_task_may_weigh_its_heads():
    targets = {"a": torch.tensor([[0.0, 0, 1]]), "b": torch.tensor([[1.0, 0]])}
    model = Fixed(a=[LOGITS], b=[[0.0, 0.0]])
    losses = ExpressionTask(weights={"a": 3.0})(model, torch.zeros(1), targets)
    assert float(losses.total) == pytest.approx((3 * math.log(8 / 5) + math.log(2)) / 4)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ([1, 0, 0], math.log(8)),
        ([0.5, 0.5, 0], math.log(4)),  # the likelier of the two that are marked
        ([1 / 3, 1 / 3, 1 / 3], math.log(8 / 5)),
    ],
)
def test_any_marked_label_is_right(target, wanted):
    rows = torch.tensor([target, [0, 0, 0]], dtype=torch.float64)
    logits = torch.tensor([LOGITS, [9, 0, 0]], dtype=torch.float64)
    assert float(multi_target(logits, rows)) == pytest.approx(wanted)


def test_a_marked_label_that_is_out_of_reach_still_has_a_bound():
    # The others count a thousandth: half of it here.
    logits = torch.tensor([[-50.0, 0.0, 0.0]])
    loss = multi_target(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    assert float(loss) == pytest.approx(-math.log(0.0005), rel=1e-5)


def test_the_rule_of_the_votes_chooses_the_loss_of_ferplus_alone():
    half = torch.tensor([[0.5, 0.5, 0.0]])
    model = Fixed(ferplus=[LOGITS], fer2013=[LOGITS])
    task = ExpressionTask(votes="multi_target")
    parts = task(model, torch.zeros(1), {"ferplus": half, "fer2013": half}).parts
    assert float(parts["ferplus"]) == pytest.approx(math.log(4))
    assert float(parts["fer2013"]) == pytest.approx((math.log(8) + math.log(4)) / 2)

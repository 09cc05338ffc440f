"""What a batch is worth: heads with classes, affect, centres and teachers put together."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.loader import TensorData, plain_batches  # noqa: E402
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot  # noqa: E402
from mien.train.losses.cluster import CentreLoss, WeightedClusterLoss  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.sections import DataConfig, LossConfig  # noqa: E402
from mien.train.tasks import ExpressionTask, make_task  # noqa: E402

NAN = float("nan")
# exp of the logits is 1, 2, 5: the probabilities are 1/8, 1/4, 5/8.
LOGITS = [math.log(v) for v in (1, 2, 5)]
FIRST = torch.tensor([[1.0, 0, 0]])
X = torch.zeros(1, 1, 2, 2)


class Fixed(torch.nn.Module):
    """Says the same of everything."""

    def __init__(self, **outputs):
        super().__init__()
        self.outputs = {head: torch.tensor(rows) for head, rows in outputs.items()}

    def forward(self, x):
        return self.outputs


def value(task, model, targets, x=X):
    return float(task(model, x, targets).total.detach())


def test_affect_is_added_to_the_mean_of_the_classes():
    model = Fixed(a=[LOGITS], b=[[0.0, 0.0]], affect=[[0.5, 0.1]])
    targets = {
        "a": FIRST,
        "b": torch.tensor([[1.0, 0.0]]),
        "affect": torch.tensor([[0.0, NAN]]),
    }
    classes = (math.log(8) + math.log(2)) / 2
    assert value(ExpressionTask(), model, targets) == pytest.approx(classes + 0.125)
    half = ExpressionTask(loss=LossConfig(affect="mse", affect_weight=0.5))
    assert value(half, model, targets) == pytest.approx(classes + 0.5 * 0.25)
    alone = {"affect": targets["affect"]}
    assert value(half, model, alone) == pytest.approx(0.125)


def test_weighted_heads_by_name():
    model = Fixed(a=[LOGITS, LOGITS])
    target = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])
    weights = {"a": torch.tensor([0.5, 1.0, 2.0])}
    both = 0.5 * math.log(8) + 2 * math.log(8 / 5)
    task = ExpressionTask(class_weights=weights)
    assert value(task, model, {"a": target}) == pytest.approx(both / 2)
    task = ExpressionTask(class_weights=weights, loss=LossConfig(normalise=True))
    assert value(task, model, {"a": target}) == pytest.approx(both / 2.5)
    elsewhere = ExpressionTask(class_weights={"b": weights["a"]})
    plain = (math.log(8) + math.log(8 / 5)) / 2
    assert value(elsewhere, model, {"a": target}) == pytest.approx(plain)


def test_a_teachers_answers_come_with_the_targets():
    loss = LossConfig(kd_alpha=0.25, kd_temperature=1.0, affect="mse", bound_weight=0.5)
    model = Fixed(a=[LOGITS], affect=[[0.5, 0.1]])
    targets = {
        "a": FIRST,
        "affect": torch.zeros(1, 2),
        "teacher/a": torch.tensor([[math.log(2), 0.0, 0.0]]),  # 1/2, 1/4, 1/4
        "teacher/affect": torch.full((1, 2), 0.3),
    }
    soft = math.log(8) / 2 + math.log(4) / 4 + math.log(8 / 5) / 4
    classes = 0.75 * math.log(8) + 2 * 0.25 * soft
    # The first output is worse than the teacher's, 0.25 against 0.09, the second is not.
    affect = (0.25 + 0.01) / 2 + 0.5 * 0.25 / 2
    losses = ExpressionTask(loss=loss)(model, X, targets)
    assert set(losses.parts) == {"a", "affect"}
    assert float(losses.parts["a"]) == pytest.approx(classes)
    assert float(losses.parts["affect"]) == pytest.approx(affect)
    assert float(losses.total) == pytest.approx(classes + affect)


@pytest.mark.parametrize(("sign", "counted"), [("chen", 0.04), ("lee", 0.0)])
def test_both_signs_of_the_bound_can_be_asked_for(sign, counted):
    loss = LossConfig(affect="mse", bound_weight=1.0, bound_margin=0.1, bound_sign=sign)
    targets = {"affect": torch.zeros(1, 2), "teacher/affect": torch.full((1, 2), 0.3)}
    # 0.04 against 0.09: better, but by less than the margin.
    model = Fixed(affect=[[0.2, 0.2]])
    assert value(ExpressionTask(loss=loss), model, targets) == pytest.approx(0.04 + counted)


def test_a_teacher_may_be_asked_about_the_batch():
    asked = []

    def ask(x):
        asked.append(x)
        return {"a": torch.tensor([LOGITS])}

    task = ExpressionTask(loss=LossConfig(kd_alpha=1.0, kd_temperature=1.0), ask=ask)
    entropy = sum(p * math.log(1 / p) for p in (1 / 8, 1 / 4, 5 / 8))
    assert value(task, Fixed(a=[LOGITS]), {"a": FIRST}) == pytest.approx(2 * entropy)
    assert [x is X for x in asked] == [True]


# --- centres


class Linear(torch.nn.Module):
    """Features are the pixels, the heads a linear layer."""

    def __init__(self):
        super().__init__()
        self.heads = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 3)})
        self.heads.forward = lambda x: {"a": self.heads["a"](x.flatten(1))}

    def forward(self, x):
        return self.heads(x.flatten(1))


def test_the_centre_loss_is_of_one_heads_features():
    centres = CentreLoss(3, 4, rate=0.5)
    task = ExpressionTask(loss=LossConfig(kind="centre", lam=0.1), centres={"a": centres})
    x = torch.tensor([[1.0, 2, 0, 0], [5, 5, 5, 5]]).view(2, 1, 2, 2)
    targets = {"a": torch.tensor([[0.0, 1, 0], [0, 0, 0]])}
    model = Linear()
    losses = task(model, x, targets)
    assert float(losses.parts["centre"]) == pytest.approx(2.5)  # (1 + 4) / 2, of one face
    plain = ExpressionTask()(model, x, targets)
    assert losses.total.item() == pytest.approx(plain.total.item() + 0.25)
    task.update(losses)
    # Half of (x - 0) / (1 + 1); the face without a label moves nothing.
    assert centres.centres.tolist() == [[0] * 4, [0.25, 0.5, 0, 0], [0] * 4]
    assert list(task.state_dict()) == ["centres.a.centres"]


def test_a_task_without_centres_has_no_state_and_nothing_to_update():
    task = ExpressionTask()
    task.update(task(Fixed(a=[LOGITS]), X, {"a": FIRST}))
    assert task.state_dict() == {}


# --- the task of a run


def faces(n=12):
    images = np.random.default_rng(0).integers(0, 256, (n, 16, 16), np.uint8)
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, -1])
    affect = np.linspace(-1, 1, 2 * n, dtype=np.float32).reshape(n, 2)
    rows = Rows(
        images,
        {"affect": affect, "a": one_hot(codes, 3)},
        {"affect": AFFECT_LABELS, "a": ("x", "y", "z")},
        tuple(map(str, range(n))),
    )
    return TensorData(rows, ("affect", "a"), 16, "cpu"), codes


def network():
    torch.manual_seed(0)
    return build("mien_tiny", {"affect": 2, "a": 3})


def made(**loss):
    data, codes = faces()
    model = network()
    return make_task(TrainConfig(loss=LossConfig(**loss)), model, data), model, data, codes


def test_the_usual_task_has_neither_weights_nor_centres():
    task, *_ = made()
    assert (task.class_weights, dict(task.centres)) == ({}, {})


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("min_over_count", [1 / 3, 2 / 3, 1]), ("balanced", [11 / 18, 11 / 9, 11 / 6])],
)
def test_class_weights_are_of_the_training_split(rule, wanted):
    task, *_ = made(kind="weighted", class_weights=rule)
    assert set(task.class_weights) == {"a"}
    assert task.class_weights["a"].tolist() == pytest.approx(wanted)
    assert len(task.centres) == 0


@pytest.mark.parametrize(
    ("kind", "form"), [("centre", CentreLoss), ("cluster", WeightedClusterLoss)]
)
def test_centres_start_on_the_class_means_of_the_features(kind, form):
    task, model, data, codes = made(kind=kind, gamma=0.25, delta=2.0)
    centres = task.centres["a"]
    assert isinstance(centres, form)
    assert (tuple(centres.centres.shape), centres.rate) == ((3, 78), 0.25)
    if kind == "cluster":
        assert centres.delta == 2.0
        assert centres.weights.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
        assert task.class_weights["a"].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    task.start(model, data)
    assert model.training and model.last[0].training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    with torch.no_grad():
        ((x, _),) = plain_batches(data, 100)
        features = model.eval().features(x)
    for j in range(3):
        assert torch.allclose(centres.centres[j], features[codes == j].mean(dim=0), atol=1e-5)


def test_a_head_for_the_centres_that_is_not_there():
    for head in ("b", "affect"):
        with pytest.raises(
            UsageError, match=f"loss.head is '{head}'; the heads with classes are: a"
        ):
            made(kind="centre", head=head)


def test_smoothing_votes_and_head_weights_are_handed_on():
    data, _ = faces()
    config = TrainConfig(
        smoothing=0.2, head_weights={"a": 2.0}, data=DataConfig(votes="multi_target")
    )
    task = make_task(config, network(), data)
    assert (task.smoothing, task.weights, list(task.losses)) == (0.2, {"a": 2.0}, ["ferplus"])

"""The figures of a run: accuracies, and those of valence and arousal."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.evaluate import measure_affect  # noqa: E402
from mien.train.data.loader import TensorData, plain_batches  # noqa: E402
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot  # noqa: E402
from mien.train.validation import predict_logits, reports_of, validate  # noqa: E402

NAN = float("nan")


class Said(torch.nn.Module):
    """Gives prepared rows in order, batch by batch."""

    def __init__(self, **outputs):
        super().__init__()
        self.outputs = {k: torch.tensor(v, dtype=torch.float32) for k, v in outputs.items()}

    def forward(self, x):
        return {head: rows[: len(x)] for head, rows in self.outputs.items()}


def data(labels, **targets):
    n = len(next(iter(targets.values())))
    arrays = {head: np.array(rows, np.float32) for head, rows in targets.items()}
    rows = Rows(np.zeros((n, 8, 8), np.uint8), arrays, labels, tuple(map(str, range(n))))
    return TensorData(rows, tuple(targets), 8, "cpu")


TRUTH = [[0.0, 0.5], [1.0, NAN], [NAN, -0.5]]
OURS = [[0.5, 0.1], [1.7, 0.9], [0.3, -0.3]]


def test_the_scores_of_an_epoch():
    model = Said(affect=OURS, a=[[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    watched = data(
        {"affect": AFFECT_LABELS, "a": ("x", "y")},
        affect=TRUTH,
        a=[[1, 0], [1, 0], [0, 0]],
    )
    scores = validate(model, watched)
    assert next(iter(scores)) == "affect"  # what keep=best goes by
    figures = measure_affect(np.array(OURS, np.float32), np.array(TRUTH, np.float32))
    for name, part in figures.items():
        assert scores[f"affect_ccc_{name}"] == pytest.approx(part["ccc"])
        assert scores[f"affect_rmse_{name}"] == pytest.approx(part["rmse"])
    mean = (figures["valence"]["ccc"] + figures["arousal"]["ccc"]) / 2
    assert scores["affect"] == pytest.approx(mean)
    assert scores["a"] == 0.5  # of the two that have a label


class Linear(torch.nn.Module):
    """One output per pixel of the first row, each multiplied by what bf16 cannot tell from 1."""

    def forward(self, x):
        return {"a": torch.nn.functional.linear(x[:, 0, 0], 1.001 * torch.eye(8))}


@pytest.mark.parametrize(("precision", "factor"), [("fp32", 1.001), ("bf16", 1.0)])
def test_logits_are_rounded_as_asked(precision, factor):
    rng = np.random.default_rng(0)
    images = np.where(rng.random((3, 8, 8)) < 0.5, 0, 255).astype(np.uint8)
    rows = TensorData(Rows(images, {}, {}, ("0", "1", "2")), (), 8, "cpu")
    near = predict_logits(Linear(), rows, precision=precision)["a"]
    given = next(iter(plain_batches(rows, 3)))[0][:, 0, 0]
    if precision == "bf16":
        given = given.bfloat16().float()
    assert near == pytest.approx((factor * given).numpy(), rel=1e-6)


def test_a_head_without_a_label_is_left_out():
    """Those measured faces may have none of the classes that another set is trained on for."""
    model = Said(a=[[2.0, 1.0]] * 2, b=[[2.0, 1.0]] * 2)
    labels = {"a": ("x", "y"), "b": ("x", "y")}
    watched = data(labels, a=[[0, 0], [0, 0]], b=[[1, 0], [0, 1]])
    assert validate(model, watched) == {"b": 0.5}
    reports, others = reports_of(model, labels, watched, 8)
    assert (list(reports), others) == (["b"], {})


def test_nothing_known_is_not_a_number_and_null_in_the_file():
    nothing = np.full((3, 2), NAN, np.float32)
    figures = measure_affect(np.array(OURS, np.float32), nothing)
    assert figures["valence"]["n"] == 0 and np.isnan(figures["valence"]["ccc"])
    _, others = reports_of(
        Said(affect=OURS), {}, data({"affect": AFFECT_LABELS}, affect=nothing), 50
    )
    assert json.loads(json.dumps(others, allow_nan=False))["affect"]["arousal"]["ccc"] is None


def test_many_classes_have_no_confusion_matrix():
    labels = {"few": ("x", "y"), "people": tuple("abcde")}
    target = one_hot(np.array([0, 1, 2, 3]), 5)
    logits = one_hot(np.array([0, 1, 2, 4]), 5).tolist()
    watched = data(labels, few=[[1, 0]] * 4, people=target)
    reports, others = reports_of(Said(few=[[1.0, 0.0]] * 4, people=logits), labels, watched, 4)
    assert list(reports) == ["few"] and reports["few"].accuracy == 1
    assert others == {"people": {"n": 4, "accuracy": 0.75}}

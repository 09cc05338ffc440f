"""Answers of other networks: averaged, kept, asked live."""

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import tiny_model  # noqa: E402

from mien.errors import DataError, ModelError, UsageError  # noqa: E402
from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.metrics import softmax  # noqa: E402
from mien.train import checkpoint  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot  # noqa: E402
from mien.train.network import Run  # noqa: E402
from mien.train.sections import ModelConfig  # noqa: E402
from mien.train.teachers import (  # noqa: E402
    Teacher,
    answers_of,
    ask_live,
    average,
    cache_key,
    digest_of,
    fit,
    load_teacher,
    shared_columns,
)

LABELS = {"a": ("x", "y"), "affect": AFFECT_LABELS}


def rows(n=3, labels=LABELS):
    """Faces whose left half is `50 i` and whose right half is 10."""
    images = np.full((n, 8, 8), 10, np.uint8)
    images[:, :, :4] = 50 * np.arange(n)[:, None, None]
    targets = {head: np.zeros((n, len(names)), np.float32) for head, names in labels.items()}
    return Rows(images, targets, labels, tuple(map(str, range(n))))


class Asked:
    """Says how light the two halves are, and counts how often it is asked."""

    def __init__(self, factor=1.0):
        self.factor, self.times = factor, 0

    def __call__(self, images):
        self.times += 1
        left, right = (half.mean(axis=(1, 2)) / 100 for half in (images[..., :4], images[..., 4:]))
        logits = np.stack([left, right], axis=1).astype(np.float32) * self.factor
        return {"a": logits, "affect": logits / 10}


def teacher(outputs, labels=LABELS, digest="d"):
    return Teacher("runs/t", labels, digest, outputs)


# --- averages


def test_probabilities_are_averaged_not_logits():
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[-4.0, 0.0]])
    (answer,) = average([{"a": first}, {"a": second}]).values()
    p = (1 / (1 + math.exp(-2)) + 1 / (1 + math.exp(4))) / 2
    assert answer.exp()[0].tolist() == pytest.approx([p, 1 - p], rel=1e-6)


def test_one_answer_keeps_its_softened_probabilities():
    logits = 5 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    (answer,) = average([{"a": logits}]).values()
    for temperature in (1.0, 4.0):
        assert torch.allclose(
            torch.softmax(answer / temperature, 1),
            torch.softmax(logits / temperature, 1),
            atol=1e-6,
        )


def test_affect_is_a_plain_mean_and_heads_count_where_they_are():
    said = [
        {"affect": torch.tensor([[0.2, -0.4]])},
        {"affect": torch.tensor([[0.4, 0.0]]), "a": torch.tensor([[0.0, 0.0]])},
    ]
    answers = average(said)
    assert answers["affect"].tolist() == [pytest.approx([0.3, -0.2])]
    assert answers["a"].exp().tolist() == [pytest.approx([0.5, 0.5])]


def test_impossible_classes_stay_finite():
    (answer,) = average([{"a": torch.tensor([[500.0, 0.0]])}] * 2).values()
    assert torch.isfinite(answer).all()


# --- answers that are kept


def test_each_face_and_its_mirror_image_of_each_teacher(tmp_path):
    asked = Asked(1.0), Asked(3.0)
    data = rows()
    got = answers_of([teacher(a) for a in asked], data, LABELS, tmp_path / "t", "k")
    said = [
        outputs
        for factor in (1.0, 3.0)
        for outputs in (Asked(factor)(data.images), Asked(factor)(data.images[:, :, ::-1]))
    ]
    wanted = np.mean([softmax(outputs["a"]) for outputs in said], axis=0)
    assert np.exp(got["a"]) == pytest.approx(wanted, abs=1e-6)
    assert wanted[:, 0] == pytest.approx(0.5, abs=1e-6)  # mirroring swaps the halves
    assert got["affect"] == pytest.approx(np.mean([o["affect"] for o in said], axis=0))
    assert [a.times for a in asked] == [2, 2]


def test_answers_are_kept_until_the_key_changes(tmp_path):
    asked, path = Asked(), tmp_path / "t.safetensors"
    first = answers_of([teacher(asked)], rows(), LABELS, path, "k")
    again = answers_of([teacher(asked)], rows(), LABELS, path, "k")
    assert asked.times == 2
    assert all(np.array_equal(first[h], again[h]) for h in ("a", "affect"))
    answers_of([teacher(asked)], rows(), LABELS, path, "other")
    assert asked.times == 4
    assert checkpoint.load(path)[1] == {"key": "other", "teachers": ["runs/t"]}


def test_the_key_changes_with_the_faces_and_the_teachers():
    one = digest_of([teacher(Asked(), digest="d")])
    assert one != digest_of([teacher(Asked(), digest="e")])
    assert one != digest_of([teacher(Asked())] * 2)
    base = {"train": "t", "validation": "v", "teachers": one}
    key = cache_key(base, LABELS)
    assert cache_key({**base, "validation": "w"}, LABELS) == key
    assert cache_key({**base, "train": "u"}, LABELS) != key
    assert cache_key({**base, "teachers": "u"}, LABELS) != key
    assert cache_key(base, {"a": LABELS["a"]}) != key


def test_labels_are_matched_by_name(tmp_path):
    turned = teacher(Asked(), {"a": ("y", "x"), "b": ("x", "y")})
    assert shared_columns(turned, LABELS) == {"a": [1, 0]}
    data = rows()
    got = answers_of([turned], data, LABELS, tmp_path / "t", "k")
    assert list(got) == ["a"]
    plain = answers_of([teacher(Asked())], data, LABELS, tmp_path / "u", "k")
    assert got["a"] == pytest.approx(plain["a"][:, ::-1])


def test_a_teacher_of_other_things():
    with pytest.raises(UsageError, match="runs/t: its heads b are not the student's a, affect"):
        shared_columns(teacher(Asked(), {"b": ("x", "y")}), LABELS)
    with pytest.raises(UsageError, match="or have other labels"):
        shared_columns(teacher(Asked(), {"a": ("x", "z")}), {"a": ("x", "y")})


# --- files and runs


def test_an_exported_file_as_a_teacher(tmp_path):
    path = tiny_model.write_model(tmp_path / "tiny.onnx")
    loaded = load_teacher(str(path))
    assert loaded.labels == {"ferplus": EIGHT, "fer2013": SEVEN}
    assert loaded.run is None and len(loaded.digest) == 64
    images = np.stack([tiny_model.halves(side) for side in ("right", "bottom")])
    said = loaded.outputs(images)["ferplus"]
    assert said[0] == pytest.approx(tiny_model.logits_of(tiny_model.PLUS, right=1), abs=1e-5)
    assert said[1] == pytest.approx(tiny_model.logits_of(tiny_model.PLUS, bottom=1), abs=1e-5)
    with pytest.raises(UsageError, match="only run folders can be asked live"):
        ask_live([loaded], loaded.labels, "cpu")


def test_what_is_no_teacher(tmp_path):
    with pytest.raises(DataError, match="not a run folder"):
        load_teacher(str(tmp_path))
    with pytest.raises(ModelError):
        load_teacher(str(tmp_path / "none.onnx"))


class Halves(torch.nn.Module):
    """The mean of the left and of the right half of the first channel."""

    def __init__(self):
        super().__init__()
        self.sizes = []
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        self.sizes.append(tuple(x.shape))
        half = x.shape[3] // 2
        parts = [x[:, 0, :, :half].mean((1, 2)), x[:, 0, :, half:].mean((1, 2))]
        return {"a": self.scale * torch.stack(parts, dim=1)}


def live(size=8, channels=1):
    network = Halves()
    config = TrainConfig(model=ModelConfig(size=size))
    run = Run(config, network, {"a": ("x", "y")}, Path(), {"channels": channels}, "")
    return Teacher("runs/t", run.labels, "d", Asked(), run), network


def test_a_teacher_asked_live():
    first, network = live()
    second, _ = live()
    second.run.model.scale.data.fill_(3.0)
    network.train()
    ask = ask_live([first, second], LABELS, "cpu")
    x = torch.randn(4, 1, 8, 8)
    answers = ask(x)
    assert list(answers) == ["a"]
    halves = torch.stack([x[..., :4].mean((1, 2, 3)), x[..., 4:].mean((1, 2, 3))], dim=1)
    wanted = (torch.softmax(halves, 1) + torch.softmax(3 * halves, 1)) / 2
    assert torch.allclose(answers["a"].exp(), wanted, atol=1e-6)
    assert not network.training and not answers["a"].requires_grad
    assert not network.scale.requires_grad


def test_crops_are_made_to_fit_the_teacher():
    teacher_of_16, network = live(size=16, channels=3)
    answers = ask_live([teacher_of_16], LABELS, "cpu")(torch.ones(2, 1, 8, 8))
    assert network.sizes == [(2, 3, 16, 16)]
    assert answers["a"].exp().flatten().tolist() == pytest.approx([0.5] * 4)


def test_fitting():
    x = torch.randn(2, 1, 8, 8)
    assert fit(x, 8, 1) is x
    assert torch.equal(fit(x, 8, 3), x.repeat(1, 3, 1, 1))
    colour = torch.randn(2, 3, 8, 8)
    grey = fit(colour, 8, 1)
    r, g, b = colour[0].numpy()
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    assert grey[0, 0].numpy() == pytest.approx((luma - luma.mean()) / luma.std(), abs=1e-5)
    # Sixteen steps of 2 / 15; the two in the middle of eight lie a whole such step off zero.
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    assert fit(ramp, 8, 1)[0, 0, 0, 3:5].tolist() == pytest.approx([-2 / 15, 2 / 15], abs=1e-6)


def test_a_run_folder_as_a_teacher(tmp_path):
    pytest.importorskip("yaml")
    from synthetic_faces import write_fer2013, write_recipe

    from mien.train.config import load_config
    from mien.train.run import run_training

    data = write_fer2013(tmp_path / "data", 14, ("Training", "PublicTest"))
    config = load_config(write_recipe(tmp_path / "bars.yaml"), {"epochs": "1"})
    run = run_training(config, data, tmp_path / "run")
    loaded = load_teacher(str(tmp_path / "run"))
    assert loaded.labels == {"fer2013": SEVEN, "ferplus": EIGHT}
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    from mien.train.data.loader import TensorData, plain_batches

    whole = Rows(images, {"a": one_hot(np.zeros(3, np.intp), 2)}, {"a": ("x", "y")}, ("",) * 3)
    ((x, _),) = plain_batches(TensorData(whole, (), 16, "cpu"), 9)
    with torch.no_grad():
        wanted = run.model.eval()(x)["ferplus"].numpy()
    assert loaded.outputs(images)["ferplus"] == pytest.approx(wanted, abs=1e-5)
    colour = np.repeat(images[..., None], 3, axis=3)  # grey as RGB: the network takes grey
    assert loaded.outputs(colour)["ferplus"] == pytest.approx(wanted, abs=1e-5)
    before = loaded.digest
    weights = tmp_path / "run" / "last.safetensors"
    tensors, about = checkpoint.load(weights)
    checkpoint.save(weights, {k: v + 1 for k, v in tensors.items()}, about)
    assert load_teacher(str(tmp_path / "run")).digest != before

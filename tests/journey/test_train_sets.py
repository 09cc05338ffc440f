"""Two data sets, one network: trained on from an older run, exported with all of its heads."""

import csv
import json

import numpy as np
import pytest
from commands import mien

for needed in ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_faces import write_recipe  # noqa: E402
from synthetic_sets import bar, write_sets  # noqa: E402

from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.runtime.classify import load_classifier  # noqa: E402
from mien.train import checkpoint  # noqa: E402

pytestmark = pytest.mark.journey

ALSO = """
data:
  heads: [fer2013, ferplus, affectnet, affect]
  also:
    - {reader: affectnet, train: train, validation: validation, options: {held_out: 5}, repeat: 3}
loss: {affect: ccc}
teacher_weight: 0.5
"""
WEIGHTS = "{fer2013: 0.25, ferplus: 0.25, affectnet: 0.5}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    data = write_sets(folder / "data")
    write_recipe(folder / "bars.yaml")
    write_recipe(folder / "both.yaml", ALSO)
    first = ("train", folder / "bars.yaml", "--data", data / "fer2013", "--out", folder / "first")
    assert mien(*first, "--epochs", "4") == 0
    both = ("train", folder / "both.yaml", "--data", data, "--out", folder / "both")
    more = ("--init", folder / "first", "--teacher", folder / "first", "--optim.backbone_lr", "0.5")
    assert mien(*both, *more, "--epochs", "8", "--release.weights", WEIGHTS) == 0
    assert mien("export", folder / "both", "--data", data, "--output", folder / "both.onnx") == 0
    return folder


def test_the_history_has_a_figure_of_every_head(place):
    with (place / "both" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    heads = ["fer2013", "ferplus", "affectnet", "affect"]
    each = [f"affect_{m}_{o}" for o in ("valence", "arousal") for m in ("ccc", "rmse")]
    assert list(history[0]) == ["epoch", "loss", *heads, *each, "faces_per_s"]
    assert float(history[-1]["affectnet"]) > 0.5  # by chance 0.125
    assert float(history[-1]["affect"]) > 0.4


def test_each_head_is_measured_on_its_own_set(place):
    metrics = json.loads((place / "both" / "metrics.json").read_text())
    assert metrics["fer2013"]["n"] == metrics["ferplus"]["n"] == 70
    assert metrics["affectnet"]["n"] == metrics["affect"]["valence"]["n"] == 13
    data = json.loads((place / "both" / "data.json").read_text())
    assert data["faces"] == {"train": 70 + 3 * 51, "validation": 70 + 13}
    assert data["counts"]["affect"] == {"valence": 153, "arousal": 153}
    assert sum(data["counts"]["fer2013"].values()) == 70  # the labels, not the teacher's answers


def test_the_older_heads_are_kept(place):
    before = json.loads((place / "first" / "metrics.json").read_text())
    after = json.loads((place / "both" / "metrics.json").read_text())
    assert after["fer2013"]["accuracy"] >= before["fer2013"]["accuracy"] - 0.1


def test_what_is_told(place, capsys):
    words = ("train", place / "both.yaml", "--data", place / "data", "--out", place / "again")
    assert mien(*words, "--init", place / "first", "--epochs", "1") == 0
    told = capsys.readouterr().err
    assert "affectnet: 51 faces, each 3 times an epoch, 13 for validation" in told
    assert "train, 223 faces, affectnet: neutral 18" in told
    assert "new: heads.affect, heads.affectnet" in told


def test_the_file_has_four_heads_and_answers_with_three(place):
    classifier = load_classifier(place / "both.onnx")
    spec = classifier.spec
    assert [(head.name, head.labels) for head in spec.heads] == [
        ("fer2013", SEVEN),
        ("ferplus", EIGHT),
        ("affectnet", EIGHT),
        ("affect", ("valence", "arousal")),
    ]
    assert spec.answer.weights == {"fer2013": 0.25, "ferplus": 0.25, "affectnet": 0.5}
    assert spec.metrics["affectnet_n"] == 13
    assert spec.metrics["answer_n"] == 70
    crops = np.stack([bar(code, 5 * code) for code in range(8)])
    scores = classifier(crops)
    assert scores.probabilities.shape == (8, 8)
    assert scores.valence is not None and scores.arousal is not None
    affect = classifier.logits(crops)["affect"]
    assert scores.valence == pytest.approx(np.clip(affect[:, 0], -1, 1))
    assert scores.valence[1] > scores.valence[2]  # happiness, sadness
    assert scores.arousal[3] > scores.arousal[2]  # surprise, sadness


def test_a_set_that_is_not_there(place, capsys):
    words = ("train", place / "both.yaml", "--data", place / "data" / "fer2013")
    assert mien(*words, "--out", place / "none") == 1
    told = capsys.readouterr().err
    assert "this needs affectnet, expected at" in told
    assert not (place / "none").exists()


def test_a_teacher_that_knows_affect_bounds_the_student(place, capsys):
    """`mien distill` on both sets: every head is learnt from a run that has them all."""
    words = ("distill", place / "both.yaml", "--teacher", place / "both", "--data", place / "data")
    assert mien(*words, "--out", place / "student", "--epochs", "1") == 0
    answers, _ = checkpoint.load(place / "student" / "teachers.safetensors")
    sizes = {head: tuple(answer.shape) for head, answer in answers.items()}
    assert sizes == {
        "fer2013": (223, 7),
        "ferplus": (223, 8),
        "affectnet": (223, 8),
        "affect": (223, 2),
    }
    assert answers["affect"].isfinite().all()  # known of FER2013's faces, too
    # Of these the bounded loss counts those with ratings: the other faces' targets are not known.
    metrics = json.loads((place / "student" / "metrics.json").read_text())
    assert metrics["affect"]["arousal"]["n"] == 13

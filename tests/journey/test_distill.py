"""Teachers and students, people and expressions, by the commands a user types."""

import csv
import json

import numpy as np
import pytest
from commands import mien as run

for needed in ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from PIL import Image  # noqa: E402
from synthetic_faces import faces, labels_of  # noqa: E402

import mien  # noqa: E402
from mien.errors import UsageError  # noqa: E402
from mien.train import checkpoint  # noqa: E402
from mien.train.data.affectnet import CODES  # noqa: E402

pytestmark = pytest.mark.journey

RECIPE = """
data:
  reader: affectnet
  train: train
  validation: validation
  heads: [affectnet, affect]
model: {name: tian2022_a, options: {head: linear}, size: 16}
optim: {lr: 0.05, warmup: 0.5, ema: 0.8}
augment: {flip: 0.5, rotate: 0.0, shift: 0.02, scale: 0.0}
epochs: 12
batch: 12
threads: 1
release: {name: bars, licence: CC0-1.0, training_data: [bars (CC0-1.0)]}
"""
PEOPLE = """
data: {reader: identities, train: train, validation: validation, heads: [identity]}
model: {name: tian2022_a, options: {head: linear}, size: 16}
augment: {rotate: 0.0, shift: 0.02, scale: 0.0}
epochs: 1
batch: 12
threads: 1
"""


def write_affectnet(folder, n, seed):
    """AffectNet's small form: bars whose height is the expression and the valence."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i, (label, picture) in enumerate(zip(labels_of(n), faces(n, seed), strict=True)):
        Image.fromarray(picture).save(folder / "images" / f"{i}.jpg", quality=100)
        code = CODES.index(label)
        arousal = -2 if i % 2 else code / 4 - 1
        told = {"exp": str(code), "val": str(code / 4 - 1), "aro": str(arousal)}
        for kind, text in told.items():
            np.save(folder / "annotations" / f"{i}_{kind}.npy", np.array(text))
        np.save(folder / "annotations" / f"{i}_lnd.npy", np.zeros(136))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill")
    write_affectnet(folder / "data" / "train_set", 60, 0)
    write_affectnet(folder / "data" / "val_set", 28, 900)
    (folder / "bars.yaml").write_text(RECIPE)
    words = ("--data", folder / "data", "--out", folder / "teacher")
    assert run("train", folder / "bars.yaml", *words) == 0
    words = ("--data", folder / "data", "--output", folder / "teacher.onnx")
    assert run("export", folder / "teacher", *words) == 0
    return folder


def distil(place, out, *more):
    words = ("--data", place / "data", "--out", place / out, "--epochs", "1")
    return run("distill", place / "bars.yaml", *words, *more)


def test_valence_and_arousal_beside_the_classes(place):
    with (place / "teacher" / "history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    figures = [
        "affect",
        *(f"affect_{k}_{v}" for v in ("valence", "arousal") for k in ("ccc", "rmse")),
    ]
    assert list(last) == ["epoch", "loss", "affectnet", *figures, "faces_per_s"]
    assert float(last["affectnet"]) > 0.9 and float(last["affect"]) > 0.8
    metrics = json.loads((place / "teacher" / "metrics.json").read_text())
    assert metrics["affectnet"]["n"] == 28
    assert (metrics["affect"]["valence"]["n"], metrics["affect"]["arousal"]["n"]) == (28, 14)
    assert metrics["affect"]["valence"]["ccc"] == pytest.approx(float(last["affect_ccc_valence"]))
    data = json.loads((place / "teacher" / "data.json").read_text())
    assert data["counts"]["affect"] == {"valence": 60.0, "arousal": 30.0}


def test_the_exported_file_tells_valence_and_arousal(place):
    classifier = mien.load_classifier(place / "teacher.onnx")
    (affect,) = (head for head in classifier.spec.heads if head.name == "affect")
    assert (affect.labels, affect.temperature, affect.priors) == (("valence", "arousal"), 1.0, ())
    crops = faces(28, 900)
    scores = classifier(crops)
    truth = np.array([CODES.index(label) / 4 - 1 for label in labels_of(28)])
    assert np.corrcoef(scores.valence, truth)[0, 1] > 0.8
    assert np.abs(scores.valence).max() <= 1
    figures = classifier.spec.metrics
    metrics = json.loads((place / "teacher" / "metrics.json").read_text())
    assert figures["affect_valence_n"] == 28
    assert figures["affect_valence_ccc"] == pytest.approx(
        metrics["affect"]["valence"]["ccc"], abs=1e-3
    )
    with pytest.raises(UsageError, match="no head 'affect'; it has affectnet"):
        classifier(crops, labels="affect")


def test_a_student_of_a_run_and_a_file(place, capsys):
    teachers = ("--teacher", place / "teacher", "--teacher", place / "teacher.onnx")
    assert distil(place, "student", *teachers, "--loss.kd_alpha", "0.9") == 0
    assert capsys.readouterr().out == f"{place / 'student'}\n"
    config = (place / "student" / "config.yaml").read_text()
    assert str(place / "teacher.onnx") in config and "kd_alpha: 0.9" in config
    answers, about = checkpoint.load(place / "student" / "teachers.safetensors")
    assert {head: tuple(t.shape) for head, t in answers.items()} == {
        "affectnet": (60, 8),
        "affect": (60, 2),
    }
    assert about["teachers"] == [str(place / "teacher"), str(place / "teacher.onnx")]
    # Both teachers are one network, so they say what it says of the face and its mirror image.
    crops = np.stack(
        [np.asarray(Image.open(place / f"data/train_set/images/{i}.jpg")) for i in (0, 1)]
    )
    classifier = mien.load_classifier(place / "teacher.onnx")
    said = [classifier.logits(crops[:, :, ::step])["affect"] for step in (1, -1)]
    assert answers["affect"][:2].numpy() == pytest.approx(np.mean(said, axis=0), abs=1e-3)


def test_once_more_does_nothing_new_and_asks_nobody(place, monkeypatch):
    teachers = ("--teacher", place / "teacher")
    assert distil(place, "again", *teachers) == 0
    before = (place / "again" / "checkpoint.safetensors").read_bytes()

    def average(said):
        raise AssertionError("the teachers were asked again")

    monkeypatch.setattr("mien.train.teachers.average", average)
    assert distil(place, "again", *teachers) == 0
    assert (place / "again" / "checkpoint.safetensors").read_bytes() == before


def test_another_teacher_is_another_run(place, capsys):
    assert distil(place, "one", "--teacher", place / "teacher") == 0
    assert distil(place, "one", "--teacher", place / "teacher.onnx") == 1
    assert "belongs to a run with other settings or data" in capsys.readouterr().err


def test_a_teacher_asked_live(place, capsys):
    live = ("--distil.live", "true")
    assert distil(place, "live", "--teacher", place / "teacher", *live) == 0
    assert not (place / "live" / "teachers.safetensors").exists()
    assert distil(place, "live2", "--teacher", place / "teacher.onnx", *live) == 2
    assert "only run folders can be asked live" in capsys.readouterr().err


def test_wrong_words(place, capsys):
    assert run("distill", place / "bars.yaml", "--data", place / "data") == 2
    assert "--teacher" in capsys.readouterr().err
    assert distil(place, "none", "--teacher", place / "nobody") == 1
    assert "nobody: not a run folder" in capsys.readouterr().err
    assert run("distill", "--help") == 0
    flags, _, fields = capsys.readouterr().out.partition("fields of the recipe:")
    assert "--teacher PATH" in flags and "--distil.live False:" in fields


def test_people_first_then_expressions(place, tmp_path, capsys):
    for person in range(60):
        (tmp_path / "people" / f"p{person:02}").mkdir(parents=True)
        for i in range(2):
            level = np.full((16, 16), 4 * person, np.uint8)
            level[i * 8 :] = 255
            Image.fromarray(level).save(tmp_path / "people" / f"p{person:02}" / f"{i}.png")
    (tmp_path / "people.yaml").write_text(PEOPLE)
    words = ("--data", tmp_path / "people", "--out", tmp_path / "first")
    assert run("train", tmp_path / "people.yaml", *words) == 0
    told = capsys.readouterr().err
    assert "train, 60 faces, identity: 60 labels of 1 to 1 faces" in told
    metrics = json.loads((tmp_path / "first" / "metrics.json").read_text())
    assert metrics["identity"]["n"] == 60
    words = ("--data", place / "data", "--out", tmp_path / "second", "--epochs", "1")
    stages = ("--init", tmp_path / "first", "--freeze_epochs", "1", "--loss.kind", "cluster")
    assert run("train", place / "bars.yaml", *words, *stages) == 0
    told = capsys.readouterr().err
    assert "new: heads.affect, heads.affectnet" in told
    first, second = (
        checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("first", "second")
    )
    same = {k for k in second if k in first and bool((second[k] == first[k]).all())}
    assert same == {k for k in second if not k.startswith("heads.")}  # the backbone was frozen

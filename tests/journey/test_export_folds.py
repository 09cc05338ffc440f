"""Runs that each held out other faces, exported as one and measured on what they had not seen."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from commands import mien

for needed in ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_faces import write_recipe  # noqa: E402
from synthetic_sets import write_sets  # noqa: E402

from mien.errors import DataError  # noqa: E402
from mien.metrics import nll, softmax  # noqa: E402
from mien.runtime.classify import load_classifier  # noqa: E402
from mien.train.config import load_config  # noqa: E402
from mien.train.data.loader import TensorData  # noqa: E402
from mien.train.held import ask_network, folds_of, held_out  # noqa: E402
from mien.train.network import averaged, load_run  # noqa: E402
from mien.train.quantise import ask_int8  # noqa: E402
from mien.train.run import read_splits, run_training  # noqa: E402
from mien.train.sections import ReleaseConfig  # noqa: E402
from mien.train.validation import predict_logits  # noqa: E402

pytestmark = pytest.mark.journey

FACES = 64
LINEAR = "{head: linear}"  # biases need such a head
ALSO = """
data:
  heads: [fer2013, ferplus, affectnet, affect]
  also:
    - {reader: affectnet, train: train, validation: validation, options: {held_out: 2}}
loss: {affect: ccc}
"""
#: AffectNet by itself.
ALONE = {
    "data.also": "[]",
    "data.reader": "affectnet",
    "data.train": "train",
    "data.validation": "validation",
    "data.path": "affectnet",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two folds, and the file of both."""
    folder = tmp_path_factory.mktemp("folds")
    write_sets(folder / "data")
    write_recipe(folder / "both.yaml", ALSO)
    for fold in (0, 1):
        words = (
            "--data.also.0.options.fold",
            str(fold),
            "--epochs",
            "5",
            "--model.options",
            LINEAR,
        )
        out = ("--data", folder / "data", "--out", folder / f"fold{fold}")
        assert mien("train", folder / "both.yaml", *out, *words) == 0
    release = f"release: {{name: bars, folds: [{folder / 'fold1'}]}}\n"
    (folder / "release.yaml").write_text(release)
    words = ("--data", folder / "data", "--output", folder / "both.onnx")
    recipe = ("--recipe", folder / "release.yaml")
    assert mien("export", folder / "fold0", *words, *recipe) == 0
    return folder


def two_folds(place):
    """The first run with the second one as a fold, and its faces."""
    run = load_run(place / "fold0")
    named = replace(run.config.release, folds=(str(place / "fold1"),))
    run = run.with_release(named)
    return run, *read_splits(run.config, place / "data")


def own_answers(place, fold):
    """What a fold says of the AffectNet faces that it held out, by name; their classes."""
    run = load_run(place / f"fold{fold}")
    rows = read_splits(run.config, place / "data")[1]
    rows = rows.take(rows.labelled("affectnet"))
    said = predict_logits(run.model, TensorData(rows, (), 16, "cpu"))
    truth = rows.targets["affectnet"].argmax(axis=1)
    return dict(zip(rows.names, said["affectnet"], strict=True)), truth


def test_each_face_is_answered_by_the_fold_that_held_it_out(place):
    held = held_out(*folds_of(*two_folds(place), place / "data"))
    assert len(held.rows) == 70 + FACES
    common = held.rows.labelled("fer2013")
    for head, answers in held.answers.items():
        assert np.isnan(answers[common]).all(), head
    told = dict(zip(held.rows.names, held.answers["affectnet"], strict=True))
    first, second = own_answers(place, 0)[0], own_answers(place, 1)[0]
    assert len(first) == len(second) == FACES / 2 and not first.keys() & second.keys()
    for name, logits in (first | second).items():
        assert told[name] == pytest.approx(logits, abs=1e-5), name


def test_the_file_is_the_mean_and_asked_where_nobody_else_can_be(place):
    run, *splits = two_folds(place)
    classifier = load_classifier(place / "both.onnx")
    held = held_out(*folds_of(run, *splits, place / "data"))
    mean = predict_logits(averaged(run).model, TensorData(held.rows, (), 16, "cpu"))
    said = held.logits(classifier)
    common = held.rows.labelled("fer2013")
    for head in mean:
        assert said[head][common] == pytest.approx(mean[head][common], abs=1e-4), head
    assert said["affectnet"][~common] == pytest.approx(held.answers["affectnet"][~common])
    assert np.abs(said["affectnet"] - mean["affectnet"])[~common].max() > 0.1


def test_biases_of_the_file_count_for_its_folds(place):
    words = ("--data", place / "data", "--output", place / "biased.onnx")
    release = (place / "release.yaml").read_text().replace("{", "{bias_corrected: [affectnet], ")
    (place / "biased.yaml").write_text(release)
    shutil.copytree(place / "fold0", place / "own")  # an export draws into the run's folder
    assert mien("export", place / "own", *words, "--recipe", place / "biased.yaml") == 0
    run, *splits = two_folds(place)
    held = held_out(*folds_of(run, *splits, place / "data"))
    plain, biased = (load_classifier(place / f"{name}.onnx") for name in ("both", "biased"))
    (head,) = (head for head in biased.spec.heads if head.name == "affectnet")
    assert max(map(abs, head.biases)) > 0.01
    moved = held.logits(biased)["affectnet"] - held.logits(plain)["affectnet"]
    assert moved == pytest.approx(np.tile(head.biases, (len(moved), 1)), abs=1e-4)


def test_figures_are_of_faces_that_were_held_out(place):
    spec = load_classifier(place / "both.onnx").spec
    assert spec.metrics["fer2013_n"] == spec.metrics["answer_n"] == 70
    assert spec.metrics["affectnet_n"] == spec.metrics["affect_valence_n"] == FACES
    parts = [own_answers(place, fold) for fold in (0, 1)]
    right = sum((np.stack(list(told.values())).argmax(1) == truth).sum() for told, truth in parts)
    assert spec.metrics["affectnet_accuracy"] == pytest.approx(right / FACES, abs=1e-4)
    told = json.loads((place / "fold0" / "reliability-affectnet.json").read_text())
    assert told["n"] == FACES
    assert told["ece"] == pytest.approx(spec.metrics["affectnet_ece"], abs=1e-4)
    assert spec.trained_on == ("fer2013 Training", "affectnet val_set")


def test_who_measures_on_what_was_seen_is_told(place, capsys):
    words = ("evaluate", place / "both.onnx", "--data", place / "data")
    assert mien(*words) == 0  # PublicTest
    assert capsys.readouterr().err == ""
    assert mien(*words, "--reader", "affectnet") == 0
    told = "mien: bars was trained on faces of affectnet val_set: they are told better than others"
    assert capsys.readouterr().err.startswith(told)


def test_the_file_alone_cannot_be_fitted_again(place, capsys):
    words = ("--data", place / "data", "--output", place / "again.onnx")
    write_recipe(place / "both-folds.yaml", ALSO)
    recipe = (place / "both-folds.yaml").read_text()
    named = recipe.replace("name: bars", f"folds: [{place / 'fold1'}], name: bars")
    (place / "both-folds.yaml").write_text(named)
    again = ("export", place / "both.onnx", *words, "--recipe", place / "both-folds.yaml")
    assert mien(*again) == 2
    assert "export the run again instead of the file" in capsys.readouterr().err
    assert not (place / "again.onnx").exists()


def test_a_fold_stands_for_all_in_the_mean_with_other_runs(place):
    run, *splits = two_folds(place)
    named = replace(run.config.release, average=(str(place / "fold1"),))
    _, folds = folds_of(run.with_release(named), *splits, place / "data")
    first, second = (load_run(place / f"fold{k}").model.state_dict() for k in (0, 1))
    mixed, same = (fold.network.model.state_dict() for fold in folds)
    for name, value in mixed.items():
        if value.is_floating_point():
            assert value.numpy() == pytest.approx(
                (2 * first[name] + second[name]).numpy() / 3, abs=1e-6
            )
            assert same[name].numpy() == pytest.approx(second[name].numpy(), abs=1e-6)


def test_an_int8_file_is_measured_by_its_folds_in_int8(place):
    shutil.copytree(place / "fold0", place / "rounded")
    words = ("--data", place / "data", "--output", place / "rounded.onnx")
    release = (place / "release.yaml").read_text().replace("{", "{precision: int8, ")
    (place / "rounded.yaml").write_text(release)
    assert mien("export", place / "rounded", *words, "--recipe", place / "rounded.yaml") == 0
    folds = folds_of(*two_folds(place), place / "data")[1]
    told = np.concatenate([ask_int8(fold)["affectnet"] for fold in folds])
    whole = np.concatenate([ask_network(fold)["affectnet"] for fold in folds])
    assert 1e-4 < np.abs(told - whole).max() < np.abs(whole).max() / 4
    truth = np.concatenate([fold.held.targets["affectnet"] for fold in folds])
    for name, answers in (("rounded", told), ("rounded-fp32", whole)):
        spec = load_classifier(place / f"{name}.onnx").spec
        nats = nll(softmax(answers, spec.head("affectnet").temperature), truth.argmax(axis=1))
        assert spec.metrics["affectnet_nll"] == pytest.approx(nats, abs=1e-4), name


def test_folds_that_share_some_faces_are_refused(place):
    shutil.copytree(place / "fold0", place / "twin")
    run, *splits = two_folds(place)
    three = replace(run.config.release, folds=(str(place / "fold1"), str(place / "twin")))
    with pytest.raises(DataError, match=r"32 faces, such as val_set.* but not by all"):
        folds_of(run.with_release(three), *splits, place / "data")


def test_folds_that_share_no_face(place):
    """As of one data set alone: every face is answered by a fold, none by the file."""
    runs = []
    for fold in (0, 1):
        options = {"data.options": f"{{held_out: 2, fold: {fold}}}", "epochs": "1"}
        config = load_config(place / "both.yaml", ALONE | options)
        runs.append(run_training(config, place / "data", place / f"alone{fold}"))
    run = runs[0].with_release(ReleaseConfig(folds=(str(place / "alone1"),)))
    held = held_out(*folds_of(run, *read_splits(run.config, place / "data"), place / "data"))
    assert len(held.rows) == FACES
    assert not any(np.isnan(told).any() for told in held.answers.values())


def test_who_goes_on_from_what_was_seen_is_told(place):
    words = {"init": str(place / "both.onnx"), "model.options": LINEAR, "epochs": "1"}
    said = []
    config = load_config(place / "both.yaml", words | {"data.also": "[]"})  # PublicTest is watched
    run_training(config, place / "data", place / "unknown", say=said.append)
    assert not [line for line in said if "too good" in line]
    config = load_config(place / "both.yaml", words)
    run_training(config, place / "data", place / "known", say=said.append)
    known = f"{place / 'both.onnx'} was trained on faces of affectnet val_set: figures on these"
    assert [line for line in said if "too good" in line] == [f"{known} will be too good"]


def test_what_a_start_has_seen_is_seen_by_what_goes_on_from_it(place, capsys):
    words = {"init": str(place / "fold0"), "epochs": "1", "data.also": "[]"}
    config = load_config(place / "both.yaml", words)
    first = run_training(config, place / "data", place / "after")
    both = ("fer2013 Training", "affectnet val_set")
    assert first.trained_on == load_run(place / "after").trained_on == both
    words = {"epochs": "1", "data.also": "[]"}
    taught = {"distil.teachers": f"[{place / 'both.onnx'}]"}
    for name, changes, seen in (("fresh", {}, both[:1]), ("taught", taught, both)):
        config = load_config(place / "both.yaml", words | changes)
        fresh = run_training(config, place / "data", place / name)
        assert fresh.trained_on == seen, name
    mean = averaged(fresh.with_release(ReleaseConfig(average=(str(place / "after"),))))
    assert mean.trained_on == both
    words = ("--data", place / "data", "--output", place / "after.onnx")
    assert mien("export", place / "after", *words) == 0
    capsys.readouterr()
    words = ("--data", place / "data", "--reader", "affectnet")
    assert mien("evaluate", place / "after.onnx", *words) == 0
    assert "trained on faces of affectnet val_set: they" in capsys.readouterr().err


def test_a_run_folder_that_has_seen_them_is_told_of_too(place):
    said = []
    config = load_config(place / "both.yaml", {"init": str(place / "fold0"), "epochs": "1"})
    run_training(config, place / "data", place / "known-run", say=said.append)
    known = f"{place / 'fold0'} was trained on faces of affectnet val_set: figures on these will"
    assert [line for line in said if "too good" in line] == [f"{known} be too good"]


def test_a_run_without_folds_keeps_its_faces(place):
    run = load_run(place / "fold0")
    training, validation = read_splits(run.config, place / "data")
    held = held_out(*folds_of(run, training, validation, place / "data"))
    assert held.rows is validation and held.answers == {}

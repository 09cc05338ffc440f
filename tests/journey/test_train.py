"""From a recipe and a data set to a measured file, by the commands a user types."""

import csv
import json
import re
import shutil
from importlib.metadata import version

import pytest
from commands import mien

for needed in ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_faces import write_fer2013, write_recipe  # noqa: E402

from mien.labels import EIGHT, SEVEN  # noqa: E402

pytestmark = pytest.mark.journey

MADE = (
    "config.yaml",
    "environment.json",
    "data.json",
    "history.csv",
    "curves.png",
    "confusion.png",
    "metrics.json",
    *(
        name.replace("-", f"-{head}")
        for head in ("fer2013", "ferplus", "answer")
        for name in ("predictions-.csv", "reliability-.json", "reliability-.png")
    ),
    "checkpoint.safetensors",
    "last.safetensors",
    "best.safetensors",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journey")
    write_fer2013(folder / "data", 60, ("Training", "PublicTest"))
    write_recipe(folder / "bars.yaml")
    words = ("train", folder / "bars.yaml", "--data", folder / "data", "--out", folder / "run")
    assert mien(*words, "--epochs", "4", "--optim.lr", "1e-1") == 0
    words = ("export", folder / "run", "--data", folder / "data", "--output", folder / "bars.onnx")
    assert mien(*words) == 0
    return folder


def again(place, *more):
    words = ("train", place / "bars.yaml", "--data", place / "data", "--out", place / "run")
    return mien(*words, "--epochs", "4", *more)


def test_the_run_folder_is_complete(place):
    assert sorted(path.name for path in (place / "run").iterdir()) == sorted(MADE)
    for name in ("curves.png", "confusion.png", "reliability-answer.png"):
        assert (place / "run" / name).read_bytes()[:4] == b"\x89PNG"


def test_what_the_run_folder_says(place):
    run = place / "run"
    with (run / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    assert list(history[0]) == ["epoch", "loss", "fer2013", "ferplus", "faces_per_s"]
    data = json.loads((run / "data.json").read_text())
    assert data["faces"] == {"train": 60, "validation": 60}
    assert data["counts"]["fer2013"]["neutral"] == 9
    assert len(data["digests"]["train"]) == 64
    environment = json.loads((run / "environment.json").read_text())
    assert {"python", "packages", "commit", "cpu"} <= environment.keys()
    assert environment["threads"] == 1
    assert environment["packages"]["torch"] == version("torch")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["fer2013"]["n"] == 60
    assert metrics["fer2013"]["accuracy"] == pytest.approx(float(history[-1]["fer2013"]))
    assert "epochs: 4" in (run / "config.yaml").read_text()


def test_once_more_does_nothing_new(place, capsys):
    kept = [n for n in MADE if n.endswith((".safetensors", ".csv")) or n == "metrics.json"]
    before = {name: (place / "run" / name).read_bytes() for name in kept}
    (place / "run" / "history.csv").unlink()  # as if a kill had come before it was written
    assert again(place) == 0
    assert {name: (place / "run" / name).read_bytes() for name in kept} == before
    told = capsys.readouterr()
    assert told.out == f"{place / 'run'}\n"
    assert "loss" not in told.err


def test_the_class_counts_are_told_before_training(place, capsys):
    again(place)
    told = capsys.readouterr().err
    assert "train, 60 faces, fer2013: neutral 9, happiness 9, surprise 9, sadness 9" in told
    assert "validation, 60 faces, ferplus: neutral 9" in told


def test_other_settings_are_refused_in_the_same_folder(place, capsys):
    before = (place / "run" / "config.yaml").read_bytes()
    assert again(place, "--seed", "5") == 1
    assert "choose another --out folder" in capsys.readouterr().err
    assert (place / "run" / "config.yaml").read_bytes() == before


def test_evaluate_prints_a_table(place, capsys):
    assert mien("evaluate", place / "bars.onnx", "--data", place / "data") == 0
    told = capsys.readouterr().out
    first = told.splitlines()[0]
    assert first.startswith("bars, head fer2013, on fer2013 PublicTest, truth fer2013, n = 60")
    assert "accuracy" in told
    for label in SEVEN:
        assert label in told


@pytest.mark.parametrize(("truth", "labels"), [("fer2013", SEVEN), ("ferplus", EIGHT)])
def test_evaluate_writes_json(place, capsys, truth, labels):
    words = ("evaluate", place / "bars.onnx", "--data", place / "data", "--format", "json")
    assert mien(*words, "--truth", truth) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["model"], report["head"], report["truth"]) == ("bars", truth, truth)
    assert (report["n"], report["labels"]) == (60, list(labels))
    assert sum(map(sum, report["confusion"])) == 60
    right = sum(row[i] for i, row in enumerate(report["confusion"]))
    assert report["accuracy"] == pytest.approx(right / 60)
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert report["accuracy"] == pytest.approx(metrics[truth]["accuracy"], abs=1 / 60 + 1e-9)


def test_evaluate_writes_to_a_file(place, capsys):
    words = ("evaluate", place / "bars.onnx", "--data", place / "data", "--format", "json")
    assert mien(*words, "--labels", "answer", "--output", place / "answer.json") == 0
    assert capsys.readouterr().out == ""
    assert json.loads((place / "answer.json").read_text())["head"] == "answer"


def test_export_tells_the_figures_and_the_file(place, capsys):
    words = ("export", place / "run", "--data", place / "data", "--output", place / "b.onnx")
    assert mien(*words, "--recipe", place / "bars.yaml") == 0
    told = capsys.readouterr()
    assert told.out == f"{place / 'b.onnx'}\n"
    assert "fer2013_accuracy" in told.err
    assert mien("models", "show", place / "b.onnx") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "bars"


def test_int8_is_a_second_file(place, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    words = ("export", run, "--data", place / "data", "--output", tmp_path / "b.onnx", "--int8")
    assert mien(*words) == 0
    told = capsys.readouterr()
    small = tmp_path / "b-int8.onnx"
    assert told.out == f"{tmp_path / 'b.onnx'}\n{small}\n"
    assert re.search(r"fer2013: accuracy [\d.]+ % in fp32, [\d.]+ % in int8", told.err)
    compared = json.loads((run / "int8.json").read_text())
    assert compared["size"] == [(tmp_path / "b.onnx").stat().st_size, small.stat().st_size]
    assert f"int8 is {'' if compared['worth'] else 'not '}worth it here" in told.err
    assert mien("evaluate", small, "--data", place / "data", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] == pytest.approx(compared["accuracy"]["fer2013"][1], abs=1e-4)
    assert mien("export", "--web", tmp_path / "page", "--int8") == 2


def test_int8_may_be_what_is_released(place, tmp_path, capsys):
    recipe = tmp_path / "int8.yaml"
    text = (place / "bars.yaml").read_text().replace("release: {", "release: {precision: int8, ")
    recipe.write_text(text)
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    words = ("export", run, "--data", place / "data", "--output", tmp_path / "b.onnx")
    assert mien(*words, "--recipe", recipe) == 0
    whole = tmp_path / "b-fp32.onnx"
    assert capsys.readouterr().out == f"{whole}\n{tmp_path / 'b.onnx'}\n"
    for path, about in ((tmp_path / "b.onnx", ("bars", "int8")), (whole, ("bars-fp32", "fp32"))):
        assert mien("models", "show", path) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["name"], told["precision"]) == about


def test_what_cannot_be_exported(place, capsys):
    words = ("--data", place / "data", "--output")
    assert mien("export", place / "run", *words, place / "x.pt") == 2
    assert "must end in .onnx" in capsys.readouterr().err
    assert mien("export", place / "data", *words, place / "x.onnx") == 1
    assert "not a run folder" in capsys.readouterr().err


def test_wrong_words_are_named(place, capsys):
    assert again(place, "--epoch", "3") == 1
    assert "unknown key 'epoch'; did you mean 'epochs'?" in capsys.readouterr().err
    assert again(place, "--seed") == 2
    assert "fields are set as" in capsys.readouterr().err
    assert mien("train", place / "none.yaml", "--data", place / "data") == 1
    assert "none.yaml: no such recipe" in capsys.readouterr().err
    (place / "taken").touch()
    assert again(place, "--out", place / "taken") == 2
    assert "taken: it is a file" in capsys.readouterr().err


def test_help_has_few_flags_and_tells_every_field(capsys):
    assert mien("train", "--help") == 0
    told = capsys.readouterr().out
    flags, _, fields = told.partition("fields of the recipe:")
    named = [line.split()[0] for line in flags.splitlines() if line.startswith("  -")]
    assert named == ["-h,", "--data", "--out"]
    assert "--optim.lr 0.1: Peak learning rate" in fields


def test_the_architectures_as_json(capsys):
    assert mien("models", "--architectures", "--format", "json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {"mien_tiny", "tian2022_a", "tian2022_b"} <= entries.keys()
    for entry in entries.values():
        assert {"name", "paper", "parameters", "macs", "input"} <= entry.keys()
    b = entries["tian2022_b"]
    assert (b["paper"], b["parameters"], b["input"]) == ("Tian et al. 2022", 55_831, [1, 48, 48])
    assert round(b["macs"] / 1e6, 2) == 19.14

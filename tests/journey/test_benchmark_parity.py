"""The table of benchmarks/parity.py, from two small files and a small FER2013."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from scripts import load_script
from synthetic_faces import write_fer2013
from tiny_model import PLUS, TEN13, heated, write_model

import mien
from mien.train.data.fer2013 import read

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "parity.py"


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    return load_script(FILE)


def rows_of(text):
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in cells]


def test_the_table_says_what_the_files_say(script, tmp_path, monkeypatch):
    data = write_fer2013(tmp_path / "data", 70, ("PublicTest",))
    first = write_model(tmp_path / "a.onnx")
    second = write_model(tmp_path / "b.onnx", (heated(PLUS, 2.0), TEN13))
    words = ("parity", first, second, "--data", data, "--output", tmp_path / "t.md")
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    script.main()
    text = (tmp_path / "t.md").read_text()
    assert text.startswith("FER2013 PublicTest, 70 faces")
    table = {(row[0], row[1]): row[2:] for row in rows_of(text) if len(row) == 9}
    faces = read(data, ["PublicTest"])[0]
    truth = faces.targets["ferplus"].argmax(axis=1)
    a, b = (mien.load_classifier(p)(faces.images, labels="ferplus") for p in (first, second))
    right = (a.probabilities.argmax(axis=1) == truth).mean()
    n, accuracy, *_, same, largest = table["a.onnx", "ferplus"]
    assert (n, same, float(largest)) == ("70", "1.0000", 0)
    assert accuracy.startswith(f"{right:.4f} (")
    # Another temperature: the same labels, other probabilities; the other head stays.
    *_, loss, same, largest = table["b.onnx", "ferplus"]
    assert same == "1.0000"
    apart = np.abs(a.probabilities - b.probabilities).max()
    assert float(largest) == pytest.approx(apart, abs=1e-5)
    nll = -np.log(b.probabilities[np.arange(70), truth]).mean()
    assert float(loss) == pytest.approx(nll, abs=1e-4)
    assert table["b.onnx", "fer2013"] == table["a.onnx", "fer2013"]
    speeds = [row for row in rows_of(text) if len(row) == 5][2:]
    assert [row[0] for row in speeds] == ["a.onnx", "b.onnx"]
    assert [row[4] for row in speeds] == [f"{p.stat().st_size:,}" for p in (first, second)]
    assert text.rstrip().splitlines()[-1].startswith("Speeds: ")

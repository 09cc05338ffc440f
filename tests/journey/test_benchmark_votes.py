"""What benchmarks/votes.py tells of faces whose labels are known to lie in votes or in answers."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
for needed in ("onnx", "onnxscript", "safetensors", "yaml", "matplotlib", "sklearn"):
    pytest.importorskip(needed)

from scripts import load_script  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "votes.py"
N = 700


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    return load_script(FILE)


def test_each_source_tells_what_it_knows(script):
    """Votes know whether a label is below 3, answers know it up to whether it is."""
    generator = np.random.default_rng(0)
    truth = np.arange(N) % 6
    low = truth < 3
    votes = np.zeros((N, 8), np.float32)
    votes[low, 0] = votes[~low, 1] = 1
    answers = np.eye(3, dtype=np.float32)[truth % 3] + generator.normal(0, 0.01, (N, 3))
    told = script.figures(answers, votes, truth)
    assert told["votes"][0] == pytest.approx(1 / 3, abs=0.08)
    assert told["networks"][0] == pytest.approx(1 / 2, abs=0.08)
    assert told["both"][0] == 1
    assert told["votes"][1] == pytest.approx(np.log(3), abs=0.08)
    assert told["networks"][1] == pytest.approx(np.log(2), abs=0.08)
    assert told["both"][1] < 0.1


def test_faces_are_told_by_others_alone(script):
    """Features that say nothing tell labels no better than chance, however many there are."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 7, N)
    told = script.told_by(generator.normal(size=(N, 100)), truth)
    assert told.sum(axis=1) == pytest.approx(np.ones(N))
    assert (told.argmax(axis=1) == truth).mean() == pytest.approx(1 / 7, abs=0.05)

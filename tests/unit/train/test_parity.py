"""How far files differ, and how fast they are: both by hand."""

import numpy as np
import pytest

pytest.importorskip("torch")

from tiny_model import (
    AFFECT,
    PLUS,
    TEN13,
    halves,
    heated,
    logits_of,
    softmaxed,
    write_model,
)

import mien
from mien.spec import AnswerSpec, HeadSpec
from mien.train import parity


def test_probabilities_are_calibrated_and_affect_is_clipped(tmp_path):
    from dataclasses import replace

    from tiny_model import make_spec

    plus = heated(PLUS, 2.0)
    spec = make_spec((plus, TEN13), answer=AnswerSpec({"ferplus": 1.0}, {}))
    spec = replace(spec, heads=(*spec.heads, HeadSpec("affect", ("valence", "arousal"))))
    path = write_model(
        tmp_path / "m.onnx", (plus, TEN13), affect=True, metadata={"mien": spec.to_json()}
    )
    told = parity.probabilities_of(mien.load_classifier(path), np.stack([halves("right")]))
    assert list(told) == ["ferplus", "fer2013", "affect", "answer"]
    assert told["ferplus"][0] == pytest.approx(softmaxed(logits_of(PLUS, right=1) / 2), abs=1e-4)
    assert told["fer2013"][0] == pytest.approx(softmaxed(logits_of(TEN13, right=1)), abs=1e-4)
    assert AFFECT[0].tolist() == [2, 0]  # what the network says of it
    assert told["affect"][0] == pytest.approx([1, 0], abs=1e-4)
    assert told["answer"][0] == pytest.approx(told["ferplus"][0], abs=1e-4)


def test_differences_by_hand():
    first = {
        "ferplus": np.float32([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]]),
        "affect": np.float32([[0.5, -0.5]]),
    }
    second = {
        "ferplus": np.float32([[0.6, 0.4], [0.3, 0.7], [0.45, 0.55], [0.1, 0.9]]),
        "affect": np.float32([[0.25, -0.5]]),
    }
    told = parity.differences(first, second)
    assert told["ferplus"].largest == pytest.approx(0.15, abs=1e-6)
    assert told["ferplus"].agreement == 0.75
    assert told["affect"] == parity.Difference(0.25, 1.0)
    assert parity.differences(first, first)["ferplus"] == parity.Difference(0.0, 1.0)


class Clock:
    """Stands for both clocks; what takes time is a classifier's call."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def loaded(self, path, *, threads):
        """A classifier that needs `path` milliseconds a face, twice that in the first round."""

        def classify(crops):
            self.calls.append((path, threads, len(crops)))
            slow = sum(call == self.calls[-1] for call in self.calls) <= (
                41 if len(crops) == 1 else 6
            )
            self.now += path * len(crops) / threads / 1000 * (2 if slow else 1)

        return classify


def test_the_best_round_counts_and_files_take_turns(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(parity.time, "perf_counter", clock)
    monkeypatch.setattr(parity.time, "thread_time", clock)
    monkeypatch.setattr(parity, "load_classifier", clock.loaded)
    crops = np.zeros((64, 8, 8), np.uint8)
    one, two = parity.measure_speed([1.0, 4.0], crops, rounds=10)
    assert (one.batch1_ms, two.batch1_ms) == (pytest.approx(1.0), pytest.approx(4.0))
    assert (one.batch64_ms, two.batch64_ms) == (pytest.approx(1.0), pytest.approx(4.0))
    # 64 faces on two threads: half a millisecond a face, or two.
    assert one.batch64_faces_per_s == pytest.approx(2000)
    assert two.batch64_faces_per_s == pytest.approx(500)
    singles = [path for path, _, n in clock.calls if n == 1]
    assert singles[2:162] == ([1.0] * 40 + [4.0] * 40) * 2
    assert {(threads, n) for _, threads, n in clock.calls} == {(1, 1), (1, 64), (2, 64)}

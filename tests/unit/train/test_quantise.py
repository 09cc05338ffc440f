"""Quantising: how ranges are chosen, and when an int8 file is worth having."""

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
for needed in ("onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from tiny_model import write_model  # noqa: E402

import mien  # noqa: E402
from mien.errors import DataError  # noqa: E402
from mien.train import quantise as quantising  # noqa: E402
from mien.train.parity import Difference, Speed  # noqa: E402

NOISE = np.random.default_rng(3).integers(0, 256, (80, 16, 16)).astype(np.uint8)


# --- quantising by itself


def test_a_network_of_matrices_stays_close(tmp_path, capsys):
    source = write_model(tmp_path / "tiny.onnx", affect=True)
    percentile = quantising.quantise(source, tmp_path / "small.onnx", NOISE)
    assert percentile in quantising.PERCENTILES
    assert capsys.readouterr().out == ""
    x = mien.load_classifier(source).prepare(NOISE)
    wanted = quantising._outputs(source, x)
    found = quantising._outputs(tmp_path / "small.onnx", x)
    assert list(found) == ["ferplus", "fer2013", "affect"]
    for head, ours in wanted.items():
        apart = np.abs(ours - found[head])
        assert np.quantile(apart, 0.95) < 0.01 and apart.max() > 0  # few are cut off


def test_the_percentile_that_stays_nearest_is_taken(tmp_path, monkeypatch):
    source = write_model(tmp_path / "tiny.onnx")
    for percentiles in ((30.0, 100.0), (100.0, 30.0)):  # at 30 most of each range is cut off
        monkeypatch.setattr(quantising, "PERCENTILES", percentiles)
        assert quantising.quantise(source, tmp_path / "small.onnx", NOISE) == 100.0


def test_what_stays_float_goes_to_the_second_convolution():
    def nodes(*types):
        return [onnx.helper.make_node(kind, [], [], name=f"{kind}{i}") for i, kind in types]

    graph = nodes(*enumerate(("Conv", "Relu", "Conv", "Relu", "ReduceMean", "Gemm", "Gemm")))
    assert quantising._ends(graph) == ["Conv0", "Relu1", "Gemm5", "Gemm6"]
    assert quantising._ends(graph[2:]) == []  # one convolution: all of it becomes int8


def test_one_face_is_too_few(tmp_path):
    source = write_model(tmp_path / "tiny.onnx")
    with pytest.raises(DataError, match="ranges from training faces, and there are 1"):
        quantising.quantise(source, tmp_path / "small.onnx", NOISE[:1])


def test_the_distance_by_hand():
    """KL of (1/2, 1/2) from (3/4, 1/4) is ln 2 - ln 3 / 2; of equal ones, 0."""
    even, uneven = np.zeros((2, 2), np.float32), np.log(np.float32([[1, 1], [3, 1]]))
    affect = np.float32([[0.5, 0.0], [0.0, 0.0]])
    wanted = {"a": even, "affect": affect}
    found = {"a": uneven, "affect": 0 * affect}
    kl = np.log(2) - np.log(3) / 2
    assert quantising.distance(wanted, found) == pytest.approx(kl / 2 + 0.25 / 4, abs=1e-6)
    assert quantising.distance(wanted, wanted) == 0


def test_the_same_training_faces_each_time():
    assert quantising.sample(40).tolist() == list(range(40))
    many = quantising.sample(5000)
    assert len(many) == len(set(many.tolist())) == 2 * quantising.FACES
    assert (np.diff(many) > 0).all() and many[-1] > 4000
    assert (many == quantising.sample(5000)).all()


def test_batches_come_by_the_range():
    faces = quantising._Faces(np.arange(45, dtype=np.float32).reshape(45, 1, 1, 1))
    assert len(faces) == 3
    faces.set_range(1, 3)
    assert [faces.get_next()["crops"].ravel()[0] for _ in range(2)] == [20, 40]
    assert faces.get_next() is None


# --- the rule


def compared(lost, batch1=0.9, batch64=0.4):
    return quantising.Comparison(
        100.0,
        {"fer2013": (0.65, 0.66), "answer": (0.7, 0.7 - lost)},
        {"fer2013": Difference(0.1, 0.99)},
        (Speed(1.0, 0.5, 1000.0), Speed(batch1, batch64, 900.0)),
        (2, 1),
    )


@pytest.mark.parametrize(
    ("case", "worth"),
    [
        (compared(0.0029), True),
        (compared(-0.01), True),
        (compared(0.0031), False),
        (compared(0.0, batch1=1.1), False),
        (compared(0.0, batch64=0.6), False),
        (compared(0.0, batch1=1.0), False),
    ],
)
def test_when_int8_is_worth_having(case, worth):
    assert case.worth is worth
    assert case.to_dict()["worth"] is worth

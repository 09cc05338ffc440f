"""An int8 file: what is in it, how its ranges are chosen, and when it is worth having."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
for needed in ("onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_faces import write_fer2013, write_recipe  # noqa: E402
from tiny_model import write_model  # noqa: E402

import mien  # noqa: E402
from mien.errors import DataError  # noqa: E402
from mien.train import quantise as quantising  # noqa: E402
from mien.train.config import load_config  # noqa: E402
from mien.train.export import export  # noqa: E402
from mien.train.parity import Difference, Speed  # noqa: E402
from mien.train.run import read_splits, run_training  # noqa: E402

NOISE = np.random.default_rng(3).integers(0, 256, (80, 16, 16)).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run with figures of its recipe, its faces, and its files in fp32 and int8."""
    folder = tmp_path_factory.mktemp("made")
    data = write_fer2013(folder / "data", 60, ("Training", "PublicTest"))
    config = load_config(write_recipe(folder / "bars.yaml"), {"epochs": "3"})
    run = run_training(config, data, folder / "run")
    release = replace(run.config.release, figures={"speed_batch1_ms": 0.5}, machine="a test")
    run = run.with_release(release)
    training, validation = read_splits(config, data)
    spec = export(run, validation, folder / "bars.onnx")
    small, compared = quantising.export_int8(
        run, folder / "bars.onnx", folder / "bars-int8.onnx", training, validation
    )
    return folder, validation, (spec, small), compared


# --- the file


def test_the_file_has_a_description_of_its_own(made):
    folder, _, (spec, small), _ = made
    read = mien.load_classifier(folder / "bars-int8.onnx").spec
    assert read == small
    assert (read.name, read.precision) == ("bars-int8", "int8")
    assert (spec.name, spec.precision) == ("bars", "fp32")
    assert [(h.name, h.labels) for h in read.heads] == [(h.name, h.labels) for h in spec.heads]
    assert (spec.metrics["speed_batch1_ms"], spec.machine) == (0.5, "a test")
    assert ("speed_batch1_ms" not in read.metrics, read.machine) == (True, "")  # not this file's
    assert sorted(path.name for path in folder.glob(".*")) == []


def test_its_figures_and_temperatures_are_its_own(made):
    folder, validation, (_, small), _ = made
    classifier = mien.load_classifier(folder / "bars-int8.onnx")
    for head in ("fer2013", "ferplus"):
        said = classifier(validation.images, labels=head).probabilities
        truth = validation.targets[head].argmax(axis=1)
        right = float((said.argmax(axis=1) == truth).mean())
        assert small.metrics[f"{head}_accuracy"] == pytest.approx(right, abs=1e-5)
        loss = -np.log(said[np.arange(60), truth]).mean()
        assert small.metrics[f"{head}_nll"] == pytest.approx(loss, abs=1e-3)


def test_weights_are_of_seven_bits_with_a_scale_per_channel(made):
    graph = onnx.load(made[0] / "bars-int8.onnx").graph
    values = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "QLinearConv"]
    floats = onnx.load(made[0] / "bars.onnx").graph
    assert len(convolutions) == sum(node.op_type == "Conv" for node in floats.node) > 0
    for node in convolutions:  # x, its scale and zero, w, its scale and zero, ...
        weights, scale, zero = (values[name] for name in node.input[3:6])
        assert weights.dtype == np.int8 and np.abs(weights.astype(int)).max() <= 64
        assert scale.shape == (weights.shape[0],)
        assert not zero.any()
        assert values[node.input[2]].dtype == np.uint8  # unsigned activations


def test_outputs_have_the_same_names_and_free_batches(made):
    folder, validation, _, _ = made
    files = [mien.load_classifier(folder / f"{name}.onnx") for name in ("bars", "bars-int8")]
    for n in (1, 3, 33):
        first, second = (file.logits(validation.images[:n]) for file in files)
        assert [(k, v.shape) for k, v in first.items()] == [(k, v.shape) for k, v in second.items()]
    for head, logits in first.items():
        spread = logits.max() - logits.min()
        assert np.abs(logits - second[head]).max() < 0.1 * spread
        assert np.abs(logits - second[head]).max() > 0  # it is another network


def test_the_comparison_is_of_these_two_files(made):
    folder, validation, (spec, small), compared = made
    assert compared.percentile in quantising.PERCENTILES
    assert compared.size == tuple(
        (folder / f"{name}.onnx").stat().st_size for name in ("bars", "bars-int8")
    )
    for head in ("fer2013", "ferplus", "answer"):
        key = f"{head}_accuracy"
        assert compared.accuracy[head] == (spec.metrics[key], small.metrics[key])
    first, second = (
        mien.load_classifier(folder / f"{name}.onnx")(validation.images).probabilities
        for name in ("bars", "bars-int8")
    )
    told = compared.difference["answer"]
    assert told.largest == pytest.approx(np.abs(first - second).max(), abs=1e-6)
    assert told.agreement == pytest.approx((first.argmax(1) == second.argmax(1)).mean())
    assert compared.to_dict()["worth"] is compared.worth


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

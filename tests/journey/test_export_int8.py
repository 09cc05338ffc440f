"""An int8 file of a run: what is in it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
for needed in ("onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from short_runs import short_run  # noqa: E402
from synthetic_faces import write_recipe  # noqa: E402

import mien  # noqa: E402
from mien.train import quantise as quantising  # noqa: E402
from mien.train.export import export  # noqa: E402
from mien.train.graph import write_graph, write_spec  # noqa: E402
from mien.train.held import Held  # noqa: E402
from mien.train.models import build  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run with figures of its recipe, its faces, and its files in fp32 and int8."""
    folder = tmp_path_factory.mktemp("made")
    run, training, validation = short_run(write_recipe(folder / "bars.yaml"), 3)
    release = replace(run.config.release, figures={"speed_batch1_ms": 0.5}, machine="a test")
    run = run.with_release(release)
    spec = export(run, Held(validation), folder / "bars.onnx")
    small, compared = quantising.export_int8(
        run, folder / "bars.onnx", folder / "bars-int8.onnx", training, Held(validation)
    )
    return folder, validation, (spec, small), compared


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
    assert len(convolutions) == sum(node.op_type == "Conv" for node in floats.node) - 1 > 0
    for node in convolutions:  # x, its scale and zero, w, its scale and zero, ...
        weights, scale, zero = (values[name] for name in node.input[3:6])
        assert weights.dtype == np.int8 and np.abs(weights.astype(int)).max() <= 64
        assert scale.shape == (weights.shape[0],)
        assert not zero.any()
        assert values[node.input[2]].dtype == np.uint8  # unsigned activations


def test_the_first_convolution_stays_float(made):
    graph = onnx.load(made[0] / "bars-int8.onnx").graph
    values = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    stem, *others = [node for node in graph.node if node.op_type in ("Conv", "QLinearConv")]
    assert (stem.op_type, stem.input[0]) == ("Conv", "crops")
    assert values[stem.input[1]].dtype == np.float32
    assert {node.op_type for node in others} == {"QLinearConv"}


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


def test_pooling_with_the_padding_called_same_is_quantised(tmp_path, made):
    """A padding of minus infinity has no range: it must be the pooling's own."""
    _, validation, (spec, _), _ = made
    torch.manual_seed(0)
    model = build("mini_xception", {"ferplus": 8}, channels=1).eval()
    path = tmp_path / "pooled.onnx"
    write_graph(model, ("ferplus",), 1, spec.input.size, path)
    write_spec(path, spec)
    quantising.quantise(path, tmp_path / "small.onnx", validation.images[:8])
    x = mien.load_classifier(path).prepare(validation.images[:8])
    ours = quantising._outputs(path, x)["ferplus"]
    assert quantising._outputs(tmp_path / "small.onnx", x)["ferplus"] == pytest.approx(
        ours, abs=0.01
    )
    assert ours.std() > 0.01

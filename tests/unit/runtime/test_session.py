import onnxruntime
import pytest
from tiny_model import write_model

from mien.errors import ModelError, UsageError
from mien.runtime.classify import load_classifier
from mien.runtime.session import device_of, open_session
from mien.runtime.store import bundled
from mien.spec import KEY


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.fixture
def model():
    return bundled()["mien-tiny"]


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_without_cuda_the_cpu_runs(model, no_cuda, device):
    assert device_of(open_session(model, device=device)) == "cpu"
    assert load_classifier(device=device).device == "cpu"


def test_asking_for_cuda_where_there_is_none_says_what_to_do(model, no_cuda):
    with pytest.raises(UsageError, match=r"no CUDA.*pip install onnxruntime-gpu"):
        open_session(model, device="cuda")


def test_a_silent_fall_back_to_the_cpu_is_an_error(model, monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    real = onnxruntime.InferenceSession

    def on_cpu(path, options, providers):
        assert providers == both
        return real(path, options, providers=both[1:])

    monkeypatch.setattr(onnxruntime, "InferenceSession", on_cpu)
    with pytest.raises(UsageError, match="fell back to the CPU"):
        open_session(model, device="cuda")
    assert device_of(open_session(model, device="auto")) == "cpu"


@pytest.mark.parametrize("device", ["gpu", "CPU", "", "cuda:0"])
def test_other_devices_are_refused_with_those_that_are_known(model, device):
    with pytest.raises(UsageError, match="known: auto, cpu, cuda"):
        open_session(model, device=device)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_what_was_asked_for(model, threads):
    options = open_session(model, threads=threads).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\x08\x07", b"<!doctype html>", bytes(range(256)) * 40],
    ids=["empty", "text", "stub", "web page", "bytes"],
)
def test_a_file_that_is_no_model_is_a_model_error_that_names_it(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        load_classifier(path)


def test_half_a_model_is_a_model_error(tmp_path, model):
    path = tmp_path / "half.onnx"
    path.write_bytes(model.read_bytes()[:-9000])
    with pytest.raises(ModelError, match=r"half\.onnx"):
        load_classifier(path)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        load_classifier(tmp_path / "folder.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match="no such model file"):
        load_classifier(tmp_path / "folder.onnx")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "no mien metadata"),
        ({"author": "someone"}, "no mien metadata"),
        ({KEY: "{"}, "damaged mien metadata"),
        ({KEY: '{"format": 2}'}, "metadata format 2"),
    ],
)
def test_a_model_that_does_not_say_what_it_needs_is_refused(tmp_path, metadata, why):
    path = write_model(tmp_path / "mute.onnx", metadata=metadata)
    with pytest.raises(ModelError, match=rf"mute\.onnx: {why}"):
        load_classifier(path)


def test_a_path_may_be_text_or_a_path(tmp_path):
    path = write_model(tmp_path / "Tïny.ONNX")
    assert load_classifier(str(path)).spec == load_classifier(path).spec
    assert load_classifier(path).spec.name == "tiny-test"

"""Files of weights in their very formats, made here, and files that are up to no good."""

import builtins
import collections
import os
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402
from weight_pickles import python2_pickle, write_pickle  # noqa: E402

from mien.errors import DataError, UsageError  # noqa: E402
from mien.train.models import weight_files  # noqa: E402
from mien.train.models.weight_files import read_tensors  # noqa: E402

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7.5,
    "bn.running_var": np.array([0.1, 200, -3], np.float64),
    "bn.num_batches_tracked": np.array(5, np.int64),
}


def assert_holds(path, arrays):
    tensors = read_tensors(path)
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(tensors[name].numpy(), array)
        assert tensors[name].numpy().dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
def test_pickles_of_python_3(tmp_path, protocol, kind):
    assert_holds(write_pickle(tmp_path / "w.pkl", kind(ARRAYS), protocol), ARRAYS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy's own loader, by numpy.core
def test_pickles_of_python_2(tmp_path):
    data = python2_pickle(ARRAYS)
    theirs = pickle.loads(data, encoding="latin1")  # the format is what Python itself reads
    assert all(np.array_equal(theirs[name], array) for name, array in ARRAYS.items())
    (tmp_path / "w.pkl").write_bytes(data)
    assert_holds(tmp_path / "w.pkl", ARRAYS)


def test_columns_first_other_byte_orders_and_plain_numbers(tmp_path):
    arrays = {
        "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big": np.array([1.5, -2], ">f4"),
        "half": np.array([0.25], np.float16),
        "bytes": np.array([250, 3], np.uint8),
        "one": np.float32(4.5),
    }
    for protocol in (2, 5):
        assert_holds(write_pickle(tmp_path / "w.pkl", arrays, protocol), arrays)


def test_the_other_forms(tmp_path):
    np.savez(tmp_path / "w.npz", **ARRAYS)
    assert_holds(tmp_path / "w.npz", ARRAYS)
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    save_file(tensors, tmp_path / "w.safetensors")
    assert_holds(tmp_path / "w.safetensors", dict(sorted(ARRAYS.items())))
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "w.pth")
    assert_holds(tmp_path / "w.pth", ARRAYS)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, f"{os.name}.system"),
        (builtins.eval, "builtins.eval"),
        (builtins.getattr, "builtins.getattr"),
        (np.load, "numpy.load"),
        (torch.load, "torch.serialization.load"),
        (torch.nn.Linear, "torch.nn.modules.linear.Linear"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_something_is_refused(tmp_path, function, named, protocol):
    mark = tmp_path / "ran"
    argument = f"open({str(mark)!r}, 'w')" if function is eval else f"touch {mark}"
    content = {"conv1.weight": Call(function, argument)}
    write_pickle(tmp_path / "w.pkl", content, protocol)
    with pytest.raises(DataError) as caught:
        read_tensors(tmp_path / "w.pkl")
    builtin = named.replace("builtins", "__builtin__")  # its name below protocol 3
    assert f"asks for {named}" in str(caught.value) or f"asks for {builtin}" in str(caught.value)
    assert str(tmp_path / "w.pkl") in str(caught.value)
    assert not mark.exists()


def test_the_same_call_would_have_run(tmp_path):
    mark = tmp_path / "ran"
    pickle.loads(pickle.dumps(Call(builtins.eval, f"open({str(mark)!r}, 'w').close()")))
    assert mark.exists()


def test_a_torch_file_that_calls_something_is_refused(tmp_path):
    mark = tmp_path / "ran"
    torch.save({"conv1.weight": Call(os.system, f"touch {mark}")}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w\.pth: not a readable file of weights"):
        read_tensors(tmp_path / "w.pth")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pth")  # the form of the official export
    with pytest.raises(DataError, match=r"whole\.pth: not a readable file of weights"):
        read_tensors(tmp_path / "whole.pth")
    assert not mark.exists()


def test_arrays_of_objects_are_refused(tmp_path):
    objects = {"conv1.weight": np.array([{}, []], dtype=object)}
    with pytest.raises(DataError, match="refused: it holds an array of 'O8'"):
        read_tensors(write_pickle(tmp_path / "w.pkl", objects))
    np.savez(tmp_path / "w.npz", **objects)
    with pytest.raises(DataError, match="not a readable file of weights"):
        read_tensors(tmp_path / "w.npz")


def test_a_pickle_cannot_change_what_it_is_given(tmp_path):
    # It sets __defaults__ of what it gets for _codecs.encode.
    change = b"N}U\x0c__defaults__U\x03hex\x85s\x86b"
    (tmp_path / "w.pkl").write_bytes(b"\x80\x02}U\x01ac_codecs\nencode\n" + change + b"s.")
    with pytest.raises(DataError, match=r"w\.pkl: not a readable file of weights"):
        read_tensors(tmp_path / "w.pkl")
    assert weight_files._encode.__defaults__ == ("latin1",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds no dictionary of weights but a list"),
        ({}, "holds no dictionary of weights but a dict"),
        (ARRAYS["conv.weight"], "holds no dictionary of weights"),
        ({"conv1": {"weight": ARRAYS["conv.weight"]}}, "'conv1' is not an array of numbers"),
        ({1: ARRAYS["conv.weight"]}, "1 is not an array of numbers"),
        ({"epoch": 3}, "'epoch' is not an array of numbers but int"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        read_tensors(write_pickle(tmp_path / "w.pkl", content))


def test_damaged_files(tmp_path):
    whole = pickle.dumps(ARRAYS, 2)
    for cut in range(0, len(whole), 17):
        (tmp_path / "w.pkl").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"w\.pkl: not a readable file of weights"):
            read_tensors(tmp_path / "w.pkl")
    for ending in (".npz", ".safetensors", ".pth"):
        path = tmp_path / f"w{ending}"
        path.write_bytes(whole)
        with pytest.raises(DataError, match="not a readable"):
            read_tensors(path)
    with pytest.raises(DataError, match=r"none\.pkl: no such file"):
        read_tensors(tmp_path / "none.pkl")
    with pytest.raises(UsageError, match=r"w\.h5: weights are read from \.pkl, \.npz"):
        read_tensors(tmp_path / "w.h5")

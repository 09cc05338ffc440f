"""Training a compiled network."""

import dataclasses
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from synthetic_faces import faces, labels_of  # noqa: E402

from mien.labels import SEVEN  # noqa: E402
from mien.train import trainer  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.loader import TensorData  # noqa: E402
from mien.train.data.rows import Rows, one_hot  # noqa: E402
from mien.train.models.blocks import LinearHeads, PreActivatedUnit  # noqa: E402


class Small(torch.nn.Module):
    """A stem, a separable unit and a head: a compiler is done with it in seconds.

    The stem is needed: with AVX2, PyTorch 2.13 crashes in the compiled backward pass of a strided
    1x1 convolution, here the unit's shortcut, whose input has one channel.
    """

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = torch.nn.Conv2d(1, 8, 3, 1, 1, bias=False)
        self.unit = PreActivatedUnit(8, 16, "stride")
        self.heads = LinearHeads(16, {"fer2013": 7})

    def forward(self, x):
        return self.heads(self.unit(self.stem(x)))


def trained(folder, **settings):
    folder.mkdir()
    codes = np.array([SEVEN.index(label) for label in labels_of(48)])
    rows = Rows(
        faces(48, 0), {"fer2013": one_hot(codes, 7)}, {"fer2013": SEVEN}, tuple(map(str, codes))
    )
    data = TensorData(rows, ("fer2013",), 16, "cpu")
    config = dataclasses.replace(TrainConfig(), epochs=2, batch=12, **settings)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, size=16))
    return trainer.train(Small(), config, data, data, folder=folder, fingerprint="f")


@pytest.mark.skipif(shutil.which(trainer.compiler()) is None, reason="needs a C++ compiler")
def test_a_compiled_network_learns_what_it_would_have(tmp_path):
    plain, compiled = trained(tmp_path / "a"), trained(tmp_path / "b", compile=True)
    assert plain.model._compiled_call_impl is None
    assert compiled.model._compiled_call_impl is not None
    assert compiled.history[-1]["loss"] == pytest.approx(plain.history[-1]["loss"], rel=1e-4)
    theirs = compiled.ema.state_dict()
    for name, tensor in plain.ema.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-3, atol=1e-4)

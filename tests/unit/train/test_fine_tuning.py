"""Starting a run from another one's weights."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import DataError  # noqa: E402
from mien.train import checkpoint  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.run import start_from  # noqa: E402


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(1)
    model = build("mien_tiny", {"fer2013": 7, "ferplus": 8})
    checkpoint.save(tmp_path / "last.safetensors", model.state_dict(), {})
    return tmp_path, model


def test_everything_that_fits_is_taken_over(source):
    folder, old = source
    new = build("mien_tiny", {"fer2013": 7, "ferplus": 8})
    said = []
    start_from(new, folder, said.append)
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor)
    assert said[0].endswith("new: none")


def test_another_head_stays_new_and_is_named(source):
    folder, old = source
    new = build("mien_tiny", {"ferplus": 5})
    before = new.heads["ferplus"].weight.clone()
    said = []
    start_from(new, folder, said.append)
    assert torch.equal(new.heads["ferplus"].weight, before)
    assert torch.equal(new.stem.weight, old.stem.weight)
    assert said[0].endswith("new: heads.ferplus")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    checkpoint.save(tmp_path / "last.safetensors", {"other": torch.zeros(3)}, {})
    with pytest.raises(DataError, match="no weights there fit"):
        start_from(build("mien_tiny", {"ferplus": 8}), tmp_path, lambda text: None)

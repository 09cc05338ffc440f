"""What every architecture must do, whichever it is."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("safetensors")

from mien.errors import UsageError  # noqa: E402
from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.runtime.session import open_session  # noqa: E402
from mien.train import checkpoint, models  # noqa: E402
from mien.train.config import ModelConfig, TrainConfig  # noqa: E402
from mien.train.export import write_graph  # noqa: E402
from mien.train.run import Run  # noqa: E402

HEADS = {"fer2013": 7, "ferplus": 8}
NAMES = list(models.ARCHITECTURES)


def used(name, channels=1, **options):
    """A network in eval mode whose running statistics are not those of the start."""
    torch.manual_seed(0)
    model = models.build(name, HEADS, channels=channels, **options)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, channels, 48, 48))
    return model.eval()


@pytest.fixture(scope="module", params=NAMES)
def named(request):
    return request.param, used(request.param)


@pytest.mark.parametrize("size", [36, 48, 64])
def test_each_head_gives_its_logits(named, size):
    _, model = named
    with torch.no_grad():
        out = model(torch.randn(2, 1, size, size))
    assert {head: tuple(part.shape) for head, part in out.items()} == {
        "fer2013": (2, 7),
        "ferplus": (2, 8),
    }
    assert all(torch.isfinite(part).all() for part in out.values())


@pytest.mark.parametrize("name", NAMES)
def test_colour_and_one_head(name):
    model = models.build(name, {"ferplus": 8}, channels=3).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 48, 48))["ferplus"].shape == (1, 8)


def test_a_batch_is_its_crops_one_by_one(named):
    _, model = named
    x = torch.randn(5, 1, 48, 48)
    with torch.no_grad():
        together = model(x)
        alone = [model(row[None]) for row in x]
    for head in HEADS:
        assert (together[head] - torch.cat([a[head] for a in alone])).abs().max() <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_learnt(name):
    torch.manual_seed(0)
    model = models.build(name, HEADS)
    out = model(torch.randn(4, 1, 48, 48))
    losses = [
        torch.nn.functional.cross_entropy(out[head], torch.arange(4) % k)
        for head, k in HEADS.items()
    ]
    torch.stack(losses).sum().backward()
    for parameter, value in model.named_parameters():
        assert value.grad is not None, parameter
        assert torch.isfinite(value.grad).all(), parameter
        assert value.grad.abs().max() > 0, parameter


def test_weights_survive_a_file(named, tmp_path):
    name, model = named
    checkpoint.save(tmp_path / "w.safetensors", model.state_dict(), {"epoch": 3})
    tensors, about = checkpoint.load(tmp_path / "w.safetensors")
    assert about == {"epoch": 3}
    torch.manual_seed(1)
    twin = models.build(name, HEADS)
    twin.load_state_dict(tensors)
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        for head, part in twin.eval()(x).items():
            assert torch.equal(part, model(x)[head])


def test_the_onnx_file_agrees(named, tmp_path):
    name, model = named
    config = TrainConfig(model=ModelConfig(name=name))
    labels = {"fer2013": SEVEN, "ferplus": EIGHT}
    run = Run(config, model, labels, Path(), {"channels": 1}, "")
    write_graph(run.model, tuple(run.labels), 1, run.config.model.size, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    for n in (1, 5):
        x = torch.randn(n, 1, 48, 48)
        with torch.no_grad():
            ours = model(x)
        theirs = session.run(list(HEADS), {"crops": x.numpy()})
        for head, part in zip(HEADS, theirs, strict=True):
            assert part.shape == (n, HEADS[head])
            assert np.abs(ours[head].numpy() - part).max() <= 1e-4


@pytest.mark.parametrize(
    ("name", "trainable", "everything", "mega_macs"),
    [("tian2022_a", 56_471, 57_463, 6.33), ("tian2022_b", 55_831, 57_223, 19.14)],
)
def test_the_sizes_that_are_published(name, trainable, everything, mega_macs):
    model = models.build(name, {"fer2013": 7})
    assert models.count_parameters(model) == (trainable, everything)
    assert round(models.count_macs(model, 1, 48) / 1e6, 2) == mega_macs


def test_tian_a_with_a_linear_head():
    model = models.build("tian2022_a", {"fer2013": 7}, head="linear")
    assert models.count_parameters(model) == (49_303, 50_295)
    assert round(models.count_macs(model, 1, 48) / 1e6, 2) == 6.26


def test_mien_tiny_keeps_to_the_budget():
    model = models.build("mien_tiny", HEADS)
    assert models.count_parameters(model)[1] <= 58_000
    assert round(models.count_macs(model, 1, 48) / 1e6, 1) == 9.3


def test_counting_does_not_change_the_model():
    model = models.build("mien_tiny", HEADS)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    models.count_macs(model, 1, 48)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_catalogue_tells_of_each():
    entries = models.catalogue()
    assert [entry["name"] for entry in entries] == NAMES
    by_name = {entry["name"]: entry for entry in entries}
    a = by_name["tian2022_a"]
    assert (a["parameters"], a["parameters_with_statistics"]) == (56_471, 57_463)
    assert a["paper"] == "Tian et al. 2022"
    assert all(entry["input"] == [1, 48, 48] for entry in entries)


def test_a_name_that_is_not_there():
    with pytest.raises(UsageError, match=r"Did you mean 'mien_tiny'\? Known: .*tian2022_b"):
        models.build("mien-tiny", HEADS)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_is_not_there(name):
    with pytest.raises(UsageError, match=f"architecture '{name}'.*depth"):
        models.build(name, HEADS, depth=3)
    with pytest.raises(UsageError, match=r"no activation 'tanh'\. Known: relu, silu"):
        models.build(name, HEADS, activation="tanh")

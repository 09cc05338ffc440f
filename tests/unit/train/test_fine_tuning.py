"""Starting a run from another one's weights, and learning from its answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import DataError  # noqa: E402
from mien.labels import EIGHT, SEVEN  # noqa: E402
from mien.train import checkpoint  # noqa: E402
from mien.train.config import TrainConfig, save_config  # noqa: E402
from mien.train.data.loader import TensorData, plain_batches  # noqa: E402
from mien.train.data.rows import AFFECT_LABELS, Rows  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.network import (  # noqa: E402
    Run,
    averaged,
    first_network,
    grow_from,
    load_run,
    renormed,
    start_from,
)
from mien.train.sections import ModelConfig, ReleaseConfig  # noqa: E402
from mien.train.teachers import soften  # noqa: E402

FACES = np.zeros((2, 48, 48), np.uint8)


@pytest.fixture
def source():
    torch.manual_seed(1)
    model = build("mien_tiny", {"fer2013": 7, "ferplus": 8})
    return model.state_dict(), model


def test_everything_that_fits_is_taken_over(source):
    tensors, old = source
    new = build("mien_tiny", {"fer2013": 7, "ferplus": 8})
    said = []
    start_from(new, tensors, "there", said.append)
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor)
    assert said[0].endswith("new: none")


def test_another_head_stays_new_and_is_named(source):
    tensors, old = source
    new = build("mien_tiny", {"ferplus": 5})
    before = new.heads["ferplus"].weight.clone()
    said = []
    start_from(new, tensors, "there", said.append)
    assert torch.equal(new.heads["ferplus"].weight, before)
    assert torch.equal(new.stem.weight, old.stem.weight)
    assert said[0].endswith("new: heads.ferplus")


def test_weights_that_do_not_fit_are_refused():
    other = {"other": torch.zeros(3)}
    with pytest.raises(DataError, match="elsewhere: no weights there fit"):
        start_from(build("mien_tiny", {"ferplus": 8}), other, "elsewhere", lambda text: None)


def trained_small():
    """A `mien_small` whose BatchNorms have seen faces."""
    torch.manual_seed(2)
    small = build("mien_small", {"fer2013": 7})
    small(torch.rand(8, 1, 24, 24))
    return small.eval()


def test_a_grown_network_answers_as_the_narrower_one_and_can_learn_more():
    small = trained_small()
    base = build("mien_base", {"fer2013": 7})
    grow_from(base, small.state_dict(), "there", lambda text: None)
    faces = torch.rand(4, 1, 24, 24)
    torch.testing.assert_close(
        base.eval()(faces)["fer2013"], small(faces)["fer2013"], atol=1e-5, rtol=1e-4
    )
    base.train()(faces)["fer2013"].square().sum().backward()
    new = base.heads["fer2013"].weight.grad[:, small.width :]
    assert (new.abs().amax(dim=0) > 0).all()
    features = base.units[4].sep2.weight[small.width :]
    assert len({round(w.abs().sum().item(), 4) for w in features}) == len(features)


def test_a_recipe_says_whether_a_network_is_grown(tmp_path):
    checkpoint.save(tmp_path / "last.safetensors", trained_small().state_dict(), {})
    about = {"labels": {"fer2013": SEVEN}, "channels": 1}
    grown = TrainConfig(init=str(tmp_path), grow=True, model=ModelConfig("mien_base"))
    said = []
    base = first_network(grown, about, FACES, said.append)
    assert said == [f"grown from {tmp_path}"]
    assert not base.heads["fer2013"].weight[:, 160:].any()
    first_network(replace(grown, grow=False), about, FACES, said.append)
    assert "heads.fer2013" in said[1].partition("; new: ")[2]


def saved_run(folder, seed, **model):
    """A run folder of a network with random weights and statistics; what `load_run` reads."""
    torch.manual_seed(seed)
    config = TrainConfig(model=ModelConfig("mien_tiny", **model))
    network = build("mien_tiny", {"fer2013": 7}, **config.model.options).train()
    network(torch.randn(4, 1, 48, 48))
    folder.mkdir()
    save_config(config, folder / "config.yaml")
    checkpoint.save(folder / "last.safetensors", network.state_dict(), {})
    about = {"labels": {"fer2013": SEVEN}, "channels": 1}
    (folder / "data.json").write_text(json.dumps(about))
    (folder / "environment.json").write_text('{"commit": "none"}')
    return folder


def test_the_weights_of_runs_are_averaged_for_a_release(tmp_path):
    one, two, three = (load_run(saved_run(tmp_path / n, i)) for i, n in enumerate("abc"))
    assert averaged(one) is one
    named = ReleaseConfig(average=(str(two.folder), str(three.folder)))
    mean = averaged(one.with_release(named)).model
    states = [run.model.state_dict() for run in (one, two, three)]
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point():
            expected = sum(state[name] for state in states) / 3
            assert torch.allclose(tensor, expected, atol=1e-6), name
    assert not mean.training
    assert torch.equal(load_run(one.folder).model.stem.weight, one.model.stem.weight)
    wider = saved_run(tmp_path / "d", 4, options={"features": 80})
    with pytest.raises(DataError, match="d is a run of another network than"):
        averaged(one.with_release(ReleaseConfig(average=(str(wider),))))


def test_statistics_of_a_release_are_of_faces_as_they_are(tmp_path):
    run = load_run(saved_run(tmp_path / "a", 0))
    faces = np.random.default_rng(0).integers(0, 256, (12, 48, 48), dtype=np.uint8)
    rows = Rows(faces, {}, {}, tuple(str(i) for i in range(12)))
    assert renormed(run, rows) is run
    few = run.with_release(ReleaseConfig(norm_faces=7))
    model = renormed(few, rows).model
    at = np.linspace(0, 11, 7).astype(int)
    x, _ = next(plain_batches(TensorData(rows.take(at), (), 48, "cpu"), 7))
    maps = run.model.stem(torch.cat([x, x.flip(-1)]))
    name = next(k for k, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm = model.get_submodule(name)
    assert torch.allclose(norm.running_mean, maps.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, maps.var((0, 2, 3)), rtol=1e-4)
    assert not model.training and norm.momentum == run.model.get_submodule(name).momentum
    assert not torch.equal(run.model.get_submodule(name).running_mean, norm.running_mean)
    weights = [k for k in model.state_dict() if "running" not in k and "batches" not in k]
    assert all(torch.equal(model.state_dict()[k], run.model.state_dict()[k]) for k in weights)


def test_a_network_does_not_shrink_nor_grow_into_another():
    small = trained_small().state_dict()
    with pytest.raises(DataError, match="does not fit into this network's"):
        grow_from(build("mien_small", {"fer2013": 3}), small, "there", lambda text: None)
    with pytest.raises(DataError, match="not a narrower form"):
        grow_from(build("mien_tiny", {"fer2013": 7}), small, "there", lambda text: None)


class Fixed(torch.nn.Module):
    """The brightness of the left half for the first label, of the right half for the second."""

    def forward(self, x):
        half = x.shape[3] // 2
        left, right = x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))
        return {"ferplus": torch.stack([left, right, *[left * 0] * 6], dim=1)}


def test_a_teacher_is_asked_about_both_views_and_mixed_in():
    images = np.zeros((2, 48, 48), np.uint8)
    images[:, :, :24] = 200
    known = np.eye(8, dtype=np.float32)[[3, 3]]
    known[1] = 0
    rows = Rows(images, {"ferplus": known}, {"ferplus": EIGHT}, ("a", "b"))
    teacher = Run(TrainConfig(), Fixed().eval(), {"ferplus": EIGHT}, Path(), {}, "")
    mixed = soften(rows, teacher, 0.25).targets["ferplus"]
    assert mixed.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert mixed[1, 0] == pytest.approx(mixed[1, 1], abs=1e-6)  # mirroring swaps the two halves
    e = np.e  # the standardised halves are 1 and -1
    assert mixed[1, 0] == pytest.approx((e + 1 / e) / 2 / (e + 1 / e + 6), abs=1e-4)
    assert mixed[0] == pytest.approx(0.75 * known[0] + 0.25 * mixed[1], abs=1e-6)


class Rater(torch.nn.Module):
    """Valence is how light the left half is, arousal twice that of the upper half."""

    def forward(self, x):
        half = x.shape[3] // 2
        left, upper = x[..., :half].mean((1, 2, 3)), x[:, :, :half].mean((1, 2, 3))
        return {"affect": torch.stack([left, 2 * upper], dim=1)}


def test_a_teachers_valence_and_arousal_are_mixed_in_and_fill_what_is_unknown():
    images = np.zeros((2, 48, 48), np.uint8)
    images[0, :, :24] = 200  # standardised: 1 on the left, -1 on the right; mirrored the other way
    images[1, :24] = 200
    nan = np.nan
    known = np.array([[0.8, nan], [nan, -0.6]], np.float32)
    rows = Rows(images, {"affect": known}, {"affect": AFFECT_LABELS}, ("a", "b"))
    teacher = Run(TrainConfig(), Rater().eval(), {"affect": AFFECT_LABELS}, Path(), {}, "")
    mixed = soften(rows, teacher, 0.25).targets["affect"]
    # The first face is said to have (1 - 1) / 2 = 0 and 0, the second 0 and 2, which counts as 1.
    assert mixed == pytest.approx(np.array([[0.6, 0.0], [0.0, 0.75 * -0.6 + 0.25]]), abs=1e-5)
    assert np.isnan(rows.targets["affect"][0, 1])  # the rows given are as they were


def test_heads_that_the_teacher_lacks_stay_as_they_are():
    known = np.array([[0.8, np.nan]], np.float32)
    fine = np.eye(8, dtype=np.float32)[[2]]
    rows = Rows(
        np.zeros((1, 48, 48), np.uint8),
        {"ferplus": fine * 0, "affect": known, "affectnet": fine},
        {"ferplus": EIGHT, "affect": AFFECT_LABELS, "affectnet": EIGHT},
        ("a",),
    )
    teacher = Run(TrainConfig(), Fixed().eval(), {"ferplus": EIGHT}, Path(), {}, "")
    mixed = soften(rows, teacher, 0.5).targets
    # A flat picture: nothing is seen, and every class is as likely.
    assert mixed["ferplus"] == pytest.approx(np.full((1, 8), 1 / 8), abs=1e-6)
    assert mixed["affectnet"].tolist() == fine.tolist()
    assert np.array_equal(mixed["affect"], known, equal_nan=True)

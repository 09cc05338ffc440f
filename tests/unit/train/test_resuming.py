"""Runs with centres, stages, drawn faces, teachers and dropout, stopped and taken up again."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from short_runs import assert_same  # noqa: E402
from synthetic_faces import faces, labels_of  # noqa: E402

from mien.labels import SEVEN  # noqa: E402
from mien.train import checkpoint, trainer  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.data.augment import AugmentConfig  # noqa: E402
from mien.train.data.loader import TensorData  # noqa: E402
from mien.train.data.rows import AFFECT_LABELS, Rows, one_hot  # noqa: E402
from mien.train.models.blocks import LinearHeads  # noqa: E402
from mien.train.sections import DataConfig, LossConfig, ModelConfig, OptimConfig  # noqa: E402

HEADS = ("fer2013", "affect")


class Net(torch.nn.Module):
    """A convolution with batch normalisation and dropout, and linear heads."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.pool = torch.nn.AdaptiveAvgPool2d((8, 1))
        self.drop = torch.nn.Dropout(0.2)
        self.heads = LinearHeads(64, {"fer2013": 7, "affect": 2})

    def forward(self, x):
        maps = self.pool(torch.relu(self.norm(self.conv(x))))
        return self.heads(self.drop(maps.flatten(1)))


def bars(n=60, answers=False):
    """Faces whose valence is the height of their bar; arousal is known of every second one."""
    codes = np.array([SEVEN.index(label) for label in labels_of(n)])
    affect = np.stack([codes / 3 - 1, np.sin(codes)], axis=1).astype(np.float32)
    affect[1::2, 1] = np.nan
    targets = {"fer2013": one_hot(codes, 7), "affect": affect}
    labels = {"fer2013": SEVEN, "affect": AFFECT_LABELS}
    rows = Rows(faces(n), targets, labels, tuple(map(str, range(n))))
    told = {"fer2013": 4 * one_hot(codes, 7), "affect": np.nan_to_num(affect)} if answers else None
    return TensorData(rows, HEADS, 16, "cpu", told)


BASE = TrainConfig(
    epochs=3,
    batch=12,
    augment=AugmentConfig(rotate=0.0, shift=0.02, scale=0.0),
    model=ModelConfig(size=16),
    optim=OptimConfig(lr=0.05),
)
VARIANTS = {
    "centre": {"loss": LossConfig(kind="centre", lam=0.1)},
    "cluster": {"loss": LossConfig(kind="cluster", lam=1.0, affect="ccc")},
    "frozen": {"freeze_epochs": 1, "optim": OptimConfig(lr=0.05, backbone_lr=0.1)},
    "balanced": {"data": DataConfig(sampler="balanced")},
    "adamw": {
        "freeze_epochs": 1,
        "optim": OptimConfig("adamw", lr=0.003, backbone_lr=0.3),
        "loss": LossConfig(kind="centre"),
    },
}


def config(**changes):
    return dataclasses.replace(BASE, **changes)


def fit(folder, settings, *, data=None, **calls):
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = data or bars()
    return trainer.train(Net(), settings, data, data, folder=folder, fingerprint="f", **calls)


class KilledError(Exception):
    pass


def killed_at(step):
    def progress(done, total, loss):
        if done == step:
            raise KilledError

    return progress


def assert_resumes(tmp_path, monkeypatch, settings, step, **calls):
    whole = fit(tmp_path / "whole", settings, **calls)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KilledError):
        fit(tmp_path / "stopped", settings, progress=killed_at(step), **calls)
    torch.manual_seed(99)  # another process has drawn other numbers
    resumed = fit(tmp_path / "stopped", settings, **calls)
    for name in ("checkpoint", "last"):
        first, second = (
            checkpoint.load(tmp_path / place / f"{name}.safetensors")[0]
            for place in ("whole", "stopped")
        )
        assert_same(first, second)
    return whole, resumed


@pytest.mark.parametrize("step", [3, 8])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_was_stopped_ends_in_the_same_state(tmp_path, monkeypatch, variant, step):
    assert_resumes(tmp_path, monkeypatch, config(**VARIANTS[variant]), step)


def test_so_does_one_with_a_teachers_answers(tmp_path, monkeypatch):
    assert_resumes(tmp_path, monkeypatch, config(), 8, data=bars(answers=True))


def test_so_does_one_with_a_teacher_that_is_asked_live(tmp_path, monkeypatch):
    teacher = Net().eval().requires_grad_(False)
    assert_resumes(tmp_path, monkeypatch, config(), 8, ask=teacher)


@pytest.mark.parametrize("kind", ["centre", "cluster"])
def test_centres_are_in_the_checkpoint_and_have_moved(tmp_path, kind):
    starts = []
    settings = config(loss=LossConfig(kind=kind), epochs=2)

    def progress(done, total, loss):
        tensors = checkpoint.load(tmp_path / "checkpoint.safetensors")[0] if done > 5 else {}
        starts.append(tensors.get("task.centres.fer2013.centres"))

    state = fit(tmp_path, settings, progress=progress)
    after_one_epoch, end = starts[5], state.task.centres["fer2013"].centres
    assert tuple(end.shape) == (7, 64)
    assert not torch.equal(after_one_epoch, end)
    saved = checkpoint.load(tmp_path / "checkpoint.safetensors")[0]
    assert torch.equal(saved["task.centres.fer2013.centres"], end)


def test_a_run_without_centres_writes_what_it_always_wrote(tmp_path):
    fit(tmp_path, config(epochs=1))
    names = checkpoint.load(tmp_path / "checkpoint.safetensors")[0]
    assert {name.split(".")[0] for name in names} == {"model", "ema", "optim"}


def test_the_backbone_is_frozen_for_the_first_epochs(tmp_path):
    settings = config(freeze_epochs=2, optim=OptimConfig(lr=0.05, ema=0.0))
    torch.manual_seed(0)
    start = Net().state_dict()
    kept = []

    def epoch_done(epoch):
        tensors = checkpoint.load(tmp_path / "last.safetensors")[0]
        kept.append({k for k, v in tensors.items() if torch.equal(v, start[k])})

    fit(tmp_path, settings, epoch_done=epoch_done)
    backbone = {k for k in start if not k.startswith("heads.")}
    assert kept[0] == kept[1] == backbone
    assert kept[2] <= {"conv.bias"}  # which batch normalisation takes out again


def test_affect_and_classes_are_learnt_side_by_side(tmp_path):
    settings = config(epochs=25, optim=OptimConfig(lr=0.1, ema=0.8))
    state = fit(tmp_path, settings)
    first, last = state.history[0], state.history[-1]
    assert last["fer2013"] > 0.9
    assert last["affect"] > 0.95
    assert last["affect_rmse_valence"] < min(0.2, first["affect_rmse_valence"])
    mean = (last["affect_ccc_valence"] + last["affect_ccc_arousal"]) / 2
    assert last["affect"] == pytest.approx(mean)


def test_balanced_runs_see_rare_classes_more_often(tmp_path, monkeypatch):
    seen = []
    plain = trainer.training_batches

    def watched(*args, **told):
        for x, targets in plain(*args, **told):
            seen.append(targets["fer2013"])
            yield x, targets

    monkeypatch.setattr(trainer, "training_batches", watched)
    data = bars()
    data.targets["fer2013"] = one_hot_tensor([0] * 54 + [1] * 6)
    fit(tmp_path, config(data=DataConfig(sampler="balanced"), epochs=20), data=data)
    share = torch.cat(seen).mean(dim=0)[:2]
    assert share.tolist() == pytest.approx([0.5, 0.5], abs=0.06)


def one_hot_tensor(codes):
    return torch.from_numpy(one_hot(np.array(codes), 7))


def test_balanced_needs_classes(tmp_path):
    data = bars()
    del data.targets["fer2013"]
    with pytest.raises(trainer.UsageError, match=r"data\.sampler balanced needs a head"):
        fit(tmp_path, config(data=DataConfig(sampler="balanced")), data=data)

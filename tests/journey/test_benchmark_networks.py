"""The figures of benchmarks/networks.py, from short runs on a small FER2013."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for needed in ("onnx", "onnxscript", "safetensors", "yaml", "matplotlib"):
    pytest.importorskip(needed)

from scripts import load_script  # noqa: E402
from short_runs import short_run  # noqa: E402
from synthetic_faces import write_recipe  # noqa: E402

from mien.metrics import softmax  # noqa: E402
from mien.train.config import load_config  # noqa: E402
from mien.train.export import export  # noqa: E402
from mien.train.held import Held  # noqa: E402
from mien.train.network import averaged, load_run  # noqa: E402
from mien.train.run import run_training  # noqa: E402
from mien.train.teachers import load_teacher  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "networks.py"


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    return load_script(FILE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs in folders, the first one's file, their training faces and validation faces."""
    folder = tmp_path_factory.mktemp("made")
    for name, epochs in (("a", 3), ("b", 1)):
        (folder / name).mkdir()
        run, training, validation = short_run(write_recipe(folder / name / "bars.yaml"), epochs)
        if name == "a":
            export(run, Held(validation), folder / "a.onnx")
    return folder, training, validation


def lines(script, capsys, monkeypatch, folder, *what, norm_faces=0):
    words = ["--fer2013", folder / "a" / "data", "--norm-faces", norm_faces, *what]
    monkeypatch.setattr("sys.argv", ["networks.py", *map(str, words)])
    script.main()
    return capsys.readouterr().out.splitlines()[2:]


def test_a_run_its_file_and_a_mean_of_weights(script, made, capsys, monkeypatch):
    folder, _, validation = made
    a, b = (str(folder / name / "run") for name in "ab")
    run, file, mean = lines(script, capsys, monkeypatch, folder, a, folder / "a.onnx", f"{a}+{b}")
    assert run.rsplit("|", 1)[0] == file.rsplit("|", 1)[0]
    first = load_run(Path(a))
    both = averaged(first.with_release(replace(first.config.release, average=(b,))))
    x = script.TensorData(validation, (), 16, "cpu")
    for line, model in ((run, first.model), (mean, both.model)):
        said = script.predict_logits(model, x)
        right = said["fer2013"].argmax(1) == validation.targets["fer2013"].argmax(1)
        assert line.startswith(f"{right.mean():.4f} ({right[::2].mean():.4f} ")
    assert mean.endswith(f"| {a}+{b}")


def test_each_face_by_the_fold_that_held_it_out(script, made, tmp_path, capsys, monkeypatch):
    folder, _, validation = made
    data = folder / "a" / "data"
    for fold in (0, 1):
        options = {"data.options": f"{{held_out: 2, fold: {fold}}}", "epochs": "1"}
        config = load_config(folder / "a" / "bars.yaml", options)
        run_training(config, data, tmp_path / f"fold{fold}")
    folds = f"{tmp_path / 'fold0'}:{tmp_path / 'fold1'}+{folder / 'b' / 'run'}"
    (line,) = lines(script, capsys, monkeypatch, folder, folds)
    codes = validation.targets["fer2013"].argmax(axis=1)
    told = []
    for fold in (0, 1):
        run, own = load_run(tmp_path / f"fold{fold}"), str(tmp_path / f"fold{fold}")
        release = replace(run.config.release, average=(str(folder / "b" / "run"), own))
        model = averaged(run.with_release(release)).model
        x = script.TensorData(validation, (), 16, "cpu")
        right = script.predict_logits(model, x)["fer2013"].argmax(1) == codes
        told.append(right[fold::2].mean())
    assert line.startswith(f"{np.mean(told):.4f} ({told[0]:.4f} {told[1]:.4f}; ")
    assert line.endswith(f"| {folds}")


def test_faces_of_training_are_told_apart(script, made):
    _, training, validation = made
    images = np.random.default_rng(0).integers(0, 256, validation.images.shape, np.uint8)
    images[[3, 8]] = training.images[[5, 6]]
    rows = replace(validation, images=images)
    copies = script.leaked(training, rows)
    assert np.flatnonzero(copies).tolist() == [3, 8]
    said = {head: 9 * target.copy() for head, target in rows.targets.items()}
    said["fer2013"][3] = np.roll(said["fer2013"][3], 1)  # one of two is told wrongly
    line = script.told(said, rows, copies, fitted=True)
    assert "; 0.5000 1.0000) " in line
    nobody = np.zeros(len(rows), bool)
    assert "; - " in script.told(said, rows, nobody, fitted=True)


def test_clean_statistics_change_a_run(script, made, capsys, monkeypatch):
    folder = made[0]
    a = folder / "a" / "run"
    assert lines(script, capsys, monkeypatch, folder, a) != lines(
        script, capsys, monkeypatch, folder, a, norm_faces=40
    )


def test_mean_answers_are_of_probabilities_of_both_views(script, made):
    folder, training, validation = made
    parts = [str(folder / "a" / "run"), str(folder / "b" / "run")]
    networks = [script.network_of(part, training, 0) for part in parts]
    said = script.mean_answer(networks, validation.images)
    views = (validation.images, np.ascontiguousarray(validation.images[:, :, ::-1]))
    wanted = np.mean(
        [softmax(load_teacher(p).outputs(view)["ferplus"]) for p in parts for view in views], axis=0
    )
    assert np.exp(said["ferplus"]) == pytest.approx(wanted, abs=1e-4)

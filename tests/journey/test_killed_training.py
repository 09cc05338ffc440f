"""A training process that is killed goes on where it was, to the same weights."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from short_runs import assert_same
from synthetic_faces import write_fer2013, write_recipe

from mien.train import checkpoint
from mien.train.config import load_config
from mien.train.run import run_training

DRIVER = """
import os, signal, sys
from pathlib import Path
from mien.train import trainer
from mien.train.config import load_config
from mien.train.run import run_training

trainer.CHECKPOINT_SECONDS = 0.0
recipe, data, out, last = sys.argv[1:]

def progress(done, total, loss):
    if done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

run_training(load_config(Path(recipe)), Path(data), Path(out), progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path):
    data = write_fer2013(tmp_path / "data", 60, ("Training", "PublicTest"))
    recipe = write_recipe(tmp_path / "bars.yaml")
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    words = [driver, recipe, data, tmp_path / "killed", "8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    _, about = checkpoint.load(tmp_path / "killed" / "checkpoint.safetensors")
    assert about["step"] == 7  # the third of five steps of the second epoch was not saved
    config = load_config(recipe)
    steps = []
    run_training(config, data, tmp_path / "killed", progress=lambda done, *_: steps.append(done))
    assert steps == [8, 9, 10]
    run_training(config, data, tmp_path / "whole")
    for name in ("checkpoint", "last", "best"):
        first, second = (
            checkpoint.load(tmp_path / out / f"{name}.safetensors")[0]
            for out in ("killed", "whole")
        )
        assert_same(first, second)

"""The script that trains the teachers and then every student, on small networks and few faces."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_faces import write_fer2013  # noqa: E402

from mien.train.config import load_config  # noqa: E402

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(sys.platform == "win32", reason="it is a script for bash"),
]

SCRIPT = Path(__file__).parents[2] / "recipes" / "family" / "train.sh"
FEW = ["--device", "cpu", "--precision", "fp32", "--threads", "1", "--batch", "7"]
FEW += ["--epochs", "1", "--model.size", "16", "--model.name", "tian2022_a"]


def train(data, out, *fields, **settings):
    settings = {"STUDENTS": "mien_tiny:9", "SEEDS": "3", "PYTHON": sys.executable, **settings}
    return subprocess.run(
        ["bash", str(SCRIPT), str(data), str(out), *FEW, *fields],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_teachers_teach_the_student(tmp_path):
    data = write_fer2013(tmp_path / "data", 14, ("Training", "PublicTest"))
    done = train(data, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert told == ["mien_tiny-s3", "teacher-large", "teacher-plain", "teacher-squeeze"]
    student = load_config(tmp_path / "out" / "mien_tiny-s3" / "config.yaml")
    assert (student.seed, student.epochs, student.distil.live) == (3, 1, True)
    assert [Path(t).name for t in student.distil.teachers] == [
        "teacher-plain",
        "teacher-large",
        "teacher-squeeze",
    ]
    seeds = {p.name: load_config(p / "config.yaml").seed for p in tmp_path.glob("out/teacher-*/")}
    assert len(set(seeds.values())) == 3
    made = tmp_path / "out" / "mien_tiny-s3" / "environment.json"
    assert json.loads(made.read_text())["gpu"] is None


def test_a_teacher_that_fails_is_named_and_nobody_is_taught(tmp_path):
    data = write_fer2013(tmp_path / "data", 14, ("Training", "PublicTest"))
    done = train(data, tmp_path / "out", "--data.heads", "[nothing]")
    assert done.returncode == 1
    assert "teacher-plain failed:\n" in done.stderr
    assert "has labels for fer2013, ferplus, not nothing" in done.stderr
    assert not list(tmp_path.glob("out/mien_tiny*"))


def test_a_teacher_that_knows_faces_teaches_beside_the_others(tmp_path):
    told = tmp_path / "told.txt"
    python = tmp_path / "python"  # notes what it is to do, and makes the run folder
    python.write_text(
        f'#!/bin/bash\necho "$*" >>"{told}"\n'
        'for i; do [ "$last" = --out ] && at=$i; last=$i; done\n'
        'mkdir -p "$at" && printf "epoch\\n1\\n" >"$at/history.csv"\n'
    )
    python.chmod(0o755)
    done = train(tmp_path, tmp_path / "out", PYTHON=str(python), FACES="dlib.dat")
    assert done.returncode == 0, done.stderr
    *teachers, student = told.read_text().splitlines()
    (faces,) = (line for line in teachers if "teacher-faces" in line)
    assert len(teachers) == 4
    assert "/../mien-teacher-faces.yaml --data" in faces and "--init dlib.dat" in faces
    assert (SCRIPT.parent / "../mien-teacher-faces.yaml").exists()
    names = ("plain", "large", "squeeze", "faces")
    given = " ".join(f"--teacher {tmp_path}/out/teacher-{name}" for name in names)
    assert f"mien distill {SCRIPT.parent}/student.yaml" in student and given in student

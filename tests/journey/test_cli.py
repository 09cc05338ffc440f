"""The `mien` command, run as a user runs it."""

import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import __version__
from mien.cli.main import VERBS
from mien.labels import EIGHT
from mien.report.table import COLUMNS

pytestmark = pytest.mark.journey

MIEN = [sys.executable, "-m", "mien.cli.main"]
PHOTOS = ("biden.jpg", "obama.jpg")
MAX_FLAGS = 30


def mien(*words, cwd=None, stdin=None, **environment):
    """Run the command; stdout and stderr as text, with bytes that are none kept."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", **environment}
    return subprocess.run(
        [*MIEN, *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env=environment,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, examples):
    """A folder with the two photos."""
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(examples / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def as_jsonl(folder):
    """What is said of that folder, by the JSON lines on stdout."""
    done = mien("analyze", ".", "--format", "jsonl", "--quiet", "--jobs", 1, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def told(as_jsonl):
    return [json.loads(line) for line in as_jsonl.splitlines()]


def test_photos_are_read(told):
    assert [photo["source"] for photo in told] == list(PHOTOS)
    assert [photo["status"] for photo in told] == ["ok", "ok"]
    assert [len(photo["faces"]) for photo in told] == [1, 1]
    assert told[1]["faces"][0]["expression"] == "happiness"


def test_objects_have_the_schema(told):
    for photo in told:
        assert list(photo) == ["schema", "source", "status", "width", "height", "model", "faces"]
        assert photo["schema"] == 1
        (face,) = photo["faces"]
        assert list(face["probabilities"]) == list(EIGHT)
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=5e-4)
        x0, y0, x1, y1 = face["box"]
        assert 0 <= x0 < x1 <= photo["width"] and 0 <= y0 < y1 <= photo["height"]


def test_json_is_a_list_of_the_same(folder, told):
    done = mien("analyze", *PHOTOS, "--format", "json", cwd=folder)
    assert done.returncode == 0
    assert json.loads(done.stdout) == told
    assert done.stderr == "2 photos, 2 faces\n"


def test_flags_from_a_file(folder, told, tmp_path):
    (tmp_path / "flags.yaml").write_text("format: json\nmax-faces: 1\nquiet: true\n")
    words = ("analyze", *PHOTOS, "--config", tmp_path / "flags.yaml")
    done = mien(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == told
    done = mien(*words, "--format", "csv", cwd=folder)
    assert done.stdout.startswith("source,frame")


def test_csv_says_the_same(folder, told, tmp_path):
    done = mien("analyze", "*.jpg", "--output", tmp_path / "out.csv", "--quiet", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))
    assert tuple(table[0]) == COLUMNS
    for row, photo in zip(table, told, strict=True):
        (face,) = photo["faces"]
        assert row["source"] == photo["source"]
        assert row["expression"] == face["expression"]
        assert float(row["probability"]) == face["probability"]
        assert [float(row[label]) for label in EIGHT] == list(face["probabilities"].values())
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_parquet_says_the_same(folder, told, tmp_path):
    reader = pytest.importorskip("pyarrow.parquet")
    done = mien(
        "analyze", ".", "--format", "parquet", "-o", tmp_path / "out", "--quiet", cwd=folder
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    table = reader.read_table(tmp_path / "out").to_pydict()
    assert tuple(table) == COLUMNS
    assert table["expression"] == [photo["faces"][0]["expression"] for photo in told]
    assert table["frame"] == [0, 0]


def test_a_table_for_people(folder, told):
    done = mien("analyze", ".", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line, photo in zip(lines[1:], told, strict=True):
        assert line.startswith(photo["source"])
        assert photo["faces"][0]["expression"] in line


def test_two_processes_say_the_same(folder, as_jsonl):
    done = mien("analyze", ".", "--format", "jsonl", "--quiet", "--jobs", 2, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == as_jsonl


def png_of(width, height):
    """A PNG that says it is very large and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"\0" * 99), b"IEND": b""}
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks.items():
        check = struct.pack(">I", zlib.crc32(name + data))
        content += struct.pack(">I", len(data)) + name + data + check
    return content


BAD = {
    "empty.jpg": "the file is empty",
    "truncated.jpg": "truncated",
    "text.jpg": "not a picture mien can read",
    "huge.png": "1,600,000,000 pixels, over the limit",
    "folder.jpg": "the folder holds no photos",
    "missing.jpg": "no such file",
}


@pytest.fixture(scope="module")
def bad_batch(tmp_path_factory, examples):
    """One run over every bad input between two good ones: (its outcome, its objects)."""
    home = tmp_path_factory.mktemp("bad")
    photo = (examples / "obama.jpg").read_bytes()
    (home / "empty.jpg").touch()
    (home / "truncated.jpg").write_bytes(photo[: len(photo) // 3])
    (home / "text.jpg").write_text("this is no photo")
    (home / "huge.png").write_bytes(png_of(40_000, 40_000))
    (home / "folder.jpg").mkdir()
    words = [examples / "obama.jpg", *BAD, examples / "biden.jpg"]
    done = mien("analyze", *words, "--format", "jsonl", cwd=home)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def test_bad_inputs_make_the_status_one_and_the_rest_is_complete(bad_batch):
    done, photos = bad_batch
    assert done.returncode == 1
    assert [Path(photo["source"]).name for photo in photos] == ["obama.jpg", *BAD, "biden.jpg"]
    assert [photo["status"] for photo in photos] == ["ok", *["unreadable"] * len(BAD), "ok"]
    assert photos[0]["faces"][0]["expression"] == "happiness"
    assert len(photos[-1]["faces"]) == 1
    assert done.stderr.endswith(f"8 photos, 2 faces, {len(BAD)} could not be read\n")


@pytest.mark.parametrize("name", BAD)
def test_each_bad_input_is_named_with_its_reason(bad_batch, name):
    done, photos = bad_batch
    (photo,) = [p for p in photos if p["source"] == name]
    assert BAD[name] in photo["error"] and photo["faces"] == []
    assert f"mien: {name}: {photo['error']}\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems allow no such name")
def test_a_name_that_is_not_text_is_read_and_told(folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    shutil.copy(folder / "obama.jpg", tmp_path / name)
    done = mien("analyze", ".", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["source"] == name
    done = mien("analyze", ".", "--detector", "none", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("caf")


def test_a_stdout_without_the_signs_is_no_reason_to_fail(folder):
    done = mien("analyze", "obama.jpg", "--quiet", cwd=folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "happiness" in done.stdout


def test_paths_on_stdin(folder, told):
    lines = "obama.jpg\n\nmissing.jpg\n"
    done = mien("analyze", "-", "--format", "json", "--quiet", cwd=folder, stdin=lines)
    assert done.returncode == 1
    first, second = json.loads(done.stdout)
    assert first == told[1]
    assert (second["source"], second["error"]) == ("missing.jpg", "no such file")
    assert done.stderr == "mien: missing.jpg: no such file\n"


def test_annotated_copies(folder, tmp_path):
    (tmp_path / "again").mkdir()
    shutil.copy(folder / "obama.jpg", tmp_path / "again" / "obama.jpg")
    done = mien(
        "analyze",
        folder / "obama.jpg",
        tmp_path / "again" / "obama.jpg",
        "gone.jpg",
        "--draw",
        tmp_path / "marked",
        "--format",
        "jsonl",
        "--quiet",
    )
    assert done.returncode == 1
    assert sorted(p.name for p in (tmp_path / "marked").iterdir()) == ["obama-2.jpg", "obama.jpg"]
    face = json.loads(done.stdout.splitlines()[0])["faces"][0]
    before = np.asarray(Image.open(folder / "obama.jpg").convert("RGB")).astype(int)
    after = np.asarray(Image.open(tmp_path / "marked" / "obama.jpg")).astype(int)
    assert after.shape == before.shape
    changed = np.abs(after - before).max(axis=2) > 60
    x0, _, x1, y1 = (round(v) for v in face["box"])
    assert changed[y1 - 40 : y1, x0 : x0 + 2].mean() > 0.8
    assert changed[y1 + 60 :].mean() < 0.01 and changed[:, x1 + 60 :].mean() < 0.01


def test_output_appears_whole_or_not_at_all(folder, tmp_path):
    path = tmp_path / "out.json"
    path.write_text("older")
    done = mien("analyze", ".", "--output", path, "--model", "no-such", cwd=folder)
    assert done.returncode == 1 and "no model is called 'no-such'" in done.stderr
    assert path.read_text() == "older"
    done = mien("analyze", "gone.jpg", "--output", path, "--quiet", cwd=folder)
    assert done.returncode == 1
    assert [photo["status"] for photo in json.loads(path.read_text())] == ["unreadable"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.skipif(os.name != "posix", reason="pipes that break with a signal")
@pytest.mark.parametrize("words", [["analyze", *PHOTOS * 8, "--format", "csv"], ["--help"]])
def test_a_reader_that_has_had_enough(folder, words):
    process = subprocess.Popen(
        [*MIEN, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if words[0] == "analyze":
        assert process.stdout.readline().startswith(b"source,frame")
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait(300) == 141
    assert b"Traceback" not in complaint and b"BrokenPipe" not in complaint


USAGE = {
    "no command": ([], "usage: mien"),
    "unknown command": (["analyse", "x.jpg"], "no command 'analyse'. Known: analyze, video"),
    "no photos": (["analyze"], "which photos?"),
    "unknown flag": (["analyze", "x.jpg", "--modle", "y"], "--modle"),
    "unknown format": (["analyze", "x.jpg", "--format", "xml"], "xml"),
    "unknown suffix": (["analyze", "x.jpg", "--output", "out.xlsx"], "which format is out.xlsx"),
    "unknown detector": (["analyze", "x.jpg", "--detector", "yolo"], "no detector is called"),
    "score out of range": (["analyze", "x.jpg", "--min-score", "3"], "min_score is 3.0"),
    "folder as output": (["analyze", "x.jpg", "--format", "csv", "-o", "."], "it is a folder"),
    "show nothing": (
        ["models", "show"],
        "show which? Known: mien-base, mien-small, mien-small-affect, mien-tiny",
    ),
    "pull nothing": (["models", "pull"], "pull what? Known: yunet"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_have_the_status_two(case, in_process):
    words, why = USAGE[case]
    status, out, err = in_process(*words)
    assert status == 2
    assert why in (out if case == "no command" else err)
    assert "Traceback" not in err


@pytest.fixture
def in_process(capsys, tmp_path, monkeypatch):
    """Run the command in this process: its status, stdout and stderr. Far quicker."""
    from mien.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as done:
            status = 0 if done.code is None else done.code
        return status, *capsys.readouterr()

    return run


def test_a_usage_error_of_the_process_itself(tmp_path):
    done = mien("analyse", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mien: error: no command 'analyse'. Known: analyze, ")


def test_the_script_is_installed():
    script = Path(sys.executable).with_name("mien")
    if not script.exists():
        pytest.skip("the package is not installed with its script")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mien {__version__}\n", "")


def test_help_names_every_command_and_the_responsible_use(in_process):
    for word in ("--help", "-h", "help"):
        status, out, err = in_process(word)
        assert (status, err) == (0, "")
        assert all(re.search(rf"^  {verb} +\w", out, re.M) for verb in VERBS)
        assert "RESPONSIBLE_USE.md" in out


def flags_in(text):
    """The flags that a help text explains, each once; the fields of a recipe are none."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).partition("fields of the recipe")[0]
    lines = re.findall(r"(?m)^[ │|]+-.*", text)
    return {re.search(r"--[a-z][\w-]*", line)[0] for line in lines} - {"--help"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_and_few_flags(in_process, verb):
    if verb in ("train", "distill"):
        pytest.importorskip("torch")
        pytest.importorskip("matplotlib")
    status, out, _ = in_process(verb, "--help")
    assert status == 0
    flags = flags_in(out)
    assert len(flags) <= MAX_FLAGS, sorted(flags)
    if verb == "analyze":
        wanted = {"--format", "--output", "--draw", "--model", "--detector", "--jobs", "--quiet"}
        assert wanted <= flags


def test_models_as_json(in_process):
    status, out, err = in_process("models", "--format", "json")
    assert (status, err) == (0, "")
    told = {model["name"]: model for model in json.loads(out)}
    assert [name for name, model in told.items() if model["default"]] == ["mien-small"]
    tiny = told["mien-tiny"]
    assert 1000 < tiny["parameters"] <= 58_000
    assert tiny["heads"]["ferplus"] == 8
    assert tiny["input"][0] in (1, 3) and tiny["input"][1] == tiny["input"][2]
    assert re.fullmatch("[0-9a-f]{64}", tiny["sha256"]) and tiny["bytes"] < 400_000


def test_models_for_people(in_process):
    status, out, err = in_process("models")
    assert (status, err) == (0, "")
    assert "mien-tiny" in out and "parameters" in out


def test_all_that_a_model_says_of_itself(in_process):
    status, out, err = in_process("models", "show", "mien-tiny")
    assert (status, err) == (0, "")
    about = json.loads(out)
    assert about["file"] == "mien-tiny.onnx" and about["format"] == 1
    heads = {head["name"]: head for head in about["heads"]}
    assert heads["ferplus"]["labels"] == list(EIGHT)
    assert sum(heads["ferplus"]["priors"]) == pytest.approx(1, abs=1e-3)
    assert all(head["temperature"] > 0 for head in heads.values())
    assert about["macs"] > 1e5


def test_an_unknown_model_is_not_shown(in_process):
    status, out, err = in_process("models", "show", "mien-tinny")
    assert (status, out) == (1, "")
    assert "Did you mean 'mien-tiny'" in err


def test_doctor_as_json(in_process):
    status, out, _ = in_process("doctor", "--format", "json")
    report = json.loads(out)
    assert status == (1 if report["problems"] else 0)
    assert report["models"]["mien-tiny"] == "ok"
    assert report["detectors"]["none"] == "ok"
    assert report["packages"]["mien"] == __version__
    assert "CPUExecutionProvider" in report["providers"]


def test_doctor_for_people(in_process):
    status, out, _ = in_process("doctor")
    last = out.splitlines()[-1]
    assert last == "all well" if status == 0 else last.startswith("PROBLEM")


def test_cuda_that_is_not_there_is_told(in_process, examples):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is CUDA here")
    status, out, err = in_process("analyze", examples / "obama.jpg", "--device", "cuda")
    assert (status, out) == (2, "")
    assert "pip install onnxruntime-gpu" in err


def test_ctrl_c_is_no_traceback(in_process, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.cli.doctor.examine", interrupted)
    assert in_process("doctor") == (130, "", "mien: interrupted\n")

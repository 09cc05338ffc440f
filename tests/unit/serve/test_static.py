"""The folder that `mien export --web` writes, from an npm package made here."""

import io
import json
import re
import tarfile

import pytest

from mien.cli.main import main
from mien.errors import ModelError, UsageError
from mien.runtime import store
from mien.runtime.classify import load_classifier
from mien.serve import static
from mien.serve.static import read_runtime, write_static

PACKAGE = {
    "package.json": json.dumps({"name": "onnxruntime-web", "version": "1.2.3"}).encode(),
    "dist/ort.wasm.bundle.min.mjs": b"export {};",
    "dist/ort-wasm-simd-threaded.wasm": b"\0asm",
}


def write_package(folder, files=PACKAGE):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_tgz(path, files=PACKAGE):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def detector(tmp_path, monkeypatch):
    """Bytes that stand for YuNet's."""
    path = tmp_path / "home" / "yunet.onnx"
    path.parent.mkdir()
    path.write_bytes(b"yunet")
    monkeypatch.setattr(static, "checked", lambda name: path)
    return path


@pytest.fixture
def package(tmp_path):
    return write_tgz(tmp_path / "ort.tgz")


@pytest.mark.parametrize("where", ["", "package", "node_modules/onnxruntime-web"])
def test_a_package_is_found_unpacked(tmp_path, where):
    write_package(tmp_path / "npm" / where)
    runtime = read_runtime(tmp_path / "npm")
    assert (runtime.version, runtime.wasm) == ("1.2.3", b"\0asm")


def test_a_package_is_read_as_it_was_packed(package):
    assert read_runtime(package).script == b"export {};"


def test_the_current_folders_modules_are_the_default(tmp_path, monkeypatch):
    write_package(tmp_path / "node_modules" / "onnxruntime-web")
    monkeypatch.chdir(tmp_path)
    assert read_runtime(None).version == "1.2.3"


def test_what_is_no_package_is_told_with_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"npm pack onnxruntime-web@.* --ort"):
        read_runtime(tmp_path)
    lacking = {k: v for k, v in PACKAGE.items() if not k.endswith(".mjs")}
    with pytest.raises(UsageError, match=r"no dist/ort\.wasm\.bundle\.min\.mjs here"):
        read_runtime(write_tgz(tmp_path / "a.tgz", lacking))
    other = {**PACKAGE, "package.json": b'{"name": "left-pad"}'}
    with pytest.raises(UsageError, match="not the npm package onnxruntime-web"):
        read_runtime(write_tgz(tmp_path / "b.tgz", other))
    (tmp_path / "c.tgz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"c\.tgz: cannot be read"):
        read_runtime(tmp_path / "c.tgz")


def test_the_folder_has_all_that_the_page_asks_for(tmp_path, detector, package):
    size = write_static(tmp_path / "web", ort=package)
    files = {path.name: path.read_bytes() for path in (tmp_path / "web").iterdir()}
    assert size == sum(map(len, files.values()))
    assert files["ort.js"] == b"export {};"
    assert files["ort-wasm-simd-threaded.wasm"] == b"\0asm"
    assert files[store.DOWNLOADS["yunet"].file] == b"yunet"
    assert files["mien-small.onnx"] == store.resolve("mien-small").read_bytes()
    assert b"onnxruntime-web 1.2.3, Copyright (c) Microsoft" in files["README.txt"]
    for name, content in files.items():
        if name.endswith(".js") and name != "ort.js":
            asked = re.findall(r'from "\./([\w.]+)"', content.decode())
            assert set(asked) <= set(files), name
    html = files["index.html"].decode()
    assert f'http-equiv="Content-Security-Policy" content="{static.POLICY}"' in html
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) <= set(files)
    assert "remote.js" not in files and b"./local.js" in files["backend.js"]


def test_the_page_is_told_of_the_models(tmp_path, detector, package):
    write_static(tmp_path / "web", models=["mien-small"], ort=package)
    told = json.loads((tmp_path / "web" / "models.json").read_text("utf-8"))
    assert (told["default"], told["detector"]) == ("mien-small", store.DOWNLOADS["yunet"].file)
    (model,) = told["models"]
    size = store.bundled()["mien-small"].stat().st_size
    assert (model["file"], model["size_bytes"]) == ("mien-small.onnx", size)
    assert model["has_affect"] is load_classifier("mien-small").spec.has_affect
    assert model["spec"]["input"]["crop"] == "square-v2"
    assert [len(head["labels"]) for head in model["spec"]["heads"]] == [7, 8]
    with pytest.raises(UsageError, match="two models are called 'mien-small'"):
        write_static(tmp_path / "web", models=["mien-small", "mien-small"], ort=package)


def test_only_its_own_folder_is_written_over(tmp_path, detector, package):
    target = tmp_path / "web"
    write_static(target, ort=package)
    write_static(target, ort=package)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="something else is in this folder"):
        write_static(other, ort=package)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="--web takes a folder"):
        write_static(package, ort=package)


def test_nothing_is_written_without_yunet(tmp_path, package, monkeypatch):
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="mien models pull yunet"):
        write_static(tmp_path / "web", ort=package)
    assert not (tmp_path / "web").exists()


def test_the_command(tmp_path, detector, package, capsys):
    web = str(tmp_path / "web")
    assert main(["export", "--web", web, "--ort", str(package)]) == 0
    assert "python -m http.server" in capsys.readouterr().err
    assert main(["export", "run", "--web", web]) == 2
    assert main(["export"]) == 2
    assert "a run, --data and --output are needed" in capsys.readouterr().err
    assert main(["export", "run", "--data", "d", "--output", "x.onnx", "--model", "m"]) == 2

"""The page as a folder that needs no server of mien's: the networks run in the browser.

The page is the one that ``mien serve`` shows, with another backend behind it. ONNX Runtime for
browsers is Microsoft's; it is not part of mien and comes from its npm package (`Runtime`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mien.errors import MienError, UsageError
from mien.runtime.classify import DEFAULT_MODEL, load_classifier
from mien.runtime.store import checked, download, resolve

PACKAGE = "onnxruntime-web"
TESTED = "1.30.0"
"""The version of the npm package that the tests were run with."""

_SCRIPT = "dist/ort.wasm.bundle.min.mjs"
_WASM = "dist/ort-wasm-simd-threaded.wasm"

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""The page's content security policy: nothing from elsewhere; WebAssembly may be compiled."""

_HEAD = '<meta charset="utf-8">\n'
_BACKEND = '// Who reads the pictures.\nexport { connect } from "./local.js";\n'
_ABOUT = """\
This folder reads apparent facial expressions in the browser, without a server of its own. Serve it
from anywhere, for example with: python -m http.server --bind 127.0.0.1
Cameras work on https and on localhost only.

It was written by mien (Apache-2.0) and holds beside mien's page:
- ort.js and ort-wasm-simd-threaded.wasm: {package} {version}, Copyright (c) Microsoft Corporation,
  MIT License
- {detector}: YuNet from OpenCV Zoo, MIT License
- {models}

The MIT License: Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in the Software without
restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions: The above copyright notice and
this permission notice shall be included in all copies or substantial portions of the Software. THE
SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True)
class Runtime:
    """ONNX Runtime for browsers, out of its npm package."""

    version: str
    script: bytes
    wasm: bytes


def write_static(
    folder: Path, *, models: Sequence[str | Path] = (DEFAULT_MODEL,), ort: Path | None = None
) -> int:
    """Write the folder; nothing is written unless all of it is there.

    Args:
        folder: a new or empty folder, or one that this wrote before.
        models: names or .onnx files; the first is the one to begin with.
        ort: the npm package (`read_runtime`).

    Returns:
        The bytes written.

    Raises:
        UsageError: the folder has something else in it or cannot be written, or `ort` is no such
            package.
        ModelError: no such model, or YuNet has not been pulled.
    """
    _check_empty(folder)
    runtime = read_runtime(ort)
    files = {**_page(), **_networks(models), "ort.js": runtime.script}
    files["ort-wasm-simd-threaded.wasm"] = runtime.wasm
    about = _ABOUT.format(
        package=PACKAGE,
        version=runtime.version,
        detector=download("yunet").file,
        models=", ".join(name for name in files if name.endswith(".onnx")),
    )
    files["README.txt"] = about.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror})") from error
    return sum(map(len, files.values()))


def read_runtime(package: Path | None) -> Runtime:
    """The runtime out of its npm package.

    Args:
        package: the .tgz that ``npm pack`` makes, the folder it was unpacked to, or a folder with
            node_modules in it. None: the current folder's node_modules.

    Raises:
        UsageError: it is not there; the message says how to get it.
    """
    where = Path() if package is None else package.expanduser()
    get = _packed(where) if where.is_file() else _unpacked(where)
    found = {name: get(name) for name in ("package.json", _SCRIPT, _WASM)} if get else {}
    if not found or None in found.values():
        lacks = next((name for name, content in found.items() if content is None), PACKAGE)
        raise UsageError(
            f"{where.absolute()}: no {lacks} here. Get the npm package with "
            f"`npm pack {PACKAGE}@{TESTED}` and give its file with --ort"
        )
    about, script, wasm = (content or b"" for content in found.values())
    return Runtime(_version(about, where), script, wasm)


def _version(about: bytes, where: Path) -> str:
    try:
        told = json.loads(about)
    except ValueError as error:
        raise UsageError(f"{where}: its package.json cannot be read") from error
    if not isinstance(told, dict) or told.get("name") != PACKAGE:
        raise UsageError(f"{where}: this is not the npm package {PACKAGE}")
    return str(told.get("version", "of unknown version"))


def _packed(file: Path) -> Callable[[str], bytes | None]:
    def get(name: str) -> bytes | None:
        try:
            with tarfile.open(file) as archive:
                member = archive.extractfile(f"package/{name}")
                return None if member is None else member.read()
        except KeyError:
            return None
        except (OSError, EOFError, tarfile.TarError) as error:
            raise UsageError(f"{file}: cannot be read as a .tgz ({error})") from error

    return get


def _unpacked(folder: Path) -> Callable[[str], bytes | None] | None:
    homes = (folder, folder / "package", folder / "node_modules" / PACKAGE)
    home = next((home for home in homes if (home / _WASM).is_file()), None)
    if home is None:
        return None

    def get(name: str) -> bytes | None:
        path = home / name
        return path.read_bytes() if path.is_file() else None

    return get


def _page() -> dict[str, bytes]:
    """The page's files by name, with the backend that needs no server."""
    page = resources.files("mien.serve").joinpath("page")
    files = {item.name: item.read_bytes() for item in page.iterdir() if item.is_file()}
    if "index.html" not in files:
        raise MienError("this installation of mien has no page: install it again")
    del files["remote.js"]
    files["backend.js"] = _BACKEND.encode()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    html = files["index.html"].decode()
    files["index.html"] = html.replace(_HEAD, _HEAD + policy, 1).encode()
    return files


def _networks(models: Sequence[str | Path]) -> dict[str, bytes]:
    """The models and the detector by file name, and the JSON that tells the page of them."""
    detector = download("yunet").file
    files = {detector: checked("yunet").read_bytes()}
    cards: list[dict[str, Any]] = []
    for model in models:
        path = resolve(model)
        spec = load_classifier(path).spec
        content = path.read_bytes()
        if any(card["name"] == spec.name for card in cards):
            raise UsageError(f"two models are called {spec.name!r}: export one of them")
        name = path.name if path.name not in files else f"{spec.name}.onnx"
        files[name] = content
        card = {
            "name": spec.name,
            "file": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "has_affect": spec.has_affect,
            "spec": dataclasses.asdict(spec),
        }
        cards.append(card)
    told = {"default": cards[0]["name"], "detector": detector, "models": cards}
    return {**files, "models.json": json.dumps(told, ensure_ascii=False).encode()}


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: there is a file of that name; --web takes a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "models.json").is_file():
        raise UsageError(f"{folder}: something else is in this folder; name a new one")

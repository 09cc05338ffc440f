"""Where model files live: those that come with mien, and those it fetches once and checks.

Nothing is ever fetched unasked: only `pull` opens a connection. A file is put in place whole, after
its SHA-256 was found right, or not at all.
"""

import difflib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mien.errors import ModelError, UsageError

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
"""The folder of classifiers that are part of the package."""

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that `pull` can fetch, and how to know that it is the right one."""

    file: str
    url: str
    sha256: str
    size: int  # bytes
    licence: str
    what: str


_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo"
_ZOO_REVISION = "47534e27c9851bb1128ccc0102f1145e27f23f98"

DOWNLOADS: dict[str, Download] = {
    "yunet": Download(
        file="face_detection_yunet_2026may.onnx",
        # The "media" address: the plain raw one gives a Git LFS pointer.
        url=f"{_ZOO}/{_ZOO_REVISION}/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
        sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
        size=229_738,
        licence="MIT",
        what="YuNet face detector, boxes and five landmarks (OpenCV Zoo)",
    ),
}
"""Every file that can be pulled, by name."""


def home() -> Path:
    """The folder of pulled files: ``MIEN_HOME``, or ``mien`` in the platform's cache folder."""
    if chosen := os.environ.get("MIEN_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mien"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mien"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def download(name: str) -> Download:
    """The entry `name` of `DOWNLOADS`.

    Raises:
        UsageError: there is no such entry; the message lists those there are.
    """
    if name not in DOWNLOADS:
        raise UsageError(f"nothing to pull is called {name!r}{_hint(name, DOWNLOADS)}")
    return DOWNLOADS[name]


def path_of(name: str) -> Path | None:
    """The pulled file `name`, or None where it is absent or not of the right size."""
    entry = download(name)
    path = home() / entry.file
    try:
        return path if path.is_file() and path.stat().st_size == entry.size else None
    except OSError:  # a folder that may not be looked into holds nothing for us
        return None


def checked(name: str) -> Path:
    """The pulled file `name`, its SHA-256 found right.

    Raises:
        ModelError: it has not been pulled, or is damaged. Both messages say what to run.
    """
    entry, path = download(name), path_of(name)
    if path is None:
        raise ModelError(
            f"{name} has not been pulled: run `mien models pull {name}` ({_kb(entry.size)}), "
            f"or copy {entry.file} into {home()}"
        )
    if not _intact(path, entry):
        raise ModelError(f"{path} is damaged: run `mien models pull {name}` to replace it")
    return path


def pull(name: str, *, url: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch the file `name` into `home`, unless it is there and intact, and return its path.

    Args:
        name: a name in `DOWNLOADS`.
        url: where to fetch it from. By default ``$MIEN_MIRROR/<file>`` where MIEN_MIRROR is set,
            else the address in `DOWNLOADS`. Wherever it comes from, the SHA-256 must be right.
        progress: called after each piece with the bytes so far and the bytes in all.

    Raises:
        UsageError: an unknown name, or an address that is not http, https or file.
        ModelError: it cannot be fetched or stored, or is not the file it should be. Nothing is
            left behind then.
    """
    entry = download(name)
    target = home() / entry.file
    if _intact(target, entry):
        return target
    address = url or _address(entry)
    if address.partition(":")[0] not in {"http", "https", "file"}:
        raise UsageError(f"cannot fetch {address!r}: an http, https or file address is needed")
    from mien.runtime.fetch import fetch  # the network's modules: 20 ms that most runs can save

    fetch(address, entry, target, progress)
    return target


def bundled() -> dict[str, Path]:
    """The classifiers that come with mien, by name, in the order of the names."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.onnx"), key=lambda p: p.stem)}


def resolve(model: str | Path) -> Path:
    """The file of a classifier: the name of a bundled one, or the path of an ``.onnx`` file.

    Raises:
        ModelError: neither; the message lists the bundled names.
    """
    names = bundled()
    if isinstance(model, str) and model in names:
        return names[model]
    path = Path(model).expanduser()
    if path.suffix.lower() == ".onnx":
        if not path.is_file():
            raise ModelError(f"no such model file: {path}")
        return path
    raise ModelError(
        f"no model is called {str(model)!r}{_hint(str(model), names)}, or give the path of an "
        ".onnx file"
    )


def _address(entry: Download) -> str:
    mirror = os.environ.get("MIEN_MIRROR")
    return f"{mirror.rstrip('/')}/{entry.file}" if mirror else entry.url


def _hint(name: str, known: dict[str, Download] | dict[str, Path]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f". Did you mean {close[0]!r}?" if close else "."
    return f"{guess} Known: {', '.join(known) or 'none'}"


def _kb(size: int) -> str:
    return f"{round(size / 1000)} kB"


def _intact(path: Path, entry: Download) -> bool:
    import hashlib  # brings OpenSSL, which a run without pulled files can do without

    try:
        data = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == entry.sha256

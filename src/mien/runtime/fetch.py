"""The network's side of `mien.runtime.store.pull`: fetch patiently, check, put in place whole."""

import contextlib
import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from mien.errors import ModelError
from mien.runtime.store import Download, Progress

_ATTEMPTS = 3
_PAUSE_SEC = 0.5  # doubled after each failed attempt
_TIMEOUT_SEC = 30.0
_CHUNK = 1 << 16
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


def fetch(url: str, entry: Download, target: Path, progress: Progress | None) -> None:
    """Put the file at `url` at `target`, once it is known to be the file that `entry` describes.

    Raises:
        ModelError: it cannot be fetched or stored, or is another file; nothing is left behind.
    """
    _make_home(target.parent)
    data = _fetch_patiently(url, entry, target, progress)
    _check(data, url, entry)
    _put(target, data)


def _make_home(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ModelError:
    reason = error.strerror or str(error)
    return ModelError(f"cannot write to {folder} ({reason}): set MIEN_HOME to a folder that can be")


def _fetch_patiently(url: str, entry: Download, target: Path, progress: Progress | None) -> bytes:
    """The bytes at `url`. Failures that may pass are tried again, after a growing pause."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _fetch(url, entry, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _WORTH_RETRYING or attempt == _ATTEMPTS:
                reason = f"HTTP {error.code} {error.reason}"
                raise _unfetched(url, target, reason) from error
        except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
            if attempt == _ATTEMPTS:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
                raise _unfetched(url, target, reason) from error
        time.sleep(_PAUSE_SEC * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _fetch(url: str, entry: Download, progress: Progress | None) -> bytes:
    """The bytes at `url`, at most one more than there should be: enough to know of a wrong file."""
    request = urllib.request.Request(url, headers={"User-Agent": "mien"})
    data = bytearray()
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SEC) as reply:
        while chunk := reply.read(min(_CHUNK, entry.size + 1 - len(data))):
            data += chunk
            if progress is not None:
                progress(min(len(data), entry.size), entry.size)
        announced = int(reply.headers.get("Content-Length") or 0)
    if len(data) < min(announced, entry.size):
        raise ConnectionError(f"the connection ended after {len(data)} of {announced} bytes")
    return bytes(data)


def _unfetched(url: str, target: Path, reason: str) -> ModelError:
    return ModelError(
        f"cannot fetch {url} ({reason}). Without a network, copy that file by hand to {target}"
    )


def _check(data: bytes, url: str, entry: Download) -> None:
    if data.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{url} gave a Git LFS pointer, not the file: use the host's media or LFS address"
        )
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        size = f"{len(data)} bytes" if len(data) <= entry.size else f"over {entry.size} bytes"
        raise ModelError(
            f"{url} is not {entry.file}: {size} with SHA-256 {found[:12]}…, "
            f"{entry.size} with {entry.sha256[:12]}… expected. Nothing was stored"
        )


def _put(target: Path, data: bytes) -> None:
    """Write `data` beside `target`, then move it there in one step: readers see all or nothing."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp makes it private; a shared MIEN_HOME must stay readable
        Path(name).replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise _unwritable(target.parent, error) from error

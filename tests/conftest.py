"""Where the real photos and the pulled detector are, for tests that need them."""

import os
from pathlib import Path

import pytest

# Two threads in each of two workers wait for one another more than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from mien.runtime import store

ROOT = Path(__file__).resolve().parents[1]


def data_folder():
    """The folder of development data, MIEN_DATA; skips the test where that is not set."""
    if chosen := os.environ.get("MIEN_DATA"):
        return Path(chosen)
    return pytest.skip("needs the data that MIEN_DATA names")


@pytest.fixture(scope="session")
def examples():
    """The folder of photos that are part of the repository."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def media():
    """The folder of photos that are not; skips where there is none."""
    folder = data_folder() / "media"
    if not folder.is_dir():
        pytest.skip("needs the photos in MIEN_DATA")
    return folder


@pytest.fixture
def yunet_home(monkeypatch):
    """YuNet's file, with MIEN_HOME set to its folder; skips where it is not."""
    path = data_folder() / "models" / store.DOWNLOADS["yunet"].file
    if not path.is_file():
        pytest.skip("needs YuNet in MIEN_DATA")
    monkeypatch.setenv("MIEN_HOME", str(path.parent))
    return path

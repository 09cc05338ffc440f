"""Whether memory stays flat over a long folder: peak resident size after every 50 photos.

    python benchmarks/memory.py [N]

Writes N (default 1000) photos of varied sizes from examples/ to a temporary folder and reads them.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

import mien

ROOT = Path(__file__).resolve().parents[1]


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def write_photos(folder, n):
    sources = [Image.open(p).convert("RGB") for p in sorted((ROOT / "examples").glob("*.jpg"))]
    for i in range(n):
        picture = sources[i % len(sources)]
        scale = 0.5 + (i % 7) / 4
        size = (round(picture.width * scale), round(picture.height * scale))
        picture.resize(size).save(folder / f"{i:05}.jpg", quality=85)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), n)
        for i, _ in enumerate(mien.analyze_all([folder]), start=1):
            if i % 50 == 0:
                print(f"{i:5} photos  {resident_mib():.0f} MiB", flush=True)


if __name__ == "__main__":
    main()

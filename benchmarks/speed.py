"""How quick the bundled model is: classifier, cold start, folder of photos.

    python benchmarks/speed.py [--photos DIR]

Medians; quote them with the machine they were taken on.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import mien

ROOT = Path(__file__).resolve().parents[1]
# An installed package is compiled; a checkout is not where Python may not write beside it.
COMPILED = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def median_sec(run, repeats):
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def classifier_speed(model):
    one = mien.load_classifier(model, threads=1)
    two = mien.load_classifier(model, threads=2)
    size = one.spec.input.size
    crops = np.random.default_rng(0).integers(0, 256, (64, size, size), np.uint8)
    print(
        f"classifier, batch 1, 1 thread:   {1e3 * median_sec(lambda: one(crops[:1]), 200):.3f} ms"
    )
    print(f"classifier, batch 64, 2 threads: {64 / median_sec(lambda: two(crops), 50):.0f} faces/s")


def started(command):
    subprocess.run(command, env=COMPILED, capture_output=True, check=True)


def cold_start(model):
    photo = str(ROOT / "examples" / "obama.jpg")
    base = [sys.executable, "-c", "import numpy, PIL.Image, onnxruntime"]
    ours = [sys.executable, "-m", "mien.cli.main", "analyze", photo, "--model", model, "--quiet"]
    pairs = []
    for _ in range(12):  # in pairs, so that a machine that slows down slows both
        pairs.append([median_sec(lambda c=c: started(c), 1) for c in (base, ours)])
    base_sec, ours_sec = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / base for base, ours in pairs)
    print(f"cold start, one photo: {ours_sec:.2f} s; bare imports {base_sec:.2f} s; {ratio:.2f} x")


def folder_speed(photos, model):
    for jobs in ("1", "2"):
        command = [sys.executable, "-m", "mien.cli.main", "analyze", str(photos), "--model", model,
                   "--jobs", jobs, "--format", "jsonl"]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        n = done.stdout.count(b"\n")
        print(f"{n} photos, {jobs} processes: {n / (time.perf_counter() - start):.1f} photos/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mien-tiny")
    parser.add_argument("--photos", type=Path, help="a folder of photos to run through")
    options = parser.parse_args()
    classifier_speed(options.model)
    cold_start(options.model)
    if options.photos:
        folder_speed(options.photos, options.model)


if __name__ == "__main__":
    main()

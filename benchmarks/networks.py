"""PublicTest's figures of networks, of the mean of several runs' weights, and of several's answers.

    python benchmarks/networks.py --fer2013 DIR WHAT [WHAT ...]

WHAT is one of: a run folder, an exported file or the name of a bundled model; run folders with "+"
between them, the mean of whose weights is taken; any of these with "," between them, the mean of
whose probabilities, each for the face and for its mirror image, is what they would teach a student.
A run's BatchNorm has the statistics of 6,000 training faces as they are (`release.norm_faces`),
unless --norm-faces says another number; 0 leaves those of its training.

Told are the accuracy of FER2013's head with that of even and odd rows, and of FER+'s head, each
with its log loss after a temperature (none for mean answers); last, what biases of FER+'s labels
give (`release.bias_corrected`), in ten folds.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.metrics import nll, softmax
from mien.train.calibrate import cross_fitted, fit_temperature
from mien.train.data import fer2013
from mien.train.data.loader import TensorData
from mien.train.network import averaged, load_run, renormed
from mien.train.teachers import load_teacher
from mien.train.validation import predict_logits

HEADS = ("fer2013", "ferplus")


def logits_of(what, images, training, norm_faces):
    """The logits of a file, or of the mean of runs, by head."""
    if not (Path(what.split("+")[0]) / "config.yaml").exists():
        return load_teacher(what).outputs(images)
    first, *others = what.split("+")
    run = load_run(Path(first))
    release = replace(run.config.release, average=tuple(others), norm_faces=norm_faces)
    run = renormed(averaged(run.with_release(release)), training)
    rows = replace(training, images=images, targets={}, names=("",) * len(images))
    return predict_logits(run.model, TensorData(rows, (), run.config.model.size, "cpu"))


def mean_answer(parts, images, training, norm_faces):
    """The logarithm of the mean probabilities of `parts`, of faces and mirror images, by head."""
    views = (images, np.ascontiguousarray(images[:, :, ::-1]))
    said = [logits_of(part, view, training, norm_faces) for part in parts for view in views]
    return {head: np.log(np.mean([softmax(s[head]) for s in said], axis=0)) for head in HEADS}


def told(logits, rows, fitted):
    """A line of figures; `fitted` says whether a temperature is."""
    right = logits["fer2013"].argmax(axis=1) == rows.targets["fer2013"].argmax(axis=1)
    line = f"{right.mean():.4f} ({right[::2].mean():.4f} {right[1::2].mean():.4f})"
    for head in HEADS:
        known = rows.labelled(head)
        own, truth = logits[head][known], rows.targets[head][known].argmax(axis=1)
        if head == "ferplus":
            line += f" | {np.mean(own.argmax(axis=1) == truth):.4f}"
        line += f" {nll(softmax(own, fit_temperature(own, truth) if fitted else 1.0), truth):.4f}"
    crossed = cross_fitted(own, truth, 10, biased=True)
    return f"{line} | {np.mean(crossed.argmax(axis=1) == truth):.4f} {nll(crossed, truth):.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+")
    parser.add_argument("--fer2013", type=Path, required=True)
    parser.add_argument("--norm-faces", type=int, default=6000)
    options = parser.parse_args()
    training, rows = fer2013.read(options.fer2013, ["Training", "PublicTest"])
    print(f"PublicTest, n = {len(rows)}, with FER+ majority {rows.labelled('ferplus').sum()}")
    print("FER2013 (even, odd rows) log loss | FER+ log loss | with biases, log loss | network")
    for what in options.what:
        parts = what.split(",")
        asked = (rows.images, training, options.norm_faces)
        many = len(parts) > 1
        logits = mean_answer(parts, *asked) if many else logits_of(what, *asked)
        print(f"{told(logits, rows, fitted=not many)} | {what}", flush=True)


if __name__ == "__main__":
    main()

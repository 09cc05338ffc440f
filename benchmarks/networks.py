"""PublicTest's figures of networks, of the mean of several runs' weights, and of several's answers.

    python benchmarks/networks.py --fer2013 DIR WHAT [WHAT ...]

WHAT is one of: a run folder, an exported file or the name of a bundled model; run folders with "+"
between them, the mean of whose weights is taken; any of these with "," between them, the mean of
whose probabilities, each for the face and for its mirror image, is what they would teach a student;
run folders with ":" between them that held out other folds of PublicTest, then perhaps "+" and
further runs: each face is answered by the one that held it out, in the mean of weights that would
be exported with its own in the place of all the other folds' (`release.folds`).
A run's BatchNorm has the statistics of 6,000 training faces as they are (`release.norm_faces`),
unless --norm-faces says another number; 0 leaves those of its training.

Told are the accuracy of FER2013's head with that of even and odd rows and that of faces which are
among Training's, too (`mien.train.data.leaks`; for a fold, among all that it was trained on), and
of all others; then of FER+'s head, each with its log loss after a temperature (none for mean
answers); last, what biases of FER+'s labels give (`release.bias_corrected`), in ten folds.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from mien.metrics import nll, softmax
from mien.train.calibrate import cross_fitted, fit_temperature
from mien.train.data import fer2013
from mien.train.data.leaks import find_leaks
from mien.train.data.loader import TensorData
from mien.train.data.rows import Rows
from mien.train.held import folds_of, held_out
from mien.train.network import averaged, load_run, renormed
from mien.train.run import read_splits
from mien.train.sections import ReleaseConfig
from mien.train.teachers import average, load_teacher
from mien.train.validation import predict_logits

HEADS = ("fer2013", "ferplus")


def network_of(what, training, norm_faces):
    """What answers crops with logits by head: a file, or the mean of runs."""
    first, *others = what.split("+")
    if not (Path(first) / "config.yaml").exists():
        return load_teacher(what).outputs
    run = load_run(Path(first))
    release = ReleaseConfig(average=tuple(others), norm_faces=norm_faces)
    model = renormed(averaged(run.with_release(release)), training).model

    def outputs(images):
        rows = Rows(images, {}, {}, ())
        return predict_logits(model, TensorData(rows, (), run.config.model.size, "cpu"))

    return outputs


def held_out_answers(what, rows, norm_faces, data):
    """By the fold that held each of `rows` out: its logits by head, and whether it knew a copy."""
    folds, *others = what.split("+")
    first, *folds = folds.split(":")
    run = load_run(Path(first))
    release = ReleaseConfig(folds=tuple(folds), average=tuple(others), norm_faces=norm_faces)
    parts = folds_of(run.with_release(release), *read_splits(run.config, data), data)[1]
    held = held_out(None, parts)
    seen = np.concatenate([leaked(part.seen, part.held) for part in parts])
    row_of = {name: row for row, name in enumerate(held.rows.names)}
    at = [row_of[name] for name in rows.names]
    return {head: part[at] for head, part in held.answers.items()}, seen[at]


def mean_answer(networks, images):
    """The logarithm of the mean probabilities of `networks`, of faces and mirror images."""
    views = (images, np.ascontiguousarray(images[:, :, ::-1]))
    said = [network(view) for network in networks for view in views]
    tensors = [{head: torch.from_numpy(part) for head, part in one.items()} for one in said]
    return {head: part.numpy() for head, part in average(tensors).items()}


def leaked(training, rows):
    """Which of `rows` (n,) are among the `training` faces, too."""
    found = {leak.name_b for leak in find_leaks(training, rows)}
    return np.array([name in found for name in rows.names])


def told(logits, rows, known, fitted):
    """A line of figures; `known` are faces of Training, `fitted` says whether a temperature is."""
    right = logits["fer2013"].argmax(axis=1) == rows.targets["fer2013"].argmax(axis=1)
    parts = (right[::2], right[1::2], right[known], right[~known])
    even, odd, old, new = (f"{part.mean():.4f}" if part.size else "-" for part in parts)
    line = f"{right.mean():.4f} ({even} {odd}; {old} {new})"
    for head in HEADS:
        voted = rows.labelled(head)
        own, truth = logits[head][voted], rows.targets[head][voted].argmax(axis=1)
        if head == "ferplus":
            line += f" | {np.mean(own.argmax(axis=1) == truth):.4f}"
        line += f" {nll(softmax(own, fit_temperature(own, truth) if fitted else 1.0), truth):.4f}"
    crossed = cross_fitted(own, truth, 10, biased=True)
    return f"{line} | {np.mean(crossed.argmax(axis=1) == truth):.4f} {nll(crossed, truth):.4f}"


def asked(text):
    """What the command line asks for: the options, Training and PublicTest; `text` is the help."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("what", nargs="+")
    parser.add_argument("--fer2013", type=Path, required=True)
    parser.add_argument("--norm-faces", type=int, default=6000)
    options = parser.parse_args()
    return options, *fer2013.read(options.fer2013, ["Training", "PublicTest"])


def main():
    options, training, rows = asked(__doc__)
    known, majority = leaked(training, rows), rows.labelled("ferplus").sum()
    print(
        f"PublicTest, n = {len(rows)}, {known.sum()} also in Training, {majority} with a majority"
    )
    print(
        "FER2013 (even, odd rows; also in Training, others) log loss | FER+ log loss | "
        "with biases, log loss | network"
    )
    for what in options.what:
        if ":" in what:
            logits, seen = held_out_answers(what, rows, options.norm_faces, options.fer2013)
            print(f"{told(logits, rows, seen, fitted=True)} | {what}", flush=True)
            continue
        networks = [network_of(w, training, options.norm_faces) for w in what.split(",")]
        many = len(networks) > 1
        logits = mean_answer(networks, rows.images) if many else networks[0](rows.images)
        print(f"{told(logits, rows, known, fitted=not many)} | {what}", flush=True)


if __name__ == "__main__":
    main()

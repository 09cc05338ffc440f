"""Model files of one network side by side on real faces: figures, differences, speed, size.

    python benchmarks/parity.py MODEL.onnx [MODEL-int8.onnx ...] --data data/fer2013 [--output FILE]

A Markdown table with a row a head and file. Differences are to the first file. Speeds are the best
of several rounds' medians, the files in turns. Processor time leaves out waiting for others,
though they empty the caches; the wall clock depends on them. How busy they were is told below.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

import mien
from mien.evaluate import measure_probabilities
from mien.labels import EIGHT
from mien.spec import ANSWER
from mien.train.data.fer2013 import read
from mien.train.data.rows import AFFECT
from mien.train.fitting import answer_truth
from mien.train.parity import differences, measure_speed, probabilities_of

FIGURES = (
    *("file", "head", "n", "accuracy (95 % interval)", "macro F1", "ECE", "NLL"),
    *("same label as the first file", "largest difference of a probability"),
)
SPEEDS = (
    *("file", "batch 1, 1 thread, processor time", "batch 64, 1 thread, processor time a face"),
    *("batch 64, 2 threads, by the wall clock", "bytes"),
)


def truths(rows):
    """By head, the rows that have a label, and their classes; "answer" stands for the default."""
    told = {}
    for head in rows.targets:
        known = np.flatnonzero(rows.labelled(head))
        told[head] = (known, rows.targets[head][known].argmax(axis=1), rows.labels[head])
    classes, known = answer_truth(rows)
    return {**told, ANSWER: (known, classes, EIGHT)}


def figures(name, probabilities, first, truth):
    """A row a head that `truth` has labels for, or that is not of classes."""
    apart = differences(first, probabilities)
    for head, found in probabilities.items():
        cells = [""] * 5
        if head in truth and head != AFFECT:
            known, classes, labels = truth[head]
            report = measure_probabilities(found[known], classes, labels)
            low, high = report.accuracy_interval
            interval = f"{report.accuracy:.4f} ({low:.3f} to {high:.3f})"
            cells = [
                str(report.n),
                interval,
                *(f"{v:.4f}" for v in (report.macro_f1, report.ece, report.nll)),
            ]
        same = "" if head == AFFECT else f"{apart[head].agreement:.4f}"
        yield [name, head, *cells, same, f"{apart[head].largest:.5f}"]


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def processor_time():
    """Seconds that all processors of the machine have been busy, and this process's; Linux only."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    ticks = [int(field) for field in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK"), time.process_time(), time.monotonic()


def machine(before, after):
    """What the speeds were measured on, and how busy it was."""
    cores = os.cpu_count()
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    told = f"Speeds: {cores} cores, {mine} of them open to this process"
    if before and after:
        busy, own, wall = (b - a for a, b in zip(before, after, strict=True))
        told += f"; meanwhile other programs used {max(0.0, busy - own) / wall:.1f} cores"
    return told + "."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder of FER2013")
    parser.add_argument("--split", default="PublicTest")
    parser.add_argument("--limit", type=int, help="the first so many faces only")
    parser.add_argument("--output", type=Path, help="write the tables there, not to stdout")
    options = parser.parse_args()
    rows = read(options.data, [options.split])[0]
    rows = rows.head(options.limit) if options.limit else rows
    told = [probabilities_of(mien.load_classifier(m), rows.images) for m in options.models]
    truth = truths(rows)
    lines = [
        row
        for path, found in zip(options.models, told, strict=True)
        for row in figures(path.name, found, told[0], truth)
    ]
    before = processor_time()
    speeds = measure_speed(options.models, rows.images[:64])
    after = processor_time()
    fast = [
        [
            path.name,
            f"{s.batch1_ms:.2f} ms",
            f"{s.batch64_ms:.2f} ms",
            f"{s.batch64_faces_per_s:,.0f} faces/s",
            f"{path.stat().st_size:,}",
        ]
        for path, s in zip(options.models, speeds, strict=True)
    ]
    text = f"FER2013 {options.split}, {len(rows)} faces, crops as they come.\n\n"
    text += f"{table(FIGURES, lines)}\n{table(SPEEDS, fast)}\n{machine(before, after)}\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()

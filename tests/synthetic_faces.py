"""A small FER2013 folder whose classes can be told apart: a bright bar, at a height of its own."""

import gzip

import numpy as np
from PIL import Image

from mien.labels import EIGHT, FER2013_CODES, SEVEN

SIDE = 48
SPLITS = ("Training", "PublicTest", "PrivateTest")
COLUMNS = ("emotion", "pixels", "Usage")
VOTES_HEADER = ("Usage", "Image name", *EIGHT, "unknown", "NF")

RECIPE = """
model: {name: tian2022_a, size: 16}
optim: {lr: 0.1, warmup: 0.5, ema: 0.9}
augment: {flip: 0.5, rotate: 0.0, shift: 0.02, scale: 0.0}
epochs: 2
batch: 12
threads: 1
release: {name: bars, licence: CC0-1.0, training_data: [bars (CC0-1.0)]}
"""


def face(label, seed=0):
    """A dim noisy picture (48, 48) with a bar whose height stands for `label`."""
    picture = np.random.default_rng(seed).integers(20, 60, (SIDE, SIDE))
    top = 3 + 6 * SEVEN.index(label)
    picture[top : top + 6, 8:40] += 150
    return picture.astype(np.uint8)


def labels_of(n):
    """The labels of the first `n` faces: the seven in turn."""
    return [SEVEN[i % len(SEVEN)] for i in range(n)]


def faces(n, seed=0):
    """Pictures (n, 48, 48) of `labels_of(n)`."""
    return np.stack([face(label, seed + i) for i, label in enumerate(labels_of(n))])


def votes_for(label):
    """Seven votes for `label` and three for the next of the eight."""
    votes = [0] * 10
    votes[EIGHT.index(label)], votes[EIGHT.index(label) + 1] = 7, 3
    return votes


def csv_rows(n=60, splits=SPLITS):
    """Rows of ``fer2013.csv``: the code in FER2013's numbering, the pixels, the split."""
    rows = []
    for part, split in enumerate(splits):
        for label, picture in zip(labels_of(n), faces(n, 1000 * part), strict=True):
            code = FER2013_CODES.index(label)
            rows.append([str(code), " ".join(map(str, picture.ravel())), split])
    return rows


def votes_rows(n=60, splits=SPLITS):
    """The rows of ``fer2013new.csv`` beside them."""
    rows = []
    for split in splits:
        for i, label in enumerate(labels_of(n)):
            rows.append([split, f"fer{i:07d}.png", *map(str, votes_for(label))])
    return rows


def write_csv(path, rows, header=COLUMNS):
    """Write `rows`, gzipped if the name ends so."""
    text = "".join(",".join(cells) + "\n" for cells in (header, *rows))
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_fer2013(folder, n=60, splits=SPLITS):
    """Write ``fer2013.csv`` and ``fer2013new.csv`` with `n` faces a split; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "fer2013.csv", csv_rows(n, splits))
    write_csv(folder / "fer2013new.csv", votes_rows(n, splits), VOTES_HEADER)
    return folder


def write_folders(folder, names, n=14, seed=0):
    """Write ``folder/<name>/<i>.png`` of `n` faces; `names` spells each of the seven labels."""
    for i, (label, picture) in enumerate(zip(labels_of(n), faces(n, seed), strict=True)):
        path = folder / names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


def write_recipe(path, extra=""):
    """Write `RECIPE`, followed by the lines `extra`."""
    path.write_text(RECIPE + extra)
    return path

"""Tables and recordings of people who are not there: what a video analysis writes."""

import csv

import numpy as np

from mien.labels import EIGHT
from mien.report.series import Person, Recording, frame_lengths
from mien.report.table import VIDEO_COLUMNS


def one_hot(code, top=0.86):
    """Probabilities (8,) with `top` for the label number `code`, the rest shared."""
    row = np.full(8, (1 - top) / 7)
    row[code] = top
    return row


def row(frame, t, face_id=None, label=None, status="ok", top=0.86, **more):
    """A table row: a face with one leading label, or a frame without a face where that is None."""
    cells = dict.fromkeys(VIDEO_COLUMNS, "")
    cells |= {"source": "clip.mp4", "frame": frame, "t_sec": t, "status": status}
    cells |= {"model": "tiny", "schema": 1}
    if label is not None:
        shares = one_hot(EIGHT.index(label), top)
        cells |= dict(zip(EIGHT, (round(float(p), 4) for p in shares), strict=True))
        cells |= {"face_id": face_id, "expression": label, "probability": top, "face_score": 0.9}
        cells |= {"box_x0": 10, "box_y0": 20, "box_x1": 60, "box_y1": 80}
    return cells | more


def write_csv(path, rows, columns=VIDEO_COLUMNS):
    """The rows as the CSV table of a video."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def small_rows():
    """Ten frames at 10 per second. Face 1: happiness on 0-3, gone on 4 and 5, anger on 6-9, of
    which 7 is bridged. Face 2: neutral on 0-1 and 8-9."""
    rows = []
    for frame in range(10):
        t = frame / 10
        if frame < 4:
            rows.append(row(frame, t, 1, "happiness"))
        elif frame > 5:
            rows.append(row(frame, t, 1, "anger", "bridged" if frame == 7 else "ok"))
        if frame in (0, 1, 8, 9):
            rows.append(row(frame, t, 2, "neutral"))
        if frame in (4, 5):
            rows.append(row(frame, t, status="no_face"))
    return rows


def crowd_of(people=3, seconds=300.0, fps=30.0, *, affect=True, seed=0, source="meeting.mp4"):
    """A long recording: people come and go, change expression, and some moments are bridged."""
    random = np.random.default_rng(seed)
    count = int(seconds * fps)
    t = np.arange(count) / fps
    persons = []
    for face_id in range(people):
        there = np.ones(count, bool)
        for start in random.uniform(0, seconds, 4):
            there[(t > start) & (t < start + seconds / 20)] = False
        frame = np.flatnonzero(there)
        pieces = random.integers(0, 8, int(seconds / 4) + 2)
        code = pieces[(t[frame] // 4).astype(int)]
        raw = np.full((len(frame), 8), 0.03)
        raw[np.arange(len(frame)), code] = 0.5
        raw = raw * random.uniform(0.5, 1.5, raw.shape)
        raw /= raw.sum(axis=1, keepdims=True)
        kernel = np.ones(15) / 15
        smooth = np.stack([np.convolve(p, kernel, "same") for p in raw.T], axis=1)
        smooth /= smooth.sum(axis=1, keepdims=True)
        phase = t[frame] / 20 + face_id
        persons.append(
            Person(
                face_id,
                t[frame],
                frame,
                raw,
                smooth,
                smooth.argmax(axis=1),
                (t[frame] % 30) < 0.4,
                np.tile([10.0, 20.0, 60.0, 80.0], (len(frame), 1)),
                0.6 * np.sin(phase) if affect else None,
                0.5 * np.cos(1.7 * phase) if affect else None,
            )
        )
    return Recording(source, "tiny", np.arange(count), t, tuple(persons), (), frame_lengths(t))

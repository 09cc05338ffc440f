"""CK+ (Lucey et al. 2010) in the three forms people have: head ``ckplus``.

- The original release: ``cohn-kanade-images/S005/001/S005_001_00000011.png`` and one number in
  ``Emotion/S005/001/S005_001_00000011_emotion.txt`` for 327 of the 593 sequences. Its frames show
  the whole head and shoulders, so the faces are cut out here.
- CK+48: ``<class>/S010_004_00000017.png``, the last three frames of each labelled sequence as
  48x48 grey crops, 981 of 118 subjects. It has contempt and no neutral.
- ``ckextended.csv``: FER2013's columns, 0-5 as there, 6 neutral, 7 contempt. It does not tell the
  subjects, so it cannot be split by subject, and neither are its own Usage splits.

Labels are mapped by name; the numbers of the three forms differ. There are no official splits: see
`mien.train.data.splits` for the names that can be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UnreadableError, UsageError
from mien.faces.crop import CURRENT, RECIPES, resize
from mien.faces.detect import load_detector
from mien.labels import ALIASES, EIGHT, FER2013_CODES
from mien.train.data import fer2013
from mien.train.data.pictures import Locate, landmark_box, read_crops
from mien.train.data.rows import Rows, one_hot
from mien.train.data.splits import choose
from mien.types import Floats, Frame, Image

HEAD = "ckplus"
#: What the numbers 0-7 in the original release's Emotion files mean [found].
CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
#: What the numbers 0-7 in ckextended.csv mean [found].
EXTENDED_CODES = (*FER2013_CODES, "contempt")

Crop = Literal["detect", "landmarks", "whole"]

_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})\.png", re.IGNORECASE)


@dataclass(frozen=True)
class _Found:
    """What is known of the pictures of one form before they are read."""

    paths: list[Path]
    labels: list[str]


def read(
    root: Path,
    splits: Sequence[str],
    *,
    size: int = 48,
    colour: bool = False,
    neutral: bool = False,
    contempt: bool = True,
    frames: int = 3,
    crop: Crop = "detect",
) -> list[Rows]:
    """Read the `splits` of CK+ under `root`: `Rows` with the head ``ckplus``.

    The head's labels are `mien.labels.EIGHT` without what `neutral` and `contempt` leave out:
    CK+48 as it is has seven, with contempt; six and neutral are Yu's classes.

    Args:
        root: the folder with ``cohn-kanade-images`` and ``Emotion``, or with CK+48's class
            folders, or with ``ckextended.csv`` (or that file).
        splits: "all", "test-3/10", "train-3/10" and so on (`mien.train.data.splits`); of
            ``ckextended.csv`` also "Training", "PublicTest", "PrivateTest".
        size: side of the crops in pixels.
        colour: RGB; otherwise grey. Most of CK+ is grey.
        neutral: take neutral faces in, too: the first frame of each labelled sequence of the
            original release, or the neutral rows of ``ckextended.csv``. CK+48 has none.
        contempt: whether contempt is a class, or its faces are left out.
        frames: how many of a sequence's last frames are taken, in the original release.
        crop: how faces are cut from the original frames: by the best face a detector finds, by
            the files in ``Landmarks`` (EmoNet's square), or not at all. The other forms are crops.

    Raises:
        DataError: none of the forms, files that are missing or cannot be read, no such split.
        UsageError: an option that is none, or neutral faces of CK+48.
    """
    if frames < 1:
        raise UsageError(f"frames is {frames}; it must be 1 or more")
    if crop not in get_args(Crop):
        raise UsageError(f"crop is {crop!r}; CK+ is cropped by {', '.join(get_args(Crop))}")
    names = tuple(k for k in EIGHT if (neutral or k != "neutral") and (contempt or k != "contempt"))
    path = root if root.is_file() else root / "ckextended.csv"
    if path.is_file():
        rows, usage = _extended(path, size, colour, names)
        return [_of_usage(path, rows, usage, split) for split in splits]
    if (root / "cohn-kanade-images").is_dir():
        whole = _original(root, size, colour, names, frames, crop)
    else:
        whole = _small(root, size, colour, names)
    return [choose(whole, split, HEAD) for split in splits]


def _small(root: Path, size: int, colour: bool, names: tuple[str, ...]) -> Rows:
    """CK+48."""
    home = root / "CK+48" if (root / "CK+48").is_dir() else root
    folders = _class_folders(home)
    if len(folders) != len(EIGHT) - 1:
        raise DataError(
            f"{home}: expected cohn-kanade-images and Emotion there, or ckextended.csv, or CK+48's "
            f"seven folders anger, contempt, ...; found of these {', '.join(folders) or 'none'}"
        )
    if "neutral" in names:
        raise UsageError(f"{home}: CK+48 has no neutral faces; leave `neutral` off")
    found = _Found([], [])
    for label, folder in folders.items():
        inside = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
        if strange := [p for p in inside if not _FRAME.fullmatch(p.name)]:
            raise DataError(f"{strange[0]}: expected names such as S010_004_00000017.png there")
        if not inside:
            raise DataError(f"{folder}: no pictures; CK+48 has some of each class")
        found.paths.extend(inside)
        found.labels.extend([label] * len(inside))
    return _rows(home, found, names, size, colour, None)


def _class_folders(root: Path) -> dict[str, Path]:
    """CK+48's folders by label, however they are spelled."""
    inside = sorted(root.iterdir()) if root.is_dir() else []
    words = {p.name.strip().lower(): p for p in inside if p.is_dir()}
    labels = {ALIASES.get(word, word): p for word, p in words.items()}
    return {label: labels[label] for label in EIGHT if label in labels and label != "neutral"}


def _original(
    root: Path, size: int, colour: bool, names: tuple[str, ...], frames: int, crop: Crop
) -> Rows:
    """The original release."""
    files = sorted((root / "Emotion").glob("*/*/*_emotion.txt"))
    if not files:
        raise DataError(f"{root}: expected Emotion/S005/001/S005_001_00000011_emotion.txt there")
    found = _Found([], [])
    for file in files:
        label = _label(file)
        folder = root / "cohn-kanade-images" / file.parent.relative_to(root / "Emotion")
        sequence = sorted(p for p in folder.glob("S*.png") if _FRAME.fullmatch(p.name))
        if len(sequence) < frames + ("neutral" in names):
            raise DataError(f"{folder}: {len(sequence)} frames are too few for {file}")
        found.paths.extend([sequence[0], *sequence[-frames:]])
        found.labels.extend(["neutral", *[label] * frames])
    return _rows(root, found, names, size, colour, crop)


def _label(file: Path) -> str:
    text = file.read_text(encoding="ascii", errors="replace").strip()
    try:
        code = float(text)
    except ValueError:
        code = -1
    if code not in range(len(CODES)):
        raise DataError(f"{file}, line 1: {text!r} is no emotion; expected a number 0 to 7")
    return CODES[int(code)]


def _rows(
    root: Path, found: _Found, names: tuple[str, ...], size: int, colour: bool, crop: Crop | None
) -> Rows:
    """The pictures of the wanted classes, read; `crop` is None where they are crops."""
    kept = [i for i, label in enumerate(found.labels) if label in names]
    paths = [found.paths[i] for i in kept]
    boxes: Floats | Locate | None = None
    recipe = RECIPES["whole-v1"]
    if crop == "detect":
        boxes, recipe = _detector(), RECIPES[CURRENT]
    elif crop == "landmarks":
        boxes = np.array([_landmarks(root, path) for path in paths], np.float32)
    images = read_crops(root, paths, size, colour=colour, boxes=boxes, recipe=recipe)
    codes = np.array([names.index(found.labels[i]) for i in kept], np.intp)
    return Rows(
        images,
        {HEAD: one_hot(codes, len(names))},
        {HEAD: names},
        tuple(p.relative_to(root).as_posix() for p in paths),
        tuple(p.name[:4].upper() for p in paths),
    )


def _detector() -> Locate:
    find = load_detector("auto", max_faces=1)

    def locate(frame: Frame) -> Floats:
        faces = find(frame.rgb)
        if not len(faces):
            raise UnreadableError(frame.source, "no face was found; crop: whole or landmarks")
        return np.asarray(faces.boxes[0] / frame.scale, np.float32)

    return locate


def _landmarks(root: Path, picture: Path) -> Floats:
    """The box of the 68 points in ``Landmarks/S005/001/S005_001_00000011_landmarks.txt``."""
    inside = picture.relative_to(root / "cohn-kanade-images")
    path = root / "Landmarks" / inside.parent / f"{inside.stem}_landmarks.txt"
    if not path.is_file():
        raise DataError(f"{path}: no such file; crop: landmarks needs one for every frame")
    try:
        values = np.array(path.read_text(encoding="ascii").split(), np.float64)
    except ValueError as error:
        raise DataError(f"{path}: not a list of points ({error})") from error
    if values.shape != (136,):
        raise DataError(f"{path}: {values.size} numbers, expected 68 points of two")
    return landmark_box(values.reshape(68, 2).astype(np.float32))


def _of_usage(path: Path, rows: Rows, usage: NDArray[np.str_], split: str) -> Rows:
    if split not in fer2013.SPLITS:
        return choose(rows, split, HEAD)
    if split not in usage:
        raise DataError(f"{path}: no rows of the split {split!r} and the wanted classes")
    return rows.take(usage == split)


def _extended(
    path: Path, size: int, colour: bool, names: tuple[str, ...]
) -> tuple[Rows, NDArray[np.str_]]:
    """``ckextended.csv``, and the Usage of each row."""
    images, labels, usage = [], [], []
    for line, emotion, pixels, part in fer2013.records(path):
        if emotion not in ("0", "1", "2", "3", "4", "5", "6", "7"):
            raise DataError(f"{path}, line {line}: emotion is {emotion!r}, expected 0-7")
        images.append(fer2013.read_pixels(path, line, pixels))
        labels.append(EXTENDED_CODES[int(emotion)])
        usage.append(part)
    kept = np.flatnonzero([label in names for label in labels])
    if not len(kept):
        raise DataError(f"{path}: no rows of the classes {', '.join(names)}")
    codes = np.array([names.index(labels[i]) for i in kept], np.intp)
    faces = _coloured(resize(np.stack(images)[kept], size), colour)
    told = tuple(f"row {i}" for i in kept)
    rows = Rows(faces, {HEAD: one_hot(codes, len(names))}, {HEAD: names}, told)
    return rows, np.array(usage)[kept]


def _coloured(faces: Image, colour: bool) -> Image:
    return np.repeat(faces[..., None], 3, axis=3) if colour else faces

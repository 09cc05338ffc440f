"""AffectNet (Mollahosseini et al. 2017) in both forms: heads ``affectnet`` and ``affect``.

- The small form: ``{train_set,val_set}/images/N.jpg``, 224x224 aligned, and
  ``annotations/N_{exp,val,aro,lnd}.npy``. The first three are 0-d arrays of Unicode strings, the
  last the 68 landmarks, x and y in turn [inferred: computed on a copy].
- The first form: ``Manually_Annotated_file_lists/{training,validation}.csv`` [found] with the
  pictures under ``Manually_Annotated_Images``.

Expressions 0-7 are mapped by name; 8 none, 9 uncertain and 10 no face are left out. A valence or
arousal of -2 means that it is undefined [inferred: recalled]. Papers report on the validation set,
there are no public test labels.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.faces.crop import CURRENT, RECIPES
from mien.labels import EIGHT, SEVEN
from mien.train.data.pictures import landmark_box, read_crops, read_found
from mien.train.data.rows import AFFECT, AFFECT_LABELS, Rows, one_hot
from mien.train.data.splits import check_fold
from mien.train.data.tables import csv_rows
from mien.types import Floats, Image

HEAD = "affectnet"
#: What the numbers 0-7 mean [found].
CODES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
#: The splits by every name they have: the small form's folder, the first form's list.
SPLITS = {
    **dict.fromkeys(("train", "training", "train_set"), ("train_set", "training.csv")),
    **dict.fromkeys(("validation", "val", "val_set"), ("val_set", "validation.csv")),
}

Crop = Literal["whole", "landmarks", "box", "detect"]

LOG = logging.getLogger("mien.train")

_LAST_CODE = 10  # those that `CODES` does not name are no expressions
_UNDEFINED = -2.0
_POINTS = 68


@dataclass(frozen=True)
class Annotation:
    """What AffectNet says of one picture."""

    path: Path
    code: int
    """0-10; `CODES` names the first eight, the others are no expressions."""
    valence: float
    """-1 to 1, or NaN where it is undefined."""
    arousal: float
    landmarks: Floats
    """(68, 2) in pixels of the picture."""
    box: Floats | None
    """(4,) the face's x0 y0 x1 y1; the small form has none."""


@dataclass(frozen=True)
class _Wanted:
    """What `read` was asked for."""

    size: int
    colour: bool
    crop: Crop
    detector: str
    labels: tuple[str, ...]
    clean: bool
    held_out: int
    fold: int


def read(
    root: Path,
    splits: Sequence[str],
    *,
    size: int = 224,
    colour: bool = False,
    crop: Crop = "whole",
    detector: str = "auto",
    classes: int = 8,
    clean: bool = False,
    held_out: int = 0,
    fold: int = 0,
) -> list[Rows]:
    """Read the `splits` of AffectNet under `root`.

    The rows' head ``affectnet`` has the labels of `mien.labels.EIGHT` (or `SEVEN`), their head
    ``affect`` valence and arousal (n, 2), NaN where undefined.

    Args:
        root: the folder with ``train_set`` and ``val_set``, or with the first form's lists.
        splits: keys of `SPLITS`, such as "train" and "validation".
        size: side of the crops in pixels.
        colour: RGB; otherwise grey.
        crop: the whole picture, EmoNet's square around the landmarks, the first form's box, or
            "detect": the best face that `detector` finds, cut as at run time. A picture without a
            face is left out then, and their number is logged.
        detector: what "detect" uses; see `mien.faces.detect.load_detector`.
        classes: 8, or 7 to leave contempt out.
        clean: keep only faces whose expression and valence and arousal agree (`agrees`).
        held_out: for copies without the training set: both splits are then made of val_set's
            pictures. By number, every so-manieth is "validation", and the others are "train".
            0 leaves the splits as they are.
        fold: which of them that is, from 0, the first, to held_out - 1: for cross-validation.

    Raises:
        DataError: no such folders, files that are missing or cannot be read, no such split.
        UsageError: an option that is none, or boxes of the small form.
    """
    if classes not in (7, 8):
        raise UsageError(f"classes is {classes}; AffectNet is read with 8, or 7 without contempt")
    if crop not in get_args(Crop):
        raise UsageError(f"crop is {crop!r}; AffectNet is cropped by {', '.join(get_args(Crop))}")
    check_fold(held_out, fold)
    labels = EIGHT if classes == len(EIGHT) else SEVEN
    wanted = _Wanted(size, colour, crop, detector, labels, clean, held_out, fold)
    return [_read(root, split, wanted) for split in splits]


def _read(root: Path, split: str, wanted: _Wanted) -> Rows:
    faces = [
        a
        for a in _part(root, split, wanted.held_out, wanted.fold)
        if CODES[a.code] in wanted.labels
    ]
    if wanted.clean:
        affect = np.array([(a.valence, a.arousal) for a in faces], np.float32).reshape(-1, 2)
        kept = agrees(affect, np.array([CODES[a.code] for a in faces], np.str_))
        faces = [faces[i] for i in np.flatnonzero(kept)]
    if not faces:
        raise DataError(f"{root}: no faces of the wanted expressions in the split {split!r}")
    images, faces = _images(root, faces, wanted)
    codes = np.array([wanted.labels.index(CODES[a.code]) for a in faces], np.intp)
    affect = np.array([(a.valence, a.arousal) for a in faces], np.float32).reshape(-1, 2)
    return Rows(
        images,
        {HEAD: one_hot(codes, len(wanted.labels)), AFFECT: affect},
        {HEAD: wanted.labels, AFFECT: AFFECT_LABELS},
        tuple(a.path.relative_to(root).as_posix() for a in faces),
    )


def _part(root: Path, split: str, held_out: int, fold: int) -> list[Annotation]:
    """The faces of a split that have one of the eight expressions."""
    source = "validation" if held_out and split in SPLITS else split
    faces = [a for a in list_faces(root, source) if a.code < len(CODES)]
    if not held_out:
        return faces
    held = SPLITS[split] == SPLITS["validation"]
    return [a for i, a in enumerate(faces) if (i % held_out == fold) == held]


def _images(root: Path, faces: list[Annotation], wanted: _Wanted) -> tuple[Image, list[Annotation]]:
    """The crops, and whose they are: "detect" does not find every face."""
    paths, size, colour = [a.path for a in faces], wanted.size, wanted.colour
    if wanted.crop != "detect":
        crop = wanted.crop
        boxes = None if crop == "whole" else np.stack([_box(a, crop) for a in faces])
        return read_crops(root, paths, size, colour=colour, boxes=boxes), faces
    images, found = read_found(
        root, paths, size, colour=colour, detector=wanted.detector, recipe=RECIPES[CURRENT]
    )
    if not found.all():
        n = int((~found).sum())
        LOG.warning("%s: no face found in %d of %d pictures, left out", root, n, len(faces))
    return images, [faces[i] for i in np.flatnonzero(found)]


def agrees(affect: Floats, labels: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which faces keep to EmoNet's rule on their expression and where it lies [found: emonet].

    With r the distance from the origin: neutral r < 0.2; happiness v > 0; sadness and contempt
    v < 0; surprise and anger a > 0; fear v <= 0 and a >= 0, all with r > 0.2; disgust v < 0 with
    r > 0.3. A face whose valence or arousal is undefined is not kept. EmoNet's authors also took
    faces out by hand, with flags that are not public, so their test set is smaller.

    Args:
        affect: valence and arousal (n, 2).
        labels: the expressions (n,), by name.
    """
    v, a = affect.T
    r = np.hypot(v, a)
    far = r > np.where(labels == "disgust", 0.3, 0.2)
    rules = {
        "neutral": r < 0.2,
        "happiness": far & (v > 0),
        "sadness": far & (v < 0),
        "contempt": far & (v < 0),
        "surprise": far & (a > 0),
        "anger": far & (a > 0),
        "fear": far & (v <= 0) & (a >= 0),
        "disgust": far & (v < 0),
    }
    kept = np.zeros(len(labels), bool)
    for label, rule in rules.items():
        kept |= (labels == label) & rule
    return kept


def list_faces(root: Path, split: str) -> list[Annotation]:
    """What AffectNet says of the pictures of a split, in either form, without opening any.

    The first form's rows without an expression are left out.

    Raises:
        DataError: no such split, none of the forms, or an annotation that is not as it should be.
    """
    if split not in SPLITS:
        raise DataError(f"AffectNet has no split {split!r}; it has {', '.join(SPLITS)}")
    folder, name = SPLITS[split]
    if (root / folder).is_dir():
        return _small(root / folder)
    for path in (root / "Manually_Annotated_file_lists" / name, root / name):
        if path.is_file():
            return list(_listed(root, path))
    raise DataError(
        f"{root}: expected {folder}/images and {folder}/annotations there, or "
        f"Manually_Annotated_file_lists/{name} and Manually_Annotated_Images"
    )


def _small(folder: Path) -> list[Annotation]:
    pictures = {p.stem: p for p in (folder / "images").glob("*.jpg") if p.name[0] != "."}
    told = {p.name[:-8] for p in (folder / "annotations").glob("*_exp.npy") if p.name[0] != "."}
    if not pictures or not told:
        raise DataError(
            f"{folder}: expected images/0.jpg and annotations/0_exp.npy and so on there"
        )
    if lone := pictures.keys() ^ told:
        names = ", ".join(sorted(lone, key=_number)[:5])
        raise DataError(
            f"{folder}: {len(lone)} numbers have a picture or a N_exp.npy, but not both: {names}"
        )
    return [_annotation(folder, pictures[stem]) for stem in sorted(pictures, key=_number)]


def _number(stem: str) -> tuple[int, str]:
    return (int(stem) if stem.isdigit() else -1, stem)


def _annotation(folder: Path, picture: Path) -> Annotation:
    def array(kind: str) -> NDArray[np.generic]:
        path = folder / "annotations" / f"{picture.stem}_{kind}.npy"
        try:
            loaded: NDArray[np.generic] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read as a NumPy array ({error})") from error
        return loaded

    where = f"{folder / 'annotations'}, those of {picture.name}"
    return Annotation(
        picture,
        _code(_parse(str(array("exp")), where), where),
        _affect(str(array("val")), where),
        _affect(str(array("aro")), where),
        _points(array("lnd"), where),
        None,
    )


def _listed(root: Path, path: Path) -> Iterable[Annotation]:
    """The rows of one of the first form's lists."""
    rows = csv_rows(path)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    if missing := [name for name in COLUMNS if name not in header]:
        raise DataError(f"{path}: expected a header with the columns {', '.join(missing)}")
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise DataError(f"{where}: {len(cells)} columns, expected {len(header)}")
        row = dict(zip(header, cells, strict=True))
        code = _code(_parse(row["expression"], where), where)
        if code >= len(CODES):
            continue
        x, y, w, h = (_parse(row[name], where) for name in COLUMNS[1:5])
        yield Annotation(
            root / "Manually_Annotated_Images" / row["subDirectory_filePath"],
            code,
            _affect(row["valence"], where),
            _affect(row["arousal"], where),
            _points(row["facial_landmarks"].split(";"), where),
            np.array([x, y, x + w, y + h], np.float32),
        )


def _parse(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {text!r} is not a number")
    return value


def _code(number: float, where: str) -> int:
    if number not in range(_LAST_CODE + 1):
        raise DataError(f"{where}: expression is {number:g}, expected 0-10")
    return int(number)


def _affect(text: str, where: str) -> float:
    value = _parse(text, where)
    if value != _UNDEFINED and not -1 <= value <= 1:
        raise DataError(f"{where}: {value:g} is no valence or arousal; expected -1 to 1, or -2")
    return float("nan") if value == _UNDEFINED else value


def _points(values: NDArray[np.generic] | list[str], where: str) -> Floats:
    try:
        points = np.asarray(values, np.float32)
    except ValueError as error:
        raise DataError(f"{where}: the landmarks are not numbers ({error})") from error
    if points.size != 2 * _POINTS or not np.isfinite(points).all():
        raise DataError(f"{where}: {points.size} numbers in the landmarks, expected {2 * _POINTS}")
    return points.reshape(_POINTS, 2)


def _box(face: Annotation, crop: Crop) -> Floats:
    if crop == "landmarks":
        return landmark_box(face.landmarks)
    if face.box is None:
        raise UsageError("this form of AffectNet has no face boxes; crop: whole or landmarks")
    half = (face.box[2:] - face.box[:2]).max() / 2
    centre = (face.box[:2] + face.box[2:]) / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)

"""Any folder of folders, one per person: head ``identity``, to pre-train on before expressions.

Face identification is what large face networks are usually pre-trained for (VGGFace2's 8,631
people, say); ``init`` then gives another run the weights, without this head. Each person's pictures
are divided among the splits "train" and "validation", so both have the same people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError, UsageError
from mien.io.sources import PHOTO_SUFFIXES
from mien.train.data.pictures import read_crops
from mien.train.data.rows import Rows, one_hot

HEAD = "identity"
SPLITS = ("train", "validation")


def read(
    root: Path,
    splits: Sequence[str],
    *,
    size: int = 48,
    colour: bool = False,
    part: float = 0.1,
    at_least: int = 2,
) -> list[Rows]:
    """Read the `splits` of ``root/<person>/*.jpg``: `Rows` with the head ``identity``.

    Its labels are the names of the folders, sorted. The pictures are taken to be crops of faces;
    wide ones are cut to a centred square. Everything is held in memory, with (n, people) targets.

    Args:
        root: the folder with a folder per person.
        splits: "train" or "validation".
        size: side of the crops in pixels.
        colour: RGB; otherwise grey.
        part: of each person's pictures, about this part is for validation, at least one.
            Which ones is told by their names alone, so the same folder is always split alike.
        at_least: people with fewer pictures are left out.

    Raises:
        DataError: no such folder, too few people, pictures that cannot be read.
        UsageError: another split, or a part that is not between 0 and 1.
    """
    if not 0 < part < 1 or at_least < 2:
        raise UsageError("data.options: part must be between 0 and 1, at_least 2 or more")
    for split in splits:
        if split not in SPLITS:
            raise UsageError(
                f"identities have no split {split!r}; set data.train to train and "
                "data.validation to validation"
            )
    people = find_people(root, at_least)
    return [_read(root, split, people, size, colour, part) for split in splits]


def find_people(root: Path, at_least: int) -> dict[str, list[Path]]:
    """The pictures, sorted, of each folder in `root` that has so many of them, by its name.

    Raises:
        DataError: no such folder, or fewer than two people.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected {root}/<person>/*.jpg")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = {folder.name: _pictures(folder) for folder in folders}
    people = {name: pictures for name, pictures in found.items() if len(pictures) >= at_least}
    if len(people) < 2:
        raise DataError(
            f"{root}: {len(people)} of {len(found)} folders hold {at_least} pictures or more; "
            f"expected two or more people, {root}/<person>/*.jpg"
        )
    return people


def held_out(pictures: Sequence[Path], part: float) -> list[bool]:
    """Which of one person's pictures are for validation: those whose names hash lowest."""
    hashes = [hashlib.sha256(path.name.encode()).hexdigest() for path in pictures]
    n = min(max(1, round(part * len(pictures))), len(pictures) - 1)
    lowest = set(sorted(range(len(pictures)), key=hashes.__getitem__)[:n])
    return [i in lowest for i in range(len(pictures))]


def _read(
    root: Path, split: str, people: dict[str, list[Path]], size: int, colour: bool, part: float
) -> Rows:
    paths: list[Path] = []
    codes: list[int] = []
    for code, pictures in enumerate(people.values()):
        for path, held in zip(pictures, held_out(pictures, part), strict=True):
            if held == (split == "validation"):
                paths.append(path)
                codes.append(code)
    names = tuple(people)
    return Rows(
        read_crops(root, paths, size, colour=colour),
        {HEAD: one_hot(np.array(codes, np.intp), len(names))},
        {HEAD: names},
        tuple(path.relative_to(root).as_posix() for path in paths),
        tuple(names[code] for code in codes),
    )


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith(".")
    )

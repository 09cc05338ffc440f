"""RAF-DB, the basic set (Li et al. 2017): head ``rafdb``, seven classes.

``EmoLabel/list_patition_label.txt`` (so it is spelled) has lines such as ``train_00001.jpg 5``;
the picture is ``Image/aligned/train_00001_aligned.jpg``, 100x100 RGB [found]. 12,271 faces are
for training, 3,068 for testing [found]. Folder copies numbered 0-6 follow other sets' orders and
are not read: name their folders by expression and use the reader ``folder``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import SEVEN
from mien.train.data.pictures import read_crops
from mien.train.data.rows import Rows, one_hot

HEAD = "rafdb"
SPLITS = ("train", "test")
#: What the numbers 1-7 mean [found].
CODES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
LIST = Path("EmoLabel", "list_patition_label.txt")
ALIGNED = Path("Image", "aligned")


def read(root: Path, splits: Sequence[str], *, size: int = 100, colour: bool = False) -> list[Rows]:
    """Read the `splits` of RAF-DB under `root`: `Rows` with the head ``rafdb``.

    Args:
        root: the folder with ``EmoLabel`` and ``Image``, also called ``basic``.
        splits: names out of `SPLITS`.
        size: side of the crops in pixels.
        colour: RGB; otherwise grey.

    Raises:
        DataError: no such files, a line that is not as it should be, pictures that are missing
            or cannot be read, no such split.
    """
    home = root / "basic" if (root / "basic" / LIST).is_file() else root
    if not (home / LIST).is_file() or not (home / ALIGNED).is_dir():
        raise DataError(f"{root}: expected {LIST} and {ALIGNED}/train_00001_aligned.jpg there")
    listed = _list(home / LIST)
    return [_split(home, listed, split, size, colour) for split in splits]


def _list(path: Path) -> list[tuple[str, int]]:
    """The names and codes (index into `SEVEN`) of all pictures."""
    listed = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    for line, text in enumerate(lines, start=1):
        words = text.split()
        if not words:
            continue
        name, _, end = words[0].partition(".")
        if len(words) != 2 or words[1] not in ("1", "2", "3", "4", "5", "6", "7") or not end:
            raise DataError(f"{path}, line {line}: {text!r}, expected train_00001.jpg and 1-7")
        if name.partition("_")[0] not in SPLITS:
            raise DataError(f"{path}, line {line}: {name!r} is of neither train nor test")
        listed.append((name, SEVEN.index(CODES[int(words[1]) - 1])))
    return listed


def _split(home: Path, listed: list[tuple[str, int]], split: str, size: int, colour: bool) -> Rows:
    if split not in SPLITS:
        raise DataError(f"RAF-DB has no split {split!r}; it has {', '.join(SPLITS)}")
    chosen = [(name, code) for name, code in listed if name.startswith(f"{split}_")]
    if not chosen:
        raise DataError(f"{home / LIST}: no lines of the split {split!r}")
    paths = [home / ALIGNED / f"{name}_aligned.jpg" for name, _ in chosen]
    images = read_crops(home, paths, size, colour=colour)
    target = one_hot(np.array([code for _, code in chosen], np.intp), len(SEVEN))
    return Rows(images, {HEAD: target}, {HEAD: SEVEN}, tuple(name for name, _ in chosen))

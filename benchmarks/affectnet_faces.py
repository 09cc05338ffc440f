"""AffectNet's validation pictures with the face that a detector finds in each.

With a cache folder, the boxes are kept from run to run.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.faces.crop import CropRecipe, cut
from mien.faces.detect import load_detector
from mien.io.images import read_image
from mien.labels import EIGHT
from mien.train.data.affectnet import CODES, list_faces


@dataclass(frozen=True)
class Pictures:
    """n pictures in which a face was found."""

    paths: list[Path]
    numbers: np.ndarray  # (n,) in the files' names
    codes: np.ndarray  # (n,) index into EIGHT
    affect: np.ndarray  # (n, 2) valence and arousal as annotated
    boxes: np.ndarray  # (n, 4)
    detector: str
    missed: int

    def take(self, kept: np.ndarray) -> "Pictures":
        """The pictures under the mask."""
        paths = [path for path, keep in zip(self.paths, kept, strict=True) if keep]
        rows = (self.numbers[kept], self.codes[kept], self.affect[kept], self.boxes[kept])
        return Pictures(paths, *rows, self.detector, self.missed)

    def crops(self, size: int, crop: CropRecipe) -> np.ndarray:
        """The faces (n, size, size, 3), cut as at run time."""
        return np.concatenate(
            [
                cut(read_image(path).rgb, box[None], size=size, recipe=crop)
                for path, box in zip(self.paths, self.boxes, strict=True)
            ]
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options whose values `find_faces` takes."""
    parser.add_argument("--affectnet", type=Path, required=True, help="the folder of val_set")
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--cache", type=Path, help="folder in which the boxes are kept")


def find_faces(folder: Path, detector: str, cache: Path | None = None) -> Pictures:
    """The pictures of `folder` (it holds val_set), each with the box of the best score."""
    find = load_detector(detector, max_faces=1)
    told = [face for face in list_faces(folder, "validation") if face.code < len(CODES)]
    file = None if cache is None else cache / f"affectnet-{find.name}.npy"
    if file is not None and file.is_file():
        boxes = np.load(file)
    else:
        boxes = np.full((len(told), 4), np.nan, np.float32)
        for box, face in zip(boxes, told, strict=True):
            found = find(read_image(face.path).rgb).boxes[:1]
            box[:] = found[0] if len(found) else np.nan
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, boxes)
    every = Pictures(
        [face.path for face in told],
        np.array([int(face.path.stem) for face in told]),
        np.array([EIGHT.index(CODES[face.code]) for face in told]),
        np.array([(face.valence, face.arousal) for face in told], np.float32),
        boxes,
        find.name,
        int(np.isnan(boxes[:, 0]).sum()),
    )
    return every.take(~np.isnan(boxes[:, 0]))

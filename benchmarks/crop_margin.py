"""Which square around a detector's box shows the face as FER2013's pictures do?

    python benchmarks/crop_margin.py [--data data] [--every 1]
    python benchmarks/crop_margin.py --model FILE.onnx [--data data] [--cache DIR]

Three tables, of geometry alone:

1. FER2013 PublicTest. Each 48x48 picture is enlarged four times and set into its own replicated
   border; where is the detector's box in it? A picture *is* the crop a FER2013 classifier was
   trained on, so 48 / (side of the box) is the margin, and the mean distance of the two centres the
   offset, that a crop recipe needs. The side is taken in three ways: max(w, h), sqrt(w h), h. The
   one with the smallest spread predicts the picture's frame best.
2. AffectNet val. How often a face is found, and the box against the box of the 68 landmarks.
   Eye roll too, for detectors with points.
3. Each detector's boxes against those of the first, where both found a face: by how much to scale
   and move them so that one crop recipe serves all.

With --model there is another table instead: the model's accuracy on AffectNet val, seven classes,
default answer without contempt, for a grid of margins and of how far the square's centre lies below
the box's, on the pictures with even and with odd numbers. The margin may be chosen on the one half
and checked on the other. Differences to square-v1 are paired, with a 95 % bootstrap interval.
AffectNet's pictures end just outside the face (the root of a box's area is 198 of 224 pixels in the
median): all that a margin above 1.13 adds there is the picture's border, repeated.

The data are read from DATA/fer2013/fer2013.csv and DATA/affectnet/val_set (see docs). The detectors
are whichever of yunet, libface and haar load here.
"""

import argparse
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from affectnet_faces import Pictures, find_faces
from PIL import Image

import mien
from mien.errors import MienError
from mien.faces.crop import CropRecipe, cut, recipe
from mien.faces.detect import Detector, load_detector
from mien.io.images import read_image
from mien.labels import SEVEN
from mien.metrics import bootstrap_interval
from mien.train.data.affectnet import CODES
from mien.types import Faces

SIDES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "max(w,h)": np.maximum,
    "sqrt(wh)": lambda w, h: np.sqrt(w * h),
    "h": lambda w, h: h,
}
MARGINS = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.15, 1.25)
DROPS = (-0.06, 0.02, 0.1)
ENLARGED = 4
BORDER = 24  # pixels of the 48


def fer2013(path: Path, every: int) -> Iterator[np.ndarray]:
    """The PublicTest pictures, (48, 48) uint8."""
    with path.open(newline="") as file:
        rows = (row for row in csv.DictReader(file) if row["Usage"] == "PublicTest")
        for i, row in enumerate(rows):
            if i % every == 0:
                yield np.array(row["pixels"].split(), np.uint8).reshape(48, 48)


def affectnet(folder: Path, every: int) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """The pictures (224, 224, 3), their 68 landmarks (68, 2) and expressions."""
    paths = sorted((folder / "images").glob("*.jpg"), key=lambda path: int(path.stem))
    for path in paths[::every]:
        notes = folder / "annotations"
        landmarks = np.load(notes / f"{path.stem}_lnd.npy").astype(float).reshape(68, 2)
        label = CODES[int(str(np.load(notes / f"{path.stem}_exp.npy")))]
        yield np.asarray(Image.open(path).convert("RGB")), landmarks, label


def in_border(face: np.ndarray) -> np.ndarray:
    """A FER2013 picture enlarged and set into its replicated border, RGB."""
    wide = np.pad(face, BORDER, mode="edge")
    side = wide.shape[0] * ENLARGED
    large = Image.fromarray(wide).resize((side, side), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(large)[:, :, None], 3, axis=2)


def central(faces: Faces, width: int, height: int) -> int:
    """Which face's centre is nearest to the picture's."""
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return int(np.square(centres - np.array([width, height]) / 2).sum(axis=1).argmin())


def quantiles(values: np.ndarray) -> str:
    """Median, with the 10th and 90th percentile."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"{middle:7.3f} [{low:6.3f} {high:6.3f}]"


def measure_fer2013(detector: Detector, pictures: list[np.ndarray]) -> list[np.ndarray | None]:
    """Where the picture's frame lies, in sides of the detector's box; the boxes."""
    every_box: list[np.ndarray | None] = []
    for face in pictures:
        rgb = in_border(face)
        faces = detector(rgb)
        i = central(faces, *rgb.shape[1::-1]) if len(faces) else None
        every_box.append(None if i is None else faces.boxes[i] / ENLARGED - BORDER)
    boxes = [box for box in every_box if box is not None]
    x0, y0, x1, y1 = np.array(boxes).T
    print(f"\n{detector.name}: found {len(boxes)} of {len(pictures)} FER2013 pictures")
    print(f"  w / h       {quantiles((x1 - x0) / (y1 - y0))}")
    for name, rule in SIDES.items():
        side = rule(x1 - x0, y1 - y0)
        margin = 48 / side
        print(
            f"  {name:10s}  margin {quantiles(margin)}  spread {np.log(margin).std():.3f}"
            f"   dx {quantiles((24 - (x0 + x1) / 2) / side)}"
            f"   dy {quantiles((24 - (y0 + y1) / 2) / side)}"
        )
    return every_box


def compare(title: str, boxes: list[np.ndarray | None], standard: list[np.ndarray | None]) -> None:
    """How one detector's boxes map to those of the first, where both found a face."""
    pairs = [
        (a, b) for a, b in zip(boxes, standard, strict=True) if a is not None and b is not None
    ]
    one, other = np.array(pairs).transpose(1, 2, 0)
    unit = np.sqrt((one[2] - one[0]) * (one[3] - one[1]))
    unit_other = np.sqrt((other[2] - other[0]) * (other[3] - other[1]))
    near = np.abs(np.log(unit_other / unit)) < np.log(2)  # beyond that, it was another thing
    dx, dy = (((other[i] + other[i + 2]) - (one[i] + one[i + 2])) / 2 / unit for i in (0, 1))
    print(
        f"  {title}: the first's side / this side {quantiles((unit_other / unit)[near])}"
        f"   dx {quantiles(dx[near])}   dy {quantiles(dy[near])}   ({near.sum()} pairs)"
    )


def measure_affectnet(
    detector: Detector, samples: list[tuple[np.ndarray, np.ndarray, str]]
) -> list[np.ndarray | None]:
    """The box against the landmarks' box. Returns each picture's central box, or None."""
    boxes: list[np.ndarray | None] = []
    rows, rolls, more = [], [], 0
    for rgb, landmarks, _ in samples:
        faces = detector(rgb)
        more += len(faces) > 1
        if not len(faces):
            boxes.append(None)
            continue
        i = central(faces, *rgb.shape[1::-1])
        boxes.append(faces.boxes[i])
        rows.append([*faces.boxes[i], *landmarks.min(axis=0), *landmarks.max(axis=0)])
        if faces.points is not None:
            dx, dy = faces.points[i, 1] - faces.points[i, 0]
            rolls.append(np.degrees(np.arctan2(dy, dx)))
    x0, y0, x1, y1, lx0, ly0, lx1, ly1 = np.array(rows).T
    w, h, lw, lh = x1 - x0, y1 - y0, lx1 - lx0, ly1 - ly0
    print(
        f"\n{detector.name}: found {len(rows)} of {len(samples)} AffectNet val; {more} more than 1"
    )
    print(f"  width ratio {quantiles(w / lw)}   height ratio {quantiles(h / lh)}")
    scale = np.maximum(lw, lh)
    for name, rule in SIDES.items():
        ratio = rule(w, h) / scale
        print(f"  {name:10s} / landmarks' {quantiles(ratio)}  spread {np.log(ratio).std():.3f}")
    print(f"  centre dx / landmarks' side {quantiles(((x0 + x1) - (lx0 + lx1)) / 2 / scale)}")
    print(f"  centre dy / landmarks' side {quantiles(((y0 + y1) - (ly0 + ly1)) / 2 / scale)}")
    if rolls:
        size = np.abs(rolls)
        beyond = "  ".join(f">{t}: {np.mean(size > t):.1%}" for t in (5, 10, 15, 20, 30))
        print(f"  |eye roll| degrees {quantiles(size)}   {beyond}")
    return boxes


def answers_by_recipe(
    model: str, pictures: Pictures, recipes: list[CropRecipe]
) -> tuple[np.ndarray, np.ndarray, str]:
    """What a model answers of each face under each recipe.

    Returns:
        The class (recipes, n), of seven; whether the first recipe's square lies within the picture
        (n,); the model's name.
    """
    classifier = mien.load_classifier(model)
    size = classifier.spec.input.size
    told, within = [], []
    for path, box in zip(pictures.paths, pictures.boxes, strict=True):
        rgb = read_image(path).rgb
        crops = [cut(rgb, box[None], size=size, recipe=kind) for kind in recipes]
        shares = classifier(np.concatenate(crops)).probabilities[:, : len(SEVEN)]
        told.append(shares.argmax(axis=1))
        within.append(fits(box, recipes[0], rgb.shape[1], rgb.shape[0]))
    return np.array(told).T, np.array(within), classifier.spec.name


def fits(box: np.ndarray, kind: CropRecipe, width: int, height: int) -> bool:
    """Whether the square of a box lies within the picture, so that no border is repeated."""
    unit = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    centre = (box[:2] + box[2:]) / 2 + [0, kind.drop * unit]
    low, high = centre - kind.margin * unit / 2, centre + kind.margin * unit / 2
    return bool((low >= 0).all() and (high <= [width, height]).all())


def measure_model(model: str, folder: Path, detector: str, cache: Path | None) -> None:
    """Print the accuracies by margin and drop, with one detector's boxes."""
    found = find_faces(folder, detector, cache)
    pictures = found.take(found.codes < len(SEVEN))
    standard = recipe("square-v1")
    grid = [replace(standard, margin=m, drop=d) for m in MARGINS for d in DROPS]
    told, within, name = answers_by_recipe(model, pictures, [standard, *grid])
    right = (told == pictures.codes).astype(float)
    parts = {
        "even numbers": pictures.numbers % 2 == 0,
        "odd numbers": pictures.numbers % 2 == 1,
        "all whose square-v1 lies within the picture": within,
    }
    for part, at in parts.items():
        print(f"\n{name}, boxes by {pictures.detector}, {part}, n = {at.sum()}")
        print_grid(right[:, at], grid)


def print_grid(right: np.ndarray, grid: list[CropRecipe]) -> None:
    """The accuracies; and by margin, the gain over square-v1, which is the first row of `right`."""
    print(f"  square-v1: {right[0].mean():.1%}")
    print("  margin" + "".join(f"{f'drop {drop:+.2f}':>12}" for drop in DROPS) + "   at +0.02")
    for margin in MARGINS:
        rows = [i for i, kind in enumerate(grid, start=1) if kind.margin == margin]
        middle = next(i for i in rows if grid[i - 1].drop == 0.02)
        gain = right[middle] - right[0]
        low, high = bootstrap_interval(lambda at, gain=gain: float(gain[at].mean()), len(gain))
        print(
            f"  {margin:6.2f}"
            + "".join(f"{right[i].mean():12.1%}" for i in rows)
            + f"   {100 * gain.mean():+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
        )


def main() -> None:
    """Measure with every detector that loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--every", type=int, default=1, help="use each n-th picture")
    parser.add_argument("--detectors", nargs="+", default=["yunet", "libface", "haar"])
    parser.add_argument("--model", help="measure this classifier's accuracy by margin instead")
    parser.add_argument("--cache", type=Path, help="with --model: a folder to keep the boxes in")
    args = parser.parse_args()
    if args.model:
        for name in args.detectors:
            measure_model(args.model, args.data / "affectnet", name, args.cache)
        return
    pictures = list(fer2013(args.data / "fer2013" / "fer2013.csv", args.every))
    samples = list(affectnet(args.data / "affectnet" / "val_set", args.every))
    first: tuple[list[np.ndarray | None], list[np.ndarray | None]] | None = None
    for name in args.detectors:
        try:
            detector = load_detector(name)
        except MienError as error:
            print(f"\n{name}: left out ({error})")
            continue
        framed = measure_fer2013(detector, pictures)
        boxes = measure_affectnet(detector, samples)
        first = first or (framed, boxes)
        compare("FER2013  ", framed, first[0])
        compare("AffectNet", boxes, first[1])


if __name__ == "__main__":
    main()

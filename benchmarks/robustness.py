"""How far a model's accuracy falls with what real cameras and real faces do to a picture.

    python benchmarks/robustness.py MODEL --affectnet DIR [--detector auto] [--output FILE.md]

AffectNet's validation pictures with even numbers (the odd ones stay unseen), seven classes, the
model's default answer with contempt left out. The face is found once, in the picture as it is; then
the picture is degraded and the face cut out of it where it was found. So this measures the
classifier, not the detector. Each difference is paired, face by face, to the picture as it is; its
95 % interval is a bootstrap over the faces.

A unit is the square root of the area of the face's box.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affectnet_faces import Pictures, add_options, find_faces
from PIL import Image, ImageFilter

import mien
from mien.faces.crop import CropRecipe, cut, recipe
from mien.io.images import read_image
from mien.labels import SEVEN
from mien.metrics import bootstrap_interval


@dataclass(frozen=True)
class Case:
    """A picture (h, w, 3) uint8 with the box (4,) of its face, number `number`."""

    rgb: np.ndarray
    box: np.ndarray
    number: int

    @property
    def unit(self) -> float:
        """The side of a square of the box's area."""
        return float(np.sqrt((self.box[2] - self.box[0]) * (self.box[3] - self.box[1])))

    @property
    def sign(self) -> int:
        """1 or -1, for every other picture: turns and shifts go either way."""
        return 1 if self.number // 2 % 2 else -1

    def with_values(self, values: np.ndarray) -> "Case":
        """The same with other pixels, cut to 0..255 and rounded."""
        return replace(self, rgb=np.clip(np.rint(values), 0, 255).astype(np.uint8))


Change = Callable[[Case], Case]


def blurred(part: float) -> Change:
    """Gaussian blur with a deviation of `part` units: out of focus."""

    def change(case: Case) -> Case:
        picture = Image.fromarray(case.rgb).filter(ImageFilter.GaussianBlur(part * case.unit))
        return replace(case, rgb=np.asarray(picture))

    return change


def smeared(part: float) -> Change:
    """The mean along a level line of `part` units: the head or the camera moves."""

    def change(case: Case) -> Case:
        reach = max(1, round(part * case.unit / 2))
        wide = np.pad(case.rgb.astype(np.float32), ((0, 0), (reach, reach), (0, 0)), mode="edge")
        sums = np.cumsum(np.pad(wide, ((0, 0), (1, 0), (0, 0))), axis=1, dtype=np.float64)
        n = 2 * reach + 1
        return case.with_values((sums[:, n:] - sums[:, :-n]) / n)

    return change


def valued(rule: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Each pixel's values 0..1 by `rule`."""
    return lambda case: case.with_values(255 * rule(case.rgb.astype(np.float32) / 255))


def tinted(red: float, green: float, blue: float) -> Change:
    """The three colours times these: lamps, and cameras that balance white wrongly."""
    return valued(lambda x: x * np.array([red, green, blue], np.float32))


def noisy(deviation: float) -> Change:
    """Gaussian noise of so many grey levels, each picture its own, the same in every run."""

    def change(case: Case) -> Case:
        drawn = np.random.default_rng(case.number).standard_normal(case.rgb.shape, np.float32)
        return case.with_values(case.rgb + deviation * drawn)

    return change


def shrunk(pixels: int) -> Change:
    """The picture made smaller, until its face's unit has so many pixels."""

    def change(case: Case) -> Case:
        factor = pixels / case.unit
        height, width = case.rgb.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = Image.fromarray(case.rgb).resize(size, Image.Resampling.BILINEAR)
        scale = np.tile(np.array(size) / (width, height), 2)
        return Case(np.asarray(small), case.box * scale, case.number)

    return change


def compressed(quality: int) -> Change:
    """Through a JPEG of this quality (Pillow's scale, colours at half resolution)."""

    def change(case: Case) -> Case:
        file = io.BytesIO()
        Image.fromarray(case.rgb).save(file, "JPEG", quality=quality, subsampling=2)
        return replace(case, rgb=np.asarray(Image.open(file).convert("RGB")))

    return change


def rolled(degrees: float) -> Change:
    """The picture turned about the face's centre, its border repeated; the box stays upright."""

    def change(case: Case) -> Case:
        reach = max(case.rgb.shape[:2]) // 2
        wide = np.pad(case.rgb, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
        centre = ((case.box[:2] + case.box[2:]) / 2 + reach).tolist()
        turned = Image.fromarray(wide).rotate(
            case.sign * degrees, Image.Resampling.BILINEAR, center=tuple(centre)
        )
        inner = np.asarray(turned)[reach : reach + len(case.rgb), reach:-reach]
        return replace(case, rgb=np.ascontiguousarray(inner))

    return change


def covered(
    left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]
) -> Change:
    """A plain rectangle, in parts of the box's width and height, over the face."""

    def change(case: Case) -> Case:
        x0, y0, x1, y1 = case.box
        w, h = x1 - x0, y1 - y0
        columns = slice(max(0, round(x0 + left * w)), max(0, round(x0 + right * w)))
        rows = slice(max(0, round(y0 + top * h)), max(0, round(y0 + bottom * h)))
        rgb = case.rgb.copy()
        rgb[rows, columns] = colour
        return replace(case, rgb=rgb)

    return change


def quarter(case: Case) -> Case:
    """One quarter of the box, each picture another one, under a grey rectangle."""
    x, y = (case.number // 2 % 2) / 2, (case.number // 4 % 2) / 2
    return covered(x, y, x + 0.5, y + 0.5, (128, 128, 128))(case)


def moved(dx: float, dy: float) -> Change:
    """The box moved by parts of a unit: detectors are not exact."""

    def change(case: Case) -> Case:
        return replace(case, box=case.box + case.unit * np.array([dx, dy, dx, dy]))

    return change


def resized(factor: float) -> Change:
    """The box made larger or smaller about its centre."""

    def change(case: Case) -> Case:
        centre = np.tile((case.box[:2] + case.box[2:]) / 2, 2)
        return replace(case, box=centre + factor * (case.box - centre))

    return change


# Eyes lie from 0.34 to 0.41 of the height of libface's box, the tip of the nose at 0.57, the chin
# at 1.02 (medians of AffectNet's landmarks).
MASK, DARK = (150, 180, 200), (20, 20, 20)

CHANGES: dict[str, dict[str, Change]] = {
    "size of the face": {f"{n} pixels": shrunk(n) for n in (96, 64, 48, 32, 24, 16)},
    "blur, deviation": {f"{p:.0%} of the face": blurred(p) for p in (0.01, 0.02, 0.03, 0.05, 0.08)},
    "motion, length": {f"{p:.0%} of the face": smeared(p) for p in (0.05, 0.1, 0.2)},
    "contrast": {
        f"times {f:g}": valued(lambda x, f=f: (x - x.mean()) * f + x.mean()) for f in (0.5, 0.25)
    },
    "light": {f"times {f:g}": valued(lambda x, f=f: x * f) for f in (0.1, 0.25, 0.5, 1.5, 2)},
    "gamma": {f"{g:g}": valued(lambda x, g=g: x**g) for g in (0.4, 0.6, 1.6, 2.5)},
    "colour": {
        "red light (blue and green by half)": tinted(1, 0.5, 0.5),
        "blue light (red and green by half)": tinted(0.5, 0.5, 1),
        "warm white (blue by 0.6)": tinted(1, 0.9, 0.6),
        "no colour": lambda case: case.with_values(
            np.repeat((case.rgb @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
        ),
    },
    "noise, deviation": {f"{d} of 255": noisy(d) for d in (5, 10, 20, 40)},
    "JPEG, quality": {f"{q}": compressed(q) for q in (50, 30, 20, 10, 5)},
    "roll": {f"{d} degrees": rolled(d) for d in (10, 20, 30, 45)},
    "covered": {
        "mouth and chin (a mask)": covered(-0.05, 0.52, 1.05, 1.15, MASK),
        "eyes (sunglasses)": covered(0.0, 0.27, 1.0, 0.5, DARK),
        "a quarter of the face": quarter,
    },
    "crop": {
        **{f"side times {f:g}": resized(f) for f in (0.8, 0.9, 1.1, 1.2)},
        "10 % of the face to a side": lambda case: moved(0.1 * case.sign, 0)(case),
        "10 % up": moved(0, -0.1),
        "10 % down": moved(0, 0.1),
    },
}


def every_change() -> Iterator[tuple[str, str, Change]]:
    """Group, name and change; first of all the picture as it is."""
    yield "as it is", "", lambda case: case
    for group, changes in CHANGES.items():
        for name, change in changes.items():
            yield group, name, change


def crops_of(case: Case, size: int, crop: CropRecipe) -> np.ndarray:
    """The face of the picture under every change, (changes, size, size, 3)."""
    changed = (change(case) for _, _, change in every_change())
    return np.concatenate([cut(c.rgb, c.box[None], size=size, recipe=crop) for c in changed])


def answers(model: str, pictures: Pictures) -> tuple[np.ndarray, str]:
    """The class (changes, n), of seven, that the model answers; and the model's name."""
    classifier = mien.load_classifier(model)
    size, crop = classifier.spec.input.size, recipe(classifier.spec.input.crop)
    told = []
    for path, box, number in zip(pictures.paths, pictures.boxes, pictures.numbers, strict=True):
        case = Case(read_image(path).rgb, box.astype(np.float64), int(number))
        shares = classifier(crops_of(case, size, crop)).probabilities[:, : len(SEVEN)]
        told.append(shares.argmax(axis=1))
    return np.array(told).T, classifier.spec.name


def table(told: np.ndarray, truth: np.ndarray) -> Iterator[str]:
    """The rows of the Markdown table."""
    right = (told == truth).astype(np.float64)
    yield "| | | accuracy | difference, points | 95 % interval | called neutral |"
    yield "|---|---|---|---|---|---|"
    for i, (group, name, _) in enumerate(every_change()):
        lost = right[i] - right[0]
        low, high = bootstrap_interval(lambda at, lost=lost: float(lost[at].mean()), len(truth))
        difference = f"{100 * lost.mean():+.1f} | {100 * low:+.1f} to {100 * high:+.1f}"
        neutral = np.mean(told[i] == 0)
        rest = f"{difference if i else ' | '} | {neutral:.0%} |"
        yield f"| {group} | {name} | {right[i].mean():.1%} | {rest}"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    add_options(parser)
    parser.add_argument("--output", type=Path, help="a Markdown file; else it is printed")
    options = parser.parse_args()
    found = find_faces(options.affectnet, options.detector, options.cache)
    pictures = found.take((found.numbers % 2 == 0) & (found.codes < len(SEVEN)))
    told, name = answers(options.model, pictures)
    chance = f"{1 / len(SEVEN):.0%} is chance"
    lines = [
        f"# What cameras do to {name}",
        "",
        f"AffectNet val_set, even numbers, n = {len(pictures.paths)} faces of seven classes "
        f"({chance}), boxes by {pictures.detector}, default answer without contempt. Each row "
        "changes one thing; the difference is to the picture as it is, over the same faces. Made "
        f"by `python benchmarks/robustness.py {name} --affectnet DIR --detector "
        f"{pictures.detector}`, which says how each picture is changed.",
        "",
        *table(told, pictures.codes),
    ]
    text = "\n".join(lines) + "\n"
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

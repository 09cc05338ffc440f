"""Make docs/images/failures.jpg: what the bundled models say of two photos that are spoilt.

    python docs/make_failures_picture.py

Each face is found once, in the photo as it is, and spoilt as `benchmarks/robustness.py` does it.
Red is what differs from the answer to the photo as it is.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from robustness import CHANGES, Case  # noqa: E402

import mien  # noqa: E402
from mien.faces.crop import cut, recipe  # noqa: E402
from mien.faces.detect import load_detector  # noqa: E402
from mien.io.images import read_image  # noqa: E402
from mien.labels import EIGHT  # noqa: E402

MODELS = ("mien-small", "mien-base", "mien-tiny", "mien-small-affect")
SHOWN = {
    "obama.jpg": (
        ("size of the face", "16 pixels"),
        ("blur, deviation", "8% of the face"),
        ("covered", "mouth and chin (a mask)"),
    ),
    "biden.jpg": (
        ("size of the face", "16 pixels"),
        ("blur, deviation", "3% of the face"),
        ("roll", "30 degrees"),
    ),
}
MARGIN = 0.25
"""What is shown around the face's box, in parts of its longer side."""


def spoilt(photo: str) -> dict[str, Case]:
    """The photo's face as it is, then as `SHOWN` has it spoilt, by what was done to it."""
    rgb = read_image(ROOT / "examples" / photo).rgb
    find = load_detector("auto", max_faces=1)
    plain = Case(rgb, find(rgb).boxes[0].astype(np.float64), 0)
    changed = {f"{group}: {name}": CHANGES[group][name](plain) for group, name in SHOWN[photo]}
    return {"as it is": plain, **changed}


def answers(cases: Iterable[Case]) -> list[list[tuple[str, float]]]:
    """Of each case, each model's label and its probability."""
    cases, told = list(cases), []
    for model in MODELS:
        classifier = mien.load_classifier(model)
        size, crop = classifier.spec.input.size, recipe(classifier.spec.input.crop)
        crops = [cut(case.rgb, case.box[None], size=size, recipe=crop) for case in cases]
        shares = classifier(np.concatenate(crops)).probabilities
        told.append([(EIGHT[int(own.argmax())], float(own.max())) for own in shares])
    return [list(own) for own in zip(*told, strict=True)]


def view(case: Case) -> np.ndarray:
    """The face and what is around it, 300 pixels wide and high."""
    centre = np.tile((case.box[:2] + case.box[2:]) / 2, 2)
    half = (0.5 + MARGIN) * float((case.box[2:] - case.box[:2]).max())
    box = centre + half * np.array([-1, -1, 1, 1])
    return np.asarray(
        Image.fromarray(case.rgb).resize((300, 300), Image.Resampling.BICUBIC, box=tuple(box))
    )


def main() -> None:
    """Spoil, ask, draw."""
    columns = 1 + max(map(len, SHOWN.values()))
    figure = Figure(figsize=(2.6 * columns, 4.1 * len(SHOWN)))
    spaces = {"left": 0.01, "right": 0.99, "top": 0.94, "bottom": 0.13, "hspace": 0.62}
    panels = figure.subplots(len(SHOWN), columns, gridspec_kw={**spaces, "wspace": 0.04})
    for photo, row in zip(SHOWN, panels, strict=True):
        cases = spoilt(photo)
        told = answers(cases.values())
        for (title, case), own, axes in zip(cases.items(), told, row, strict=True):
            axes.imshow(view(case))
            axes.set_title(title.replace(": ", ":\n"), fontsize=9)
            axes.set(xticks=[], yticks=[])
            for i, (model, (label, share)) in enumerate(zip(MODELS, own, strict=True)):
                colour = "black" if label == told[0][i][0] else "#c00000"
                text = f"{model}: {label} {100 * share:.0f} %"
                axes.text(
                    0, -0.06 - 0.09 * i, text, transform=axes.transAxes, color=colour,
                    fontsize=8.5, va="top",
                )  # fmt: skip
    figure.savefig(ROOT / "docs" / "images" / "failures.jpg", dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()

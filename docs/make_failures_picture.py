"""Make docs/images/failures.jpg: what the bundled models say of two photos that are spoilt.

    python docs/make_failures_picture.py

Each face is found once, in the photo as it is, and spoilt as `benchmarks/robustness.py` does it.
Red is what differs from the answer to the photo as it is.
"""

import sys
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


def answers(case: Case) -> list[tuple[str, float]]:
    """Each model's label and its probability."""
    told = []
    for model in MODELS:
        classifier = mien.load_classifier(model)
        size, crop = classifier.spec.input.size, recipe(classifier.spec.input.crop)
        shares = classifier(cut(case.rgb, case.box[None], size=size, recipe=crop)).probabilities[0]
        told.append((EIGHT[int(shares.argmax())], float(shares.max())))
    return told


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
    find = load_detector("auto", max_faces=1)
    columns = 1 + max(map(len, SHOWN.values()))
    figure = Figure(figsize=(2.6 * columns, 4.1 * len(SHOWN)))
    spaces = {"left": 0.01, "right": 0.99, "top": 0.94, "bottom": 0.13, "hspace": 0.62}
    panels = figure.subplots(len(SHOWN), columns, gridspec_kw={**spaces, "wspace": 0.04})
    for (name, changes), row in zip(SHOWN.items(), panels, strict=True):
        rgb = read_image(ROOT / "examples" / name).rgb
        plain = Case(rgb, find(rgb).boxes[0].astype(np.float64), 0)
        first = answers(plain)
        cases = {"as it is": plain, **{f"{g}: {n}": CHANGES[g][n](plain) for g, n in changes}}
        for (title, case), axes in zip(cases.items(), row, strict=True):
            axes.imshow(view(case))
            axes.set_title(title.replace(": ", ":\n"), fontsize=9)
            axes.set(xticks=[], yticks=[])
            for i, (model, (label, share)) in enumerate(zip(MODELS, answers(case), strict=True)):
                colour = "black" if label == first[i][0] else "#c00000"
                text = f"{model}: {label} {100 * share:.0f} %"
                axes.text(
                    0, -0.06 - 0.09 * i, text, transform=axes.transAxes, color=colour,
                    fontsize=8.5, va="top",
                )  # fmt: skip
    figure.savefig(ROOT / "docs" / "images" / "failures.jpg", dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()

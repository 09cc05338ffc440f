"""What a threshold on the probability of the default answer keeps, and how much of that is right.

    python benchmarks/uncertain.py MODEL.onnx --affectnet DIR --fer2013 DIR [--detector libface]

Thresholds are fitted on PublicTest, as `mien export` does (`mien.train.certainty`), so that a
stated part of the answers that are kept is right. "crossed" is what thresholds of four fifths of
the faces do on the last fifth. AffectNet's val_set, where every expression is equally common and
nothing was fitted, shows what is left of the promise on other faces, found and cropped there.
"""

import argparse
from pathlib import Path

import numpy as np
from affectnet_faces import add_options, find_faces

import mien
from mien.faces.crop import recipe
from mien.train.certainty import certainty_figures, fit_threshold
from mien.train.data import fer2013

RATES = (0.8, 0.85, 0.9, 0.95)
NAMES = ("certain_share", "certain_accuracy", "uncertain_accuracy")


def told(figures, names=NAMES):
    return " ".join(f"{figures.get(name, np.nan):.3f}" for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--fer2013", type=Path, required=True)
    add_options(parser)
    options = parser.parse_args()
    classifier = mien.load_classifier(options.model)
    pictures = find_faces(options.affectnet, options.detector, options.cache)
    codes, size = pictures.codes, classifier.spec.input.size
    crops = pictures.crops(size, recipe(classifier.spec.input.crop))
    other = classifier(crops).probabilities
    rows = fer2013.read(options.fer2013, ["PublicTest"])[0]
    known = rows.labelled("ferplus")
    mine = classifier(rows.images[known]).probabilities
    truth = rows.targets["ferplus"][known].argmax(axis=1)
    print(f"{classifier.spec.name} {classifier.spec.version}, detector {pictures.detector}")
    print(
        f"all answers: right {np.mean(mine.argmax(axis=1) == truth):.3f} of PublicTest's with FER+,"
    )
    print(f"{np.mean(other.argmax(axis=1) == codes):.3f} of AffectNet's")
    print("rate  threshold | PublicTest: kept, right, right of the rest | crossed: kept, right |")
    print("                  AffectNet: kept, right, right of the rest")
    for rate in RATES:
        threshold = fit_threshold(mine, truth, rate)
        here = certainty_figures(mine, truth, threshold, rate)
        there = certainty_figures(other, codes, threshold, rate)
        crossed = told(here, [f"{name}_cross_fitted" for name in NAMES[:2]])
        print(f"{rate:.2f}  {threshold:.5f}   | {told(here)} | {crossed} | {told(there)}")


if __name__ == "__main__":
    main()

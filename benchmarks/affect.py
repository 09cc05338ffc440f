"""How well do the expressions' positions on the circumplex tell valence and arousal?

    python benchmarks/affect.py MODEL.onnx --affectnet DIR [--detector libface]

For models without a head of their own for valence and arousal these are the mean of the positions
of `mien.labels.CIRCUMPLEX`, weighed by probabilities. Whose probabilities, is chosen here: each
head's with its priors divided out by several strengths, and the default answer's with its own
temperature and without one. Nothing is fitted. AffectNet's val_set is read as in
default_answer.py: even picture numbers choose, by the mean of both CCCs, odd ones check.

The line "labels" takes the annotators' expression in the place of probabilities: no classifier can
tell more by these positions. "always the mean" is what a constant gives.
"""

import argparse
from dataclasses import replace

import numpy as np
from affectnet_faces import add_options, find_faces

import mien
from mien.faces.crop import recipe
from mien.labels import CIRCUMPLEX, CIRCUMPLEX_SOURCE, EIGHT
from mien.metrics import ccc, pcc, rmse, sagr
from mien.runtime.classify import answer
from mien.spec import AnswerSpec

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def readings(spec, logits):
    """Probabilities (n, 8) by the name of the reading."""
    for head in spec.heads:
        for strength in STRENGTHS:
            rule = AnswerSpec({head.name: 1.0}, {head.name: strength})
            yield f"{head.name}, priors by {strength:g}", answer(replace(spec, answer=rule), logits)
    yield "default answer", answer(spec, logits)
    plain = replace(spec, answer=replace(spec.answer, temperature=1.0))
    yield "default answer, no temperature", answer(plain, logits)


def figures(told, truth):
    return " ".join(f"{measure(told, truth):6.3f}" for measure in (ccc, pcc, rmse, sagr))


def line(name, told, truth, choosing):
    parts = [
        figures(told[half, i], truth[half, i]) for half in (choosing, ~choosing) for i in (0, 1)
    ]
    return f"{name:32} " + " | ".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    add_options(parser)
    options = parser.parse_args()
    classifier = mien.load_classifier(options.model)
    spec = classifier.spec
    pictures = find_faces(options.affectnet, options.detector, options.cache)
    crops = pictures.crops(spec.input.size, recipe(spec.input.crop))
    truth, choosing = pictures.affect, pictures.numbers % 2 == 0
    places = np.array([CIRCUMPLEX[label] for label in EIGHT], np.float32)
    table = [(name, told @ places) for name, told in readings(spec, classifier.logits(crops))]
    print(f"{spec.name} {spec.version}, positions of {CIRCUMPLEX_SOURCE}")
    print(
        f"detector {pictures.detector}, n = {choosing.sum()} choosing, {(~choosing).sum()} checking"
    )
    print("CCC PCC RMSE SAGR of: valence, choosing | arousal, choosing | the same, checking")
    table.sort(key=lambda row: -sum(ccc(row[1][choosing, i], truth[choosing, i]) for i in (0, 1)))
    table.append(("labels", places[pictures.codes]))
    for name, told in table:
        print(line(name, told, truth, choosing))
    spread = truth[~choosing] - truth[choosing].mean(axis=0)
    print("always the mean: RMSE", *(f"{v:.3f}" for v in np.sqrt((spread**2).mean(axis=0))))


if __name__ == "__main__":
    main()

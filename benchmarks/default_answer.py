"""How the heads should be combined for faces that are nobody's training data.

    python benchmarks/default_answer.py MODEL.onnx --affectnet DIR --fer2013 DIR

AffectNet's val_set holds equally many faces of each expression, so accuracy on it is the mean
recall. Every face is found by the detector and cropped, as a user's photo would be. One half of the
pictures (even numbers) chooses, the other half (odd) checks the choice. FER+ majorities on
PublicTest are shown beside it: what the correction costs on the training data's own mixture.

Two ways to mix heads are compared: the mean of their probabilities, which is what mien does, and
their product, the weighted mean of log-probabilities. What is divided out are the heads' training
shares, by several strengths, or priors that are measured: those with which each head tells every
label equally often on PublicTest with FER2013's classes made even (`mien.train.export`). "nll" is
the negative log-likelihood on the checking half; "most" the share of the class that is called most
often. The last table shows what temperatures of the answer do: the file's, fitted on PublicTest's
own mixture; one fitted on PublicTest with all classes weighing the same; none.
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from affectnet_faces import add_options, find_faces

import mien
from mien.faces.crop import recipe
from mien.labels import EIGHT
from mien.metrics import expected_calibration_error, nll, softmax
from mien.runtime.classify import answer, without_priors
from mien.spec import AnswerSpec
from mien.train.calibrate import fit_temperature
from mien.train.data import fer2013
from mien.train.fitting import with_priors

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)


def part_right(probabilities, codes, seven):
    """Accuracy over eight classes, or over seven with contempt left out of both sides."""
    if seven:
        kept = codes < 7
        probabilities, codes = probabilities[kept, :7], codes[kept]
    return float(np.mean(probabilities.argmax(axis=1) == codes))


def rules():
    for weight, plus, seven in itertools.product(GRID, GRID, GRID):
        weights = {"ferplus": round(1 - weight, 2), "fer2013": weight}
        if weight == 1:
            weights = {"ferplus": 0.01, "fer2013": 0.99}  # contempt has to come from somewhere
        yield AnswerSpec(weights, {"ferplus": plus, "fer2013": seven})


def measured_rules(spec, logits, rows):
    """The mixtures of heads whose priors are measured on PublicTest, logits (n, k) by head."""
    for weight in (0.0, 0.3, 0.5, 0.7, 1.0):
        plain = AnswerSpec({"ferplus": max(0.01, round(1 - weight, 2)), "fer2013": weight}, {})
        rule = with_priors(plain, spec.heads, logits, rows, "fer2013")
        yield replace(rule, prior_strength=dict.fromkeys(rule.weights, 1.0))


def product(spec, logits):
    """As `answer`, but a product of experts: the weighted mean of the heads' log-probabilities."""
    rule = spec.answer
    total = np.zeros((len(next(iter(logits.values()))), len(EIGHT)), np.float32)
    mass = np.zeros(len(EIGHT), np.float32)
    for name, weight in rule.weights.items():
        columns = [EIGHT.index(label) for label in spec.head(name).labels]
        told = without_priors(spec, name, logits[name])
        total[:, columns] += np.float32(weight) * np.log(np.maximum(told, 1e-9))
        mass[columns] += np.float32(weight)
    return softmax(total / np.maximum(mass, 1e-6), rule.temperature)


def temperature_lines(spec, logits, codes, public, truth):
    plain = replace(spec, answer=replace(spec.answer, temperature=1.0))
    here, there = answer(plain, logits), answer(plain, public)
    fitted = {
        "the file's": spec.answer.temperature,
        "all classes alike": fit_temperature(np.log(there), truth, balanced=True),
        "none": 1.0,
    }
    yield "temperature of the file's answer: AffectNet nll, ECE, mean top; FER+ nll, ECE, mean top"
    for name, temperature in fitted.items():
        told = [softmax(np.log(part), temperature) for part in (here, there)]
        figures = [
            f"{nll(part, codes_):.3f} {expected_calibration_error(part, codes_):.3f} "
            f"{part.max(axis=1).mean():.3f}"
            for part, codes_ in zip(told, (codes, truth), strict=True)
        ]
        yield f"{name:18} {temperature:.2f}  {'  '.join(figures)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--fer2013", type=Path, required=True)
    add_options(parser)
    options = parser.parse_args()
    classifier = mien.load_classifier(options.model, threads=2)
    pictures = find_faces(options.affectnet, options.detector, options.cache)
    codes, size = pictures.codes, classifier.spec.input.size
    logits = classifier.logits(pictures.crops(size, recipe(classifier.spec.input.crop)))
    rows = fer2013.read(options.fer2013, ["PublicTest"])[0]
    known = rows.labelled("ferplus")
    every = classifier.logits(rows.images)
    public = {head: part[known] for head, part in every.items()}
    truth = rows.targets["ferplus"][known].argmax(axis=1)
    choosing = pictures.numbers % 2 == 0
    table = []
    kinds = [*rules(), *measured_rules(classifier.spec, every, rows)]
    for rule, mix in itertools.product(kinds, (answer, product)):
        spec = replace(classifier.spec, answer=rule)
        there = mix(spec, public)
        temperature = fit_temperature(np.log(np.maximum(there, 1e-9)), truth, balanced=True)
        found = softmax(np.log(np.maximum(mix(spec, logits), 1e-9)), temperature)
        figures = [part_right(found[h], codes[h], s) for h in (choosing, ~choosing) for s in (1, 0)]
        calls = np.bincount(found.argmax(axis=1), minlength=8) / len(found)
        checked = nll(found[~choosing], codes[~choosing])
        plus = part_right(there, truth, seven=False)
        table.append((*figures, calls[0], calls.max(), checked, plus, rule, mix))
    table.sort(key=lambda row: -(row[0] + row[1]))
    print(
        f"detector {pictures.detector}, n = {choosing.sum()} choosing, {(~choosing).sum()} checking"
    )
    print(
        "choose7 choose8 check7 check8 called-neutral most nll FER+PublicTest  "
        "weights, prior strengths"
    )
    for title, mix in (("mean of the heads", answer), ("product of the heads", product)):
        print(title)
        mine = [row for row in table if row[-1] is mix]
        shares = [row for row in mine if not row[-2].priors]
        plain = [row for row in shares if not any(row[-2].prior_strength.values())]
        measured = [row for row in mine if row[-2].priors]
        for *figures, rule, _ in [*measured, *shares[:12], *plain]:
            told = "  ".join(f"{v:.3f}" for v in figures)
            print(told, rule.weights, "measured" if rule.priors else rule.prior_strength)
    print("\n".join(temperature_lines(classifier.spec, logits, codes, public, truth)))


if __name__ == "__main__":
    main()

"""`mien evaluate`: a model against a labelled data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mien.cli.flags import call
from mien.cli.main import OK
from mien.errors import UsageError
from mien.evaluate import measure_affect, measure_found, measure_probabilities
from mien.io.sinks import replacing
from mien.metrics import bootstrap_interval, ccc
from mien.pipeline import Analyzer, Options
from mien.runtime.classify import DEFAULT_MODEL, load_classifier
from mien.spec import ANSWER
from mien.train import answers
from mien.train.answers import Answers
from mien.train.data.readers import split_name
from mien.types import Floats

CONTEMPT = "contempt"


def evaluate(
    model: str = DEFAULT_MODEL,
    /,
    *,
    data: Path,
    reader: Literal["fer2013", "folder", "ckplus", "affectnet", "rafdb", "manifest"] = "fer2013",
    split: str | None = None,
    truth: str | None = None,
    labels: str | None = None,
    reader_option: list[str] | None = None,
    detector: str | None = None,
    mirror: bool = False,
    format: Literal["table", "json"] = "table",
    output: Path | None = None,
    predictions: Path | None = None,
) -> int:
    """Measure a model on a labelled data set: single view, unless --mirror says otherwise.

    Args:
        model: A bundled model's name or an .onnx file.
        data: The folder of the data set, or one that holds it under its usual name.
        reader: Which data set it is; folder is one sub-folder per expression, manifest a list.
        split: The split, or for folder the sub-folder of `data` (by default `data` itself).
        truth: The labels to measure against, such as ferplus: FER+ majorities beside FER2013.
        labels: The head that answers; "answer" is the model's default answer. By default the head
            of the truth's name if there is one; for folder, manifest and --detector the answer.
        reader_option: What the reader takes besides, NAME=VALUE, such as crop=landmarks.
        detector: Find the faces first (auto, yunet, libface, haar): folder, manifest, affectnet.
        mirror: Look at each face's mirror image, too, and take the mean.
        format: A report for people, or JSON.
        output: The file to write instead of stdout.
        predictions: A CSV file for every face's name, truth and probabilities.
    """
    analyzer = None if detector is None else _analyzer(model, detector, mirror, reader)
    if analyzer is None:
        classifier = load_classifier(model, threads=2, mirror=mirror)
    else:
        classifier = analyzer.classifier
    spec, chosen = classifier.spec, split or answers.SPLITS[reader]
    options = answers.read_options(reader_option or ())
    found = answers.read_set(data, reader, chosen, spec, truth=truth, options=options)
    if analyzer is None:
        told = answers.ask(classifier, found, labels or answers.default_head(found, spec))
    else:
        told = answers.ask_photos(analyzer, found, labels or ANSWER)
    if (name := split_name(reader, chosen, options)) in spec.trained_on:
        sys.stderr.write(
            f"mien: {spec.name} was trained on faces of {name}: they are told better than others; "
            "measure it on a split that it has not seen\n"
        )
    about = {"model": spec.name, "head": told.head, "data": reader, "split": chosen}
    extra: dict[str, Any] = {"truth": found.truth, "reader_options": options}
    extra |= {"detector": analyzer and analyzer.detector.name, "mirror": mirror}
    figures = _figures(told, analyzer is not None) | _affect(told)
    _tell({**about, **extra, **figures}, format, output)
    if predictions is not None:
        answers.write_predictions(told, predictions)
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(evaluate, argv, prog="mien evaluate")


def _analyzer(model: str, detector: str, mirror: bool, reader: str) -> Analyzer:
    """What finds faces and reads them."""
    if reader not in answers.PHOTOS:
        raise UsageError(
            f"--detector is for pictures with room around the face: --reader "
            f"{', '.join(answers.PHOTOS)}. Those of {reader} are crops; leave --detector off."
        )
    options = Options(model=model, detector=detector, max_faces=1, threads=2, mirror=mirror)
    return Analyzer(options)


def _figures(told: Answers, detected: bool) -> dict[str, Any]:
    """The report over the faces found; over all pictures; and both again without contempt."""
    kept = told.found
    report = measure_probabilities(told.probabilities[kept], told.truth[kept], told.labels)
    figures = report.to_dict()
    if detected:
        figures["pictures"] = measure_found(told.predicted, told.truth).to_dict()
    if CONTEMPT in told.labels and (rest := told.without(CONTEMPT)).found.any():
        figures["without_contempt"] = _figures(rest, detected)
    return figures


def _affect(told: Answers) -> dict[str, Any]:
    """Valence's and arousal's figures, None in the place of NaN."""
    if told.affect is None:
        return {}
    figures: dict[str, dict[str, Any]] = {}
    for i, (name, part) in enumerate(measure_affect(*told.affect).items()):
        figures[name] = {k: None if np.isnan(v) else v for k, v in part.items()}
        ours, truth = (side[:, i] for side in told.affect)
        known = np.flatnonzero(~np.isnan(truth))
        figures[name]["ccc_interval"] = _ccc_interval(ours[known], truth[known])
    return {"affect": figures}


def _ccc_interval(ours: Floats, truth: Floats) -> tuple[float, float] | None:
    if not len(truth):
        return None
    return bootstrap_interval(lambda at: ccc(ours[at], truth[at]), len(truth))


def _tell(about: Mapping[str, Any], format: str, output: Path | None) -> None:
    text = json.dumps(about, indent=1) + "\n" if format == "json" else _text(about)
    if output is None:
        sys.stdout.write(text)
        return
    with replacing(output) as file:
        file.write(text.encode())


def _text(about: Mapping[str, Any]) -> str:
    where = f", faces found by {about['detector']}" if about["detector"] else ""
    view = "face and mirror image" if about["mirror"] else "single view"
    options = "".join(f", {k} {v}" for k, v in about["reader_options"].items())
    lines = [
        f"{about['model']}, head {about['head']}, on {about['data']} {about['split']}, "
        f"truth {about['truth']}, n = {about['n']}, {view}{where}{options}",
        *_scores(about),
        *_recalls(about),
        *_confusion(about),
    ]
    if rest := about.get("without_contempt"):
        lines += [f"  without contempt, n = {rest['n']}", *_scores(rest), *_recalls(rest)]
    if "affect" in about:
        lines.append("  valence and arousal   n   RMSE     PCC     CCC  (95 % interval)      SAGR")
        lines += [_affect_line(name, part) for name, part in about["affect"].items()]
    return "\n".join(lines) + "\n"


def _scores(report: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  accuracy           {_with_interval(report, 'accuracy')}",
        f"  balanced accuracy  {_with_interval(report, 'balanced_accuracy')}",
        f"  macro F1           {report['macro_f1']:.4f}",
        f"  ECE                {report['ece']:.4f}",
    ]
    if pictures := report.get("pictures"):
        lines += [
            f"  a face was found in {pictures['found']} of {pictures['n']} pictures "
            f"({pictures['share']:.2%}); where it was missed, the answer counts as wrong:",
            f"    accuracy           {_with_interval(pictures, 'accuracy')}",
            f"    balanced accuracy  {_with_interval(pictures, 'balanced_accuracy')}",
        ]
    return lines


def _with_interval(report: Mapping[str, Any], name: str) -> str:
    low, high = report[f"{name}_interval"]
    return f"{report[name]:.4f}  (95 % interval {low:.4f} to {high:.4f})"


def _recalls(report: Mapping[str, Any]) -> list[str]:
    lines = ["  recall per expression"]
    for name, value in report["recall"].items():
        interval = report["recall_interval"][name]
        between = "" if interval is None else f"  ({interval[0]:.3f} to {interval[1]:.3f})"
        share = "-" if value is None else f"{value:.3f}"
        lines.append(f"    {name:10} {share}{between}  n = {report['rows'][name]}")
    return lines


def _confusion(report: Mapping[str, Any]) -> list[str]:
    """Counts, a row for each true class, a column for each answer."""
    labels = report["labels"]
    lines = ["  confusion (rows: truth)  " + " ".join(f"{label[:9]:>9}" for label in labels)]
    for label, row in zip(labels, report["confusion"], strict=True):
        lines.append(f"    {label:<23}" + " ".join(f"{count:9}" for count in row))
    return lines


def _affect_line(name: str, part: Mapping[str, Any]) -> str:
    if part["ccc_interval"] is None:
        return f"    {name:<14}      0"
    low, high = part["ccc_interval"]
    return (
        f"    {name:<14}  {part['n']:5}  {part['rmse']:.4f}  {part['pcc']:6.3f}  "
        f"{part['ccc']:6.3f}  ({low:.3f} to {high:.3f})  {part['sagr']:6.3f}"
    )

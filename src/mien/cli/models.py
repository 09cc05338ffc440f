"""`mien models`: what there is to run, and fetching a detector."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mien.cli.flags import call
from mien.cli.main import OK
from mien.cli.progress import Progress
from mien.errors import UsageError
from mien.runtime import store

_BELOW = ("sha256", "training_data", "intended_use", "valence_and_arousal", "uncertain")
"""What the table says below its columns, or leaves to JSON."""


def models(
    action: Literal["list", "show", "pull", "cards"] = "list",
    name: str | None = None,
    /,
    *,
    format: Literal["table", "json"] = "table",
    architectures: bool = False,
) -> int:
    """List the bundled models, show all that one says about itself, or pull a detector.

    Examples: `mien models`, `mien models show mien-tiny`, `mien models pull yunet`, and
    `mien models cards > MODELS.md`.

    Args:
        action: What to do.
        name: The model to show or the file to pull.
        format: A table for people, or JSON.
        architectures: List the networks that can be trained instead (extra `train`).
    """
    if action == "pull":
        return _pull(name)
    if action == "show":
        return _show(name)
    if action == "cards":
        return _cards()
    table = _architectures() if architectures else [_summary(n) for n in store.bundled()]
    if format == "json":
        _print_json(table)
    else:
        _print_table(table)
    return OK


def run(argv: Sequence[str]) -> int:
    """Run the verb with its command-line words."""
    return call(models, argv, prog="mien models")


def _pull(name: str | None) -> int:
    if name is None:
        raise UsageError(f"pull what? Known: {', '.join(store.DOWNLOADS)}")
    entry = store.download(name)
    sys.stderr.write(f"{name}: {entry.what}; licence {entry.licence}; from {entry.url}\n")
    with Progress("bytes", sys.stderr.isatty(), entry.size) as progress:
        path = store.pull(name, progress=lambda done, total: progress.step(done))
    sys.stdout.write(f"{path}\n")
    return OK


def _cards() -> int:
    from mien.report.card import cards
    from mien.runtime.classify import load_classifier

    files = store.bundled().values()
    sys.stdout.write(cards([(load_classifier(path).spec, path) for path in files]))
    return OK


def _show(name: str | None) -> int:
    if name is None:
        raise UsageError(f"show which? Known: {', '.join(store.bundled())}, or an .onnx file")
    from mien.runtime.classify import load_classifier

    path = store.resolve(name)
    about = dataclasses.asdict(load_classifier(path).spec)
    _print_json({**about, "file": path.name, **_file_facts(path)})
    return OK


def _summary(name: str) -> dict[str, Any]:
    from mien.runtime.classify import DEFAULT_MODEL, load_classifier

    path = store.resolve(name)
    spec = load_classifier(path).spec
    return {
        "name": name,
        "default": name == DEFAULT_MODEL,
        "parameters": spec.parameters,
        "macs": spec.macs,
        "input": [spec.input.channels, spec.input.size, spec.input.size],
        "heads": {head.name: len(head.labels) for head in spec.heads},
        "licence": spec.licence,
        "training_data": list(spec.training_data),
        "intended_use": spec.intended_use,
        "valence_and_arousal": spec.affect_kind,
        "uncertain": spec.uncertain_kind,
        **_file_facts(path),
    }


def _file_facts(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _architectures() -> list[dict[str, Any]]:
    from mien.cli.train import require_train

    require_train("listing architectures")
    from mien.train.models import catalogue

    return catalogue()


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _print_table(content: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = [c for c in content[0] if c not in _BELOW]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in content:
        table.add_row(*(_text(row[column]) for column in shown))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for row in content:
        if row.get("intended_use"):
            console.print(f"\n[bold]{row['name']}[/]: {row['intended_use']}")
            console.print("Trained on: " + "; ".join(row["training_data"]))
        if row.get("valence_and_arousal"):
            console.print("Valence and arousal: " + row["valence_and_arousal"])
        if row.get("uncertain"):
            console.print("Uncertain: " + row["uncertain"])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)

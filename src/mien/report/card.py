"""Model cards: what a model file says about itself, as Markdown."""

from __future__ import annotations

from pathlib import Path

from mien.spec import HeadSpec, ModelSpec

HEADER = """\
# Models

Made from the model files by `mien models cards`; do not edit. Figures are parts of one.
"""

NOT_FOR = (
    "Apparent expressions are not feelings. Not for decisions about people; inferring emotions at "
    "work and in education is prohibited in the EU. See [RESPONSIBLE_USE.md](RESPONSIBLE_USE.md)."
)


def cards(models: list[tuple[ModelSpec, Path]]) -> str:
    """The whole of MODELS.md for these models and their files."""
    return "\n".join([HEADER, *(card(spec, path) for spec, path in models)])


def card(spec: ModelSpec, path: Path) -> str:
    """One model's card."""
    size = path.stat().st_size / 1000
    lines = [
        f"## {spec.name} {spec.version}",
        "",
        f"{spec.intended_use} {NOT_FOR}",
        "",
        "| | |",
        "|---|---|",
        f"| architecture | `{spec.architecture}` |",
        f"| parameters, all counted | {spec.parameters:,} |",
        f"| multiply-accumulates a face | {spec.macs:,} |",
        f"| file | {path.name}, {size:.0f} kB |",
        f"| input | {_input(spec)} |",
        f"| crop recipe | `{spec.input.crop}` |",
        f"| weights' licence | {spec.licence} |",
        *(f"| trained on | {data} |" for data in spec.training_data),
        f"| command | `{spec.command}`, seed {spec.seed} |",
        f"| made | {spec.created}, {_commit(spec)} |",
        f"| default answer | {_answer(spec)} |",
        "",
        *_figures(spec),
    ]
    return "\n".join(lines) + "\n"


def _input(spec: ModelSpec) -> str:
    kind = "grey" if spec.input.channels == 1 else "RGB"
    size, floor = spec.input.size, spec.input.std_floor
    return f"{size}x{size} {kind}, each crop to mean 0 and deviation 1 (floor {floor:g})"


def _commit(spec: ModelSpec) -> str:
    if not spec.commit:
        return "commit unknown"
    changed = " with changes since" if spec.commit.endswith("+") else ""
    return f"commit {spec.commit[:12]}{changed}"


def _answer(spec: ModelSpec) -> str:
    parts = []
    for name, weight in spec.answer.weights.items():
        strength = spec.answer.prior_strength.get(name, 0)
        parts.append(f"{weight:g} x `{name}`, priors divided out by {strength:g}")
    return "; ".join(parts) + (f". {spec.answer.why}" if spec.answer.why else "")


def _figures(spec: ModelSpec) -> list[str]:
    """A table of the figures by head, measured on the validation split."""
    names = [head.name for head in spec.heads]
    if any(key.startswith("answer_") for key in spec.metrics):
        names.append("answer")
    measures = sorted({k.removeprefix(f"{n}_") for n in names for k in _of(spec, n)})
    rows = ["| validation split | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for measure in measures:
        cells = [spec.metrics.get(f"{name}_{measure}") for name in names]
        told = " | ".join("" if cell is None else f"{cell:g}" for cell in cells)
        rows.append(f"| {measure.replace('_', ' ')} | {told} |")
    heads = [_head(head) for head in spec.heads]
    return [*rows, "", *heads]


def _of(spec: ModelSpec, name: str) -> list[str]:
    return [key for key in spec.metrics if key.startswith(f"{name}_")]


def _head(head: HeadSpec) -> str:
    priors = ", ".join(
        f"{label} {100 * p:.1f} %" for label, p in zip(head.labels, head.priors, strict=True)
    )
    return f"Head `{head.name}`: temperature {head.temperature:g}; training shares {priors}.\n"

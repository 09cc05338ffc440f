"""The parts of a page that say what its numbers are worth: the model's card, and the limits."""

from __future__ import annotations

from html import escape

from mien.report.listing import html_table
from mien.spec import ModelSpec

MEANING = """\
<ul>
<li>They are <strong>apparent expressions</strong>: what a face looks like to those who labelled the
training pictures. They are not feelings, and not honesty, intent, attention, health or character.
People smile without being happy and are sad without showing it; how emotions are shown differs
between cultures, situations and persons (Barrett, Adolphs, Marsella, Martinez &amp; Pollak 2019,
doi:10.1177/1529100619832930).</li>
<li>They lean on the training pictures. The usual sets hold many neutral and happy faces and few
with disgust or contempt; what was rare in training is missed, or told by mistake, more often.
Probabilities are calibrated on the model's own validation pictures and are a guide only on
others.</li>
<li>Error rates differ between groups of people and have not been measured for each. Blur, masks,
glasses, shadow and turned heads make them worse.</li>
<li>A number such as Person 2 identifies nobody. It follows a face through one video by where it is;
somebody who leaves and comes back gets a new number, and two people who cross can swap theirs.</li>
<li>They are <strong>not for decisions about people</strong>: not for hiring, grading, discipline,
insurance, credit, policing, border control or lie detection.</li>
<li><strong>European Union:</strong> AI systems that infer emotions in workplaces and educational
institutions are prohibited except for medical or safety reasons (Regulation (EU) 2024/1689,
Article 5(1)(f)). Whoever deploys an emotion recognition system must inform the people exposed to
it (Article 50(3)). Face pictures are personal data: pass this page on only to those who may see
them.</li>
</ul>
"""
"""What every page says of its numbers; RESPONSIBLE_USE.md says more."""

_MEASURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "n")


def card_html(spec: ModelSpec | None, model: str) -> str:
    """The model's card, or that none is known for the name `model` in the table."""
    if spec is None:
        return (
            f"<p>No card: the table names the model {escape(repr(model))}, and no description of "
            "it was given. Its error rates are not known here.</p>"
        )
    kind = "grey" if spec.input.channels == 1 else "RGB"
    facts = [
        ("name", f"{spec.name} {spec.version}"),
        ("made for", spec.intended_use),
        ("architecture", spec.architecture),
        ("parameters", f"{spec.parameters:,}"),
        ("input", f"{spec.input.size}x{spec.input.size} {kind}, crop {spec.input.crop}"),
        ("trained on", "; ".join(spec.training_data)),
        ("weights' licence", spec.licence),
        ("valence and arousal", spec.affect_kind),
        ("uncertain", spec.uncertain_kind),
        ("made", f"{spec.created}, commit {spec.commit[:12] or 'unknown'}"),
    ]
    told = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts if v)
    return f"<dl>{told}</dl>{_figures(spec)}"


def _figures(spec: ModelSpec) -> str:
    """Error rates and other figures by head, as the model file tells them."""
    heads = [*(head.name for head in spec.heads), "answer"]
    rows = []
    for head in heads:
        told = [spec.metrics.get(f"{head}_{measure}") for measure in _MEASURES]
        if any(value is not None for value in told):
            rows.append([head, *("" if v is None else f"{v:g}" for v in told)])
    if not rows:
        return "<p>The model file has no figures: its error rates are not known.</p>"
    wrong = [
        f"{100 * (1 - spec.metrics[f'{head}_accuracy']):.0f} in 100 of "
        + ("the default answers" if head == "answer" else f"the head {escape(head)}'s")
        + " differ from the label"
        for head in heads
        if f"{head}_accuracy" in spec.metrics
    ]
    table = html_table(("on validation pictures", *(m.replace("_", " ") for m in _MEASURES)), rows)
    return f"<p>Error rates: {'; '.join(wrong) or 'not stated'}.</p>{table}"

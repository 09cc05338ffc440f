"""MODELS.md is what the bundled model files say of themselves."""

from pathlib import Path

import pytest

from mien.report.card import cards
from mien.runtime.classify import load_classifier
from mien.runtime.store import bundled

ROOT = Path(__file__).resolve().parents[2]


def test_models_md_is_up_to_date():
    models = [(load_classifier(path).spec, path) for path in bundled().values()]
    assert (ROOT / "MODELS.md").read_text("utf-8") == cards(models)


# At most: parameters, multiply-accumulates, bytes. At least: FER+ accuracy.
BUDGETS = {
    "mien-tiny": (58_000, 20e6, 400_000, 0.86),
    "mien-base": (6_000_000, 350e6, 4_500_000, 0.88),
    "mien-small": (1_500_000, 80e6, 1_200_000, 0.88),
    "mien-small-affect": (1_500_000, 80e6, 2_300_000, 0.85),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_bundled_model_keeps_its_budget_and_says_what_it_is(name):
    path = bundled()[name]
    spec = load_classifier(path).spec
    parameters, macs, size, accuracy = BUDGETS[name]
    assert spec.name == name
    assert spec.parameters <= parameters and spec.macs <= macs
    assert path.stat().st_size < size
    assert "FER2013" in spec.training_data[0]
    assert spec.metrics["ferplus_accuracy"] >= accuracy
    assert spec.metrics["ferplus_ece"] <= 0.05
    assert spec.metrics["fer2013_ece"] <= 0.05


def test_the_model_of_affectnet_is_for_research_alone_and_says_so():
    spec = load_classifier("mien-small-affect").spec
    assert "Research use only" in spec.licence and "AffectNet" in " ".join(spec.training_data)
    assert spec.has_affect and spec.metrics["affect_valence_ccc"] >= 0.55
    assert spec.metrics["affect_arousal_ccc"] >= 0.45 and spec.metrics["affectnet_accuracy"] >= 0.5


def test_all_weights_together_are_small():
    assert sum(path.stat().st_size for path in bundled().values()) < 12_000_000

"""MODELS.md is what the bundled model files say of themselves."""

from pathlib import Path

from mien.report.card import cards
from mien.runtime.classify import load_classifier
from mien.runtime.store import bundled

ROOT = Path(__file__).resolve().parents[2]


def test_models_md_is_up_to_date():
    models = [(load_classifier(path).spec, path) for path in bundled().values()]
    assert (ROOT / "MODELS.md").read_text("utf-8") == cards(models)


def test_the_bundled_model_keeps_its_budget_and_says_what_it_is():
    path = bundled()["mien-tiny"]
    spec = load_classifier(path).spec
    assert spec.name == "mien-tiny"
    assert spec.parameters <= 58_000
    assert spec.macs <= 20_000_000
    assert path.stat().st_size < 400_000
    assert "FER2013" in spec.training_data[0]
    assert spec.metrics["ferplus_accuracy"] >= 0.84
    assert spec.metrics["ferplus_ece"] <= 0.05
    assert spec.metrics["fer2013_ece"] <= 0.05

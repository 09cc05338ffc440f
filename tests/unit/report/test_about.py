"""A model's card, on a page and in MODELS.md."""

import pytest
from tiny_model import make_spec

from mien.labels import CIRCUMPLEX
from mien.report.about import card_html
from mien.report.card import card
from mien.spec import AffectMap, AnswerSpec

RULE = AnswerSpec({"ferplus": 1.0}, {}, threshold=0.5625, certain=0.85)
SOURCE = "Russell & Mehrabian"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.onnx"
    path.write_bytes(b"123")
    return path


def test_cards_say_where_valence_and_arousal_come_from_and_what_is_uncertain(file):
    spec = make_spec(answer=RULE, affect=AffectMap("answer", CIRCUMPLEX, SOURCE))
    told = card(spec, file)
    assert "on the circumplex (Russell & Mehrabian), not trained on ratings |" in told
    assert "| uncertain | answers below 0.56; of the others at least 85% were right" in told
    page = card_html(spec, spec.name)
    assert "on the circumplex (Russell &amp; Mehrabian), not trained on ratings</dd>" in page
    assert "<dt>uncertain</dt><dd>answers below 0.56;" in page


def test_cards_without_them_have_no_such_line(file):
    for told in (card(make_spec(), file), card_html(make_spec(), "tiny")):
        assert "valence" not in told and "uncertain" not in told

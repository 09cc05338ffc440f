"""A model's card says what its file says, in tables."""

import hashlib
from dataclasses import replace

import pytest
from tiny_model import make_spec

from mien.report.card import card, cards
from mien.spec import AnswerSpec


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(bytes(12_345))
    return path


def section(text, title):
    """The lines of a section that are not empty."""
    part = text.split(f"### {title}\n", 1)[1].split("\n### ", 1)[0]
    return [line for line in part.splitlines() if line]


def measured(**metrics):
    return make_spec(metrics=metrics)


def test_facts_and_uses(path):
    spec = make_spec(intended_use="Test pictures.", commit="abcdef0123456789+", seed=7)
    text = card(replace(spec, precision="int8", created="2026-01-02"), path)
    assert text.startswith("## tiny-test 1\n\n- **For:** Test pictures.\n- **Not for** decisions")
    assert "Article 5(1)(f)" in text and "RESPONSIBLE_USE.md" in text
    digest = hashlib.sha256(bytes(12_345)).hexdigest()
    for line in (
        "| file | tiny.onnx, 12 kB, int8 |",
        f"| SHA-256 | `{digest}` |",
        "| made | 2026-01-02, commit abcdef012345 with changes since |",
        "| command | `none`, seed 7 |",
    ):
        assert line in text.splitlines()
    assert text.count("###") == text.count("### Heads") == 1  # nothing measured, nothing failed


def test_figures_by_head(path):
    spec = measured(
        fer2013_n=3579, fer2013_accuracy=0.64739, fer2013_accuracy_low=0.63174,
        fer2013_accuracy_high=0.66248, fer2013_ece=0.01938, fer2013_ece_uncalibrated=0.02469,
        fer2013_ece_cross_fitted=0.0191, answer_n=3199, answer_accuracy=0.74586,
        answer_certain_share=0.75586, answer_certain_accuracy=0.85029,
    )  # fmt: skip
    head, rule, first, second, *rest = section(card(spec, path), "The validation split")
    assert head == (
        "|  | n | accuracy (95 % interval) | ECE before | ECE after | ECE cross-fitted |"
    )
    assert rule == "|---|---|---|---|---|---|"
    assert first == "| `fer2013` | 3579 | 0.647 (0.632 to 0.662) | 0.025 | 0.019 | 0.019 |"
    assert second == "| `answer` | 3199 | 0.746 |  |  |  |"
    assert rest[0] == "`answer`: certain share 0.756, certain accuracy 0.850."


def test_recalls_by_class_in_the_order_of_the_labels(path):
    spec = measured(
        fer2013_recall_fear=0.32121, fer2013_n_fear=495, fer2013_recall_neutral=0.71736,
        fer2013_n_neutral=605, ferplus_recall_contempt=0.07692, ferplus_n_contempt=13,
        ferplus_recall_neutral=0.9, ferplus_n_fear=0, answer_n=4,
    )  # fmt: skip
    lines = section(card(spec, path), "The validation split")
    at = lines.index("| recall of | `fer2013` | `ferplus` |")
    assert lines[at + 2 : at + 5] == [
        "| neutral | 0.717 of 605 | 0.900 |",
        "| fear | 0.321 of 495 |  |",
        "| contempt |  | 0.077 of 13 |",
    ]


def test_other_data_sets_have_tables_of_their_own(path):
    spec = measured(
        affectnet_answer_accuracy=0.43, affectnet_answer_n=2997, affectnet_answer_recall_fear=0.5,
        affectnet_valence_ccc=0.31, affectnet_valence_rmse=0.4, affectnet_arousal_ccc=0.2,
        mine_fer2013_n=12, fer2013_n=3, speed_batch1_ms=0.81, carbon=2.5,
    )  # fmt: skip
    text = card(replace(spec, machine="two cores"), path)
    titles = [line for line in text.splitlines() if line.startswith("###")]
    assert titles == [
        "### The validation split", "### AffectNet", "### mine", "### Speed", "### Other figures",
        "### Heads",
    ]  # fmt: skip
    assert section(text, "AffectNet") == [
        "|  | n | accuracy (95 % interval) |",
        "|---|---|---|",
        "| `answer` | 2997 | 0.430 |",
        "| recall of | `answer` |",
        "|---|---|",
        "| fear | 0.500 |",
        "|  | CCC | RMSE |",
        "|---|---|---|",
        "| valence | 0.310 | 0.400 |",
        "| arousal | 0.200 |  |",
    ]
    assert section(text, "Speed") == [
        "0.81 ms a face, one by one on one thread. Measured on two cores."
    ]
    assert section(text, "Other figures")[2] == "| carbon | 2.5 |"


def test_known_failures_are_a_list(path):
    spec = replace(make_spec(), failures=("Masks are missed.", "So are profiles."))
    assert section(card(spec, path), "Known failures")[:2] == [
        "- Masks are missed.", "- So are profiles."
    ]  # fmt: skip


def test_heads_are_told_with_their_priors(path):
    text = card(make_spec(), path)
    assert "Head `ferplus`: temperature 1; training shares neutral 36.0 %, happiness 26.0 %" in text


def test_measured_priors_are_told_with_what_they_were_measured_on(path):
    assert "divides out" not in card(make_spec(), path)
    measured = {"fer2013": (0.4, *[0.1] * 6)}
    rule = AnswerSpec({"fer2013": 1.0}, {"fer2013": 0.5}, priors=measured, balance="fer2013")
    text = card(make_spec(answer=rule), path)
    assert "1 x `fer2013`, measured priors divided out by 0.5 |" in text
    assert (
        "expects of validation faces on which the labels of `fer2013` are equally frequent: "
        "neutral 40.00 %, happiness 10.00 %"
    ) in text


def test_every_model_has_its_card(path):
    text = cards([(make_spec(), path), (replace(make_spec(), name="other"), path)])
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## tiny-test 1", "## other 1"
    ]  # fmt: skip
    assert text.startswith("# Models\n")


def test_splits_that_were_trained_on_are_named(path):
    assert "| has seen |" not in card(measured(answer_n=4), path)
    spec = replace(measured(answer_n=4), trained_on=("fer2013 Training", "fer2013 PublicTest"))
    assert "| has seen | fer2013 Training, fer2013 PublicTest |" in card(spec, path).splitlines()

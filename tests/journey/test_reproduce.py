"""Each of the five papers, from tiny data sets to a table, by the command a user types."""

import csv
import json
from collections import defaultdict

import pytest
from commands import mien

for needed in ("torch", "onnx", "safetensors", "matplotlib"):
    pytest.importorskip(needed)

from synthetic_sets import write_sets  # noqa: E402

pytestmark = pytest.mark.journey

#: What is trained here of each paper, and its pictures.
TRAINED = {
    "tian2022": (
        ("tian2022_a", "mini_xception"),
        (),
    ),
    "yang2023": (
        ("faithful-3", "tuned-6"),
        ("curves-faithful-3", "curves-tuned-6", "confusion-tuned-6", "recalls-tuned-6"),
    ),
    "yu2023": (
        ("fer2013", "yu2023", "yu2023-started", "yu2023-leaking"),
        ("curves-yu2023", "confusion-yu2023"),
    ),
    "ngo2020": (
        ("identities", "ferplus-softmax", "ferplus-cluster", "affectnet-cluster-id"),
        (
            *("features-ferplus-softmax", "features-ferplus-cluster"),
            *("recalls-ferplus-softmax", "recalls-ferplus-cluster"),
        ),
    ),
    "lee2023": (
        ("teacher", "narrow", "narrow-both"),
        ("curves-teacher",),
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("sets"))


def words(paper, data, out, limit=16):
    only = [word for name in TRAINED[paper][0] for word in ("--only", name)]
    flags = ("--quick", "--limit", limit, "--threads", 1, "--data", data, "--out", out)
    return ("reproduce", paper, *flags, *only)


@pytest.fixture(scope="module", params=TRAINED)
def made(request, data, tmp_path_factory):
    """The paper, its folder, and what the command wrote there."""
    out = tmp_path_factory.mktemp(request.param)
    assert mien(*words(request.param, data, out)) == 0
    return request.param, out, json.loads((out / "metrics.json").read_text())


def predictions(out, experiment):
    """The rows of a predictions file by held-out set."""
    sets = defaultdict(list)
    with (out / "predictions" / f"{experiment}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sets[row["set"]].append(row)
    return sets


def test_everything_is_written(made):
    paper, out, metrics = made
    trained, pictures = TRAINED[paper]
    assert set(metrics["experiments"]) == set(trained)
    assert {path.stem for path in (out / "predictions").iterdir()} == set(trained)
    for name in pictures:
        assert (out / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert metrics["budget"]["name"] == "quick" and metrics["budget"]["faces"] == 16
    assert metrics["command"].startswith(f"mien reproduce {paper} --data DIR --budget quick")


def test_the_figures_follow_from_the_predictions(made):
    """Accuracy and recalls are counted again in the predictions file."""
    _, out, metrics = made
    for name, told in metrics["experiments"].items():
        sets = predictions(out, name)
        assert set(sets) == set(told["held_out"])
        for held_out, rows in sets.items():
            figures = told["held_out"][held_out]
            right = [row["truth"] == row["s0"] for row in rows]
            assert figures["n"] == len(rows)
            assert figures["accuracy"]["mean"] == pytest.approx(sum(right) / len(rows))
            for label in {row["truth"] for row in rows}:
                of_label = [r for r, row in zip(right, rows, strict=True) if row["truth"] == label]
                recall = figures[f"recall_{label}"]["mean"]
                assert recall == pytest.approx(sum(of_label) / len(of_label))


def test_the_table_shows_these_figures(made):
    """Every accuracy of the metrics stands in the page, with its interval."""
    paper, out, metrics = made
    page = (out / "table.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {paper}: ")
    assert "Budget `quick`" in page and "## Departures from the paper" in page
    for name, told in metrics["experiments"].items():
        if name in ("identities", "fer2013"):  # others start from them
            continue
        held_out = "cleaned" if "cleaned" in told["held_out"] else next(iter(told["held_out"]))
        figure = told["held_out"][held_out]["accuracy"]
        cell = f"{100 * figure['mean']:.1f}"
        if paper == "yang2023":
            cell = f"{figure['mean']:.3f}"
        assert any(f" {cell}" in line for line in page.splitlines() if line.startswith("| "))


def test_once_more_trains_nothing(made, data, capsys):
    paper, out, _ = made
    before = (out / "predictions" / f"{TRAINED[paper][0][0]}.csv").read_bytes()
    page = (out / "table.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert mien(*words(paper, data, out)) == 0
    told = capsys.readouterr()
    assert "finished before" in told.err and "epoch 1" not in told.err
    assert (out / "predictions" / f"{TRAINED[paper][0][0]}.csv").read_bytes() == before
    assert told.out == (out / "table.md").read_text(encoding="utf-8")
    if paper != "lee2023":  # which times the networks again
        assert told.out == page


def test_what_was_trained_before_stays_in_the_table(made, data, capsys):
    """A later command for one experiment shows the others that its folder has."""
    paper, out, metrics = made
    if paper != "tian2022":
        pytest.skip("one paper is enough")
    last = TRAINED[paper][0][-1]
    flags = ("--quick", "--limit", 16, "--threads", 1, "--data", data, "--out", out, "--quiet")
    assert mien("reproduce", paper, *flags, "--only", last) == 0
    assert capsys.readouterr().err == ""
    again = json.loads((out / "metrics.json").read_text())
    assert set(again["experiments"]) == set(metrics["experiments"])


def test_other_settings_are_refused_in_the_same_folder(made, data, capsys):
    paper, out, _ = made
    assert mien(*words(paper, data, out), "--epochs", "2", "--quiet") == 1
    assert "holds a run with other settings or data" in capsys.readouterr().err


def test_valence_and_arousal_are_among_the_predictions(made):
    paper, out, metrics = made
    if paper != "lee2023":
        pytest.skip("this paper has no valence and arousal")
    rows = predictions(out, "narrow-both")["AffectNet"]
    errors = [(float(row["valence_s0"]) - float(row["valence"])) ** 2 for row in rows]
    figures = metrics["experiments"]["narrow-both"]["held_out"]["AffectNet"]
    assert figures["rmse_valence"]["mean"] == pytest.approx(
        (sum(errors) / len(errors)) ** 0.5, abs=1e-3
    )
    costs = {name: told["costs"]["macs"] for name, told in metrics["experiments"].items()}
    assert metrics["experiments"]["narrow"]["macs_saved"] == pytest.approx(
        costs["teacher"] / costs["narrow"]
    )


@pytest.mark.parametrize(
    ("paper", "needs"),
    [
        ("tian2022", "fer2013"),
        ("yu2023", "ckplus"),
        ("yang2023", "fer2013"),
        ("ngo2020", "affectnet"),
        ("lee2023", "affectnet"),
    ],
)
def test_a_missing_data_set_is_one_clear_error(paper, needs, tmp_path, capsys):
    assert mien("reproduce", paper, "--data", tmp_path, "--quick", "--out", tmp_path / "o") == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert f"this needs {needs}, expected at {tmp_path}" in told.err
    assert not (tmp_path / "o").exists()


def test_words_that_contradict_each_other(tmp_path, capsys):
    given = ("reproduce", "tian2022", "--data", tmp_path, "--quick")
    assert mien(*given, "--budget", "full") == 2
    assert "--quick and --budget full contradict" in capsys.readouterr().err
    assert mien(*given, "--only", "none") == 2
    assert "tian2022 has no experiment none; it has tian2022_a" in capsys.readouterr().err
    assert mien("reproduce", "nobody2020", "--data", tmp_path) == 2

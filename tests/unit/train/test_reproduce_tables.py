"""Made-up results land in the cells they belong in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("yaml")

from mien.train.config import TrainConfig
from mien.train.reproduce import tian2022, yang2023
from mien.train.reproduce.costs import Costs
from mien.train.reproduce.experiment import Answers, Experiment, Outcome
from mien.train.reproduce.measures import Figure
from mien.train.reproduce.study import render
from mien.train.reproduce.tables import (
    Column,
    Comparison,
    Line,
    Pair,
    Result,
    Sheet,
    format_figure,
    render_comparison,
    render_sheet,
)


def result(name, held_out="test", wrong=0, n=100, costs=None, speed=50.0, relative=None, **told):
    """A result of `n` faces, of which the first `wrong` are taken for the other class."""
    truth = np.zeros(n, np.intp)
    logits = np.tile(np.float32([1, 0]), (1, n, 1))
    logits[0, :wrong] = [0, 1]
    names = tuple(map(str, range(n)))
    answers = Answers(("neutral", "fear"), names, truth, logits, np.zeros(n, np.intp))
    outcome = Outcome(
        Experiment(name, TrainConfig(), ("faces",), "fer2013"),
        {held_out: answers},
        ([{"faces_per_s": speed}],),
        (n,),
        (Path("nowhere"),),
    )
    figures = {held_out: {key: Figure(*value) for key, value in told.items()}}
    return Result(outcome, figures, costs or Costs(1, 2, 3, 4), speed, relative or {})


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def table(lines):
    """The rows of a Markdown table by their first cell, and the headings under the empty one."""
    rows = [cells(line) for line in lines if line.startswith("|") and not line.startswith("|---")]
    return {row[0]: row[1:] for row in rows}


def test_a_cell_has_mean_deviation_and_interval():
    figure = Figure((0.60, 0.62), (0.58, 0.635))
    assert format_figure(figure, "percent") == "61.0 ± 1.4 (58.0 to 63.5)"
    assert format_figure(Figure((0.5,), (0.4, 0.6)), "number") == "0.500 (0.400 to 0.600)"
    assert format_figure(Figure((0.25,)), "percent") == "25.0"
    assert format_figure(Figure((float("nan"),)), "percent") == "–"
    assert format_figure(Figure((-0.0001,)), "number") == "0.000"


def test_the_papers_numbers_stand_beside_ours():
    columns = (
        Column("accuracy", "accuracy"),
        Column("F1", "macro_f1", "number"),
        Column("MACs", "macs", "millions"),
        Column("speed", "faces_per_s", "per_second"),
        Column("cheaper", "macs_saved", "times"),
    )
    sheet = Sheet(
        "A",
        "test",
        columns,
        (Line("theirs", "one", {"accuracy": 0.7}), Line("other", "two"), Line("unrun", "three")),
    )
    one = result("one", costs=Costs(1, 2, 3_500_000, 4), accuracy=((0.6,),), macro_f1=((0.5,),))
    two = result("two", speed=1234.4, relative={"macs_saved": 56.63}, accuracy=((0.5, 0.7),))
    lines = render_sheet(sheet, {"one": one, "two": two})
    assert lines[0] == "### A (n = 100)"
    rows = table(lines)
    assert rows[""] == ["accuracy, paper", "accuracy, ours", "F1", "MACs", "speed", "cheaper"]
    nothing = "–"
    assert rows["theirs"] == ["70.0", "60.0", "0.500", "3.50", "50", nothing]
    assert rows["other"] == [nothing, "60.0 ± 14.1", nothing, "0.00", "1,234", "56.6"]
    assert "unrun" not in rows


def test_a_table_of_nothing_is_left_out():
    sheet = Sheet("A", "test", (Column("accuracy", "accuracy"),), (Line("x", "none"),))
    assert render_sheet(sheet, {}) == []
    assert render_comparison(Comparison("B", "test", "accuracy", (Pair("a", "b"),)), {}, 10) == []


def test_a_comparison_tells_points_interval_and_verdict():
    comparison = Comparison("B", "test", "accuracy", (Pair("good", "bad"), Pair("good", "none")))
    results = {"good": result("good", wrong=10), "bad": result("bad", wrong=60)}
    rows = table(render_comparison(comparison, results, 300))
    assert list(rows) == ["", "good"]
    against, points, interval, verdict = rows["good"]
    assert (against, points, verdict) == ("bad", "+50.0", "higher")
    low, high = (float(end) for end in interval.split(" to "))
    assert 37 < low < 45 and 55 < high < 63  # 50 of 100 faces differ: deviation 5 points


def test_yangs_tables_are_typed_in_as_printed():
    """Against Tables 1 and 2 as the text has them, macro and weighted."""
    sheets = {sheet.title: sheet for sheet in yang2023.plan(Path(), yang2023.BUDGETS["cpu"]).sheets}
    macro = {
        line.label: line.paper
        for line in sheets["Table 1, macro averages, tuned, validation"].lines
    }
    assert [macro["6 layers"][c.figure] for c in yang2023.TABLE_1] == [0.48, 0.52, 0.56, 0.47]
    assert [macro["5 layers"][c.figure] for c in yang2023.TABLE_1] == [0.43, 0.47, 0.51, 0.41]
    assert [macro["3 layers"][c.figure] for c in yang2023.TABLE_2] == [0.61, 0.47, 0.51]
    for paper in macro.values():  # a weighted recall is the accuracy
        assert paper["weighted_recall"] == paper["accuracy"]


def test_the_page_tells_budget_sizes_and_departures():
    budget = tian2022.BUDGETS["cpu"]
    plan = tian2022.plan(Path(), budget)
    costs = Costs(56_471, 57_463, 6_330_000, 100_000_000)
    told = result("tian2022_a", "PublicTest", costs=costs, accuracy=((0.661,), (0.64, 0.68)))
    page = render(plan, budget, {"tian2022_a": told}, "mien reproduce tian2022")
    assert "Made by `mien reproduce tian2022`." in page
    assert "Budget `cpu`: 1 seed, 4 epochs, at most 6,000 training faces" in page
    assert (
        "- tian2022_a: 100 training faces; held out: PublicTest 100 (neutral 100, fear 0)." in page
    )
    for sentence in plan.departures:
        assert f"- {sentence}" in page
    row = table(page.splitlines())["Tian, net A (ours of its description)"]
    assert row[:2] == ["72.4", "66.1 (64.0 to 68.0)"]
    assert row[3:7] == ["56,471", "58,000", "57,463", "6.33"]
    assert row[8] == "100.0"


def test_the_page_tells_of_its_own_experiments_what_they_started_from():
    begun = dict.fromkeys(("tian2022_a", "tian2022_b", "yang_cnn6"), "started from elsewhere")
    plan = replace(tian2022.plan(Path(), tian2022.BUDGETS["cpu"]), started=begun)
    costs = Costs(56_471, 57_463, 6_330_000, 100_000_000)
    told = {n: result(n, "PublicTest", costs=costs) for n in ("tian2022_a", "yang_cnn6")}
    page = render(plan, tian2022.BUDGETS["cpu"], told, "")
    assert "- tian2022_a, yang_cnn6: started from elsewhere.\n" in page

"""The table of results on a terminal."""

from observations import face, ok

from mien.cli import terminal
from mien.labels import COLOURS


def test_an_uncertain_expression_has_a_question_mark(tmp_path):
    path = tmp_path / "table.txt"
    told = ok("a.jpg", face("fear", probability=0.31, uncertain=True), face(face_id=1))
    terminal.print_table(iter([told]), path)
    header, first, second = path.read_text().splitlines()
    assert header.split() == ["photo", "face", "box", "expression", "then"]
    assert "  fear? 31 %      ██████·" in first
    assert "  happiness 93 %  ██" in second and "?" not in second


def test_it_keeps_its_colour(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("COLUMNS", "120")
    terminal._print_rich(iter([ok("a.jpg", face("fear", probability=0.31, uncertain=True))]))
    red, green, blue = (int(COLOURS["fear"][i : i + 2], 16) for i in (1, 3, 5))
    assert f"38;2;{red};{green};{blue}m██████" in capsys.readouterr().out

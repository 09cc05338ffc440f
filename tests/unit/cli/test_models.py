"""What `mien models` says below its table."""

from mien.cli.models import _print_table

ROW = {"name": "some", "default": True, "parameters": 1234, "sha256": "0" * 64}
ABOUT = {"training_data": ["FER2013"], "intended_use": "research"}


def test_where_valence_and_arousal_come_from_and_what_is_uncertain(capsys):
    told = {"valence_and_arousal": "not trained on ratings", "uncertain": "answers below 0.44"}
    _print_table([{**ROW, **ABOUT, **told}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "default", "parameters"]
    assert lines[1].split() == ["some", "yes", "1,234"]
    assert lines[-3:] == [
        "Trained on: FER2013",
        "Valence and arousal: not trained on ratings",
        "Uncertain: answers below 0.44",
    ]


def test_a_model_without_either_says_nothing_of_them(capsys):
    _print_table([{**ROW, **ABOUT, "valence_and_arousal": "", "uncertain": ""}])
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "Trained on: FER2013"
    assert "rousal" not in out and "ncertain" not in out

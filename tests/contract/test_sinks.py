"""What every sink must do, whichever format it writes."""

import csv
import io
import json
from pathlib import Path

import pytest
from observations import UNDECODABLE, no_face, ok, one_of_each, unreadable

from mien.errors import UsageError
from mien.io import sinks
from mien.io.sinks import SINKS, open_sink, replacing
from mien.report.table import COLUMNS, INTEGER_COLUMNS, TEXT_COLUMNS, rows, to_dict


def read_json(path):
    return json.loads(path.read_bytes())


def read_jsonl(path):
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def read_csv(path):
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    assert tuple(reader.fieldnames) == COLUMNS
    return [{name: typed(name, cell) for name, cell in row.items()} for row in reader]


def typed(column, cell):
    if cell == "":
        return None
    if column in TEXT_COLUMNS:
        return cell
    return int(cell) if column in INTEGER_COLUMNS else float(cell)


def read_parquet(path):
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert tuple(table.column_names) == COLUMNS
    kinds = {"string": TEXT_COLUMNS, "int64": INTEGER_COLUMNS}
    for field in table.schema:
        assert field.name in kinds.get(str(field.type), set(COLUMNS))
    return table.to_pylist()


def objects(observations):
    return [to_dict(o) for o in observations]


def table_rows(observations):
    return [row for o in observations for row in rows(o)]


def legible_rows(observations):
    """Parquet holds text alone: what is none in a name is told as an escape."""
    told = table_rows(observations)
    return [{**r, "source": r["source"].encode(errors="backslashreplace").decode()} for r in told]


# Format -> how to read it, and what must be read.
KINDS = {
    "json": (read_json, objects),
    "jsonl": (read_jsonl, objects),
    "csv": (read_csv, table_rows),
    "parquet": (read_parquet, legible_rows),
}


@pytest.fixture(params=SINKS)
def kind(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def write(kind, path, observations):
    with open_sink(kind, path) as sink:
        for observation in observations:
            sink.write(observation)
    return KINDS[kind][0](path)


def test_every_sink_is_tested():
    assert set(SINKS) == set(KINDS)


def test_what_is_written_is_read_again(kind, tmp_path):
    observations = one_of_each()
    assert write(kind, tmp_path / "out", observations) == KINDS[kind][1](observations)


@pytest.mark.parametrize("observation", one_of_each(), ids=ascii)
def test_one_alone(kind, tmp_path, observation):
    got = write(kind, tmp_path / "out", [observation])
    assert got == KINDS[kind][1]([observation])


def test_nothing_is_a_whole_file_too(kind, tmp_path):
    assert write(kind, tmp_path / "out", []) == []


def test_many(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "_PARQUET_ROWS", 16)  # several groups of rows, and one left over
    observations = [ok(f"{i}.jpg") if i % 3 else no_face(f"{i}.jpg") for i in range(100)]
    got = write(kind, tmp_path / "out", observations)
    assert [row["source"] for row in got] == [o.source for o in observations]
    assert [row["status"] for row in got] == [o.status for o in observations]


@pytest.mark.parametrize("older", [None, b"older"])
def test_nothing_is_in_place_before_the_end(kind, tmp_path, older):
    path = tmp_path / "out"
    if older is not None:
        path.write_bytes(older)
    with open_sink(kind, path) as sink:
        for observation in one_of_each():
            sink.write(observation)
            assert (path.read_bytes() if path.exists() else None) == older
    assert KINDS[kind][0](path) == KINDS[kind][1](one_of_each())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("older", [None, b"older"])
def test_after_an_error_the_part_is_left_and_the_file_is_as_it_was(kind, tmp_path, older):
    path = tmp_path / "out"
    if older is not None:
        path.write_bytes(older)
    with pytest.raises(ZeroDivisionError), open_sink(kind, path) as sink:
        sink.write(ok())
        raise ZeroDivisionError
    assert (path.read_bytes() if path.exists() else None) == older
    assert (tmp_path / "out.part").exists()
    assert write(kind, path, [ok()]) == KINDS[kind][1]([ok()])  # and the next run is whole
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_older_file_is_replaced(kind, tmp_path):
    path = tmp_path / "out"
    write(kind, path, one_of_each())
    assert write(kind, path, [ok()]) == KINDS[kind][1]([ok()])


def test_folders_are_made(kind, tmp_path):
    path = tmp_path / "a" / "b" / f"out.{kind}"
    assert write(kind, path, [no_face()]) == KINDS[kind][1]([no_face()])


@pytest.mark.parametrize("path", [Path("/dev/null/out"), Path("/proc/no/such")], ids=str)
def test_where_nothing_can_be_written(kind, path):
    with pytest.raises(UsageError, match=f"cannot write {path}"), open_sink(kind, path):
        pass


def test_a_folder_in_its_place_is_told_before_the_work(kind, tmp_path):
    with pytest.raises(UsageError, match="is a folder"), open_sink(kind, tmp_path):
        pytest.fail("it must not come to work")


def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path):
    with (
        pytest.raises(UsageError, match=r"'xlsx'\. Known: json, jsonl, csv, parquet"),
        open_sink("xlsx", tmp_path / "out.xlsx"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lines_are_complete_as_they_come(tmp_path):
    part = tmp_path / "out.part"
    with open_sink("jsonl", tmp_path / "out") as sink:
        for n, observation in enumerate(one_of_each(), 1):
            sink.write(observation)
            assert len(read_jsonl(part)) == n


def test_undecodable_names_keep_their_bytes_in_csv(tmp_path):
    write("csv", tmp_path / "out", [unreadable(UNDECODABLE)])
    assert b"\ncaf\xe9 \xff.jpg,0," in (tmp_path / "out").read_bytes()


def test_json_is_utf8_and_legible(tmp_path):
    write("jsonl", tmp_path / "out", [no_face("日本.jpg"), no_face(UNDECODABLE)])
    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    assert '"source": "日本.jpg"' in lines[0]
    assert r'"source": "caf\udce9 \udcff.jpg"' in lines[1]


def test_stdout_has_the_same_bytes_as_a_file(kind, tmp_path, capfdbinary):
    write(kind, tmp_path / "out", one_of_each())
    with open_sink(kind) as sink:
        for observation in one_of_each():
            sink.write(observation)
    assert capfdbinary.readouterr().out == (tmp_path / "out").read_bytes()


def test_replacing_takes_any_bytes(tmp_path):
    with replacing(tmp_path / "sub" / "any") as file:
        file.write(b"\0\xff")
        assert not (tmp_path / "sub" / "any").exists()
    assert (tmp_path / "sub" / "any").read_bytes() == b"\0\xff"

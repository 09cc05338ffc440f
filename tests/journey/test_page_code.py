"""The page's modules, run in Chromium without a server of mien's: what they compute and draw.

What Python has already (crops, decoding, the answer, smoothing, columns, colours) is compared with
Python's. The tests skip without Playwright and Chromium.
"""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from page_in_browser import PAGE, chromium, served
from scripts import load_script

from mien.faces import yunet
from mien.faces.crop import RECIPES
from mien.faces.detect import _Searcher, _shrunk
from mien.faces.selection import Options
from mien.labels import CIRCUMPLEX, COLOURS, EIGHT
from mien.report.shapes import SHADE, TEXTURES
from mien.report.table import VIDEO_COLUMNS
from mien.runtime.classify import answer, load_classifier
from mien.spec import AffectMap
from mien.video.reading import Reading
from mien.video.smooth import LabelHold, Smoother

GOLDEN = Path(__file__).parents[1] / "golden"
make_crops = load_script(GOLDEN / "make_crops.py")
CROPS = np.load(make_crops.FILE)


@pytest.fixture(scope="module")
def tab():
    with served(PAGE) as address, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}icon.svg")
        yield page


def run(tab, module, body, given=None):
    """What the function body gives with the module as `m` and `given` as `x`."""
    return tab.evaluate(
        "async ([path, body, x]) => {"
        " const m = await import(path);"
        " return await new Function('m', 'x', `return (async () => {${body}})()`)(m, x); }",
        [f"/{module}", body, given],
    )


def pixels(rgb):
    """A picture as the modules take it; `PICTURE` makes its data an array of bytes."""
    height, width = rgb.shape[:2]
    channels = 1 if rgb.ndim == 2 else rgb.shape[2]
    return {"data": rgb.ravel().tolist(), "width": width, "height": height, "channels": channels}


PICTURE = "const p = {...x.picture, data: Uint8Array.from(x.picture.data)};"


def test_the_page_is_small_and_asks_for_nothing_from_elsewhere():
    files = [path for path in PAGE.iterdir() if path.is_file()]
    assert {"index.html", "app.css", "app.js", "backend.js", "icon.svg"} <= {p.name for p in files}
    assert sum(path.stat().st_size for path in files) <= 150_000
    for path in files:
        found = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name
        assert "innerHTML" not in path.read_text("utf-8"), path.name
    html = (PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", html)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("half", [False, True])
def test_crops_are_those_of_python_to_the_bit(tab, name, half):
    rgb = make_crops.picture()
    given = {
        "picture": pixels(rgb[::2, ::2] if half else rgb),
        "boxes": make_crops.BOXES.astype(float).tolist(),
        "name": name,
        "scale": 0.5 if half else 1.0,
    }
    cut = "x.boxes.map((box) => m.cut(p, box, 40, m.RECIPES[x.name], x.scale))"
    got = run(tab, "crop.js", f"{PICTURE} return {cut}.map((c) => [...c.data]);", given)
    want = CROPS[f"{name} half" if half else name]
    assert np.array_equal(np.uint8(got).reshape(want.shape), want)
    if not half:
        more = (
            f"{PICTURE} return {cut}.map((c) => [[...m.grey(c).data], [...m.resize(c, 17).data]]);"
        )
        greys, resized = zip(*run(tab, "crop.js", more, given), strict=True)
        for told, kind in ((greys, "grey"), (resized, "resized")):
            wanted = CROPS[f"{name} {kind}"]
            assert np.array_equal(np.uint8(told).reshape(wanted.shape), wanted), kind


def test_the_recipes_are_all_there(tab):
    told = run(tab, "crop.js", "return m.RECIPES;")
    wanted = {r.name: {"margin": r.margin, "drop": r.drop} for r in RECIPES.values()}
    assert told == wanted


@pytest.mark.parametrize("size", [(170, 131), (97, 640), (401, 333), (63, 64)])
def test_pictures_are_shrunk_like_pythons(tab, size):
    rgb = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    given = {"picture": pixels(rgb)}
    got = run(tab, "crop.js", f"{PICTURE} const s = m.shrunk(p, 64);"
              " return [s.width, s.height, [...s.data]];", given)  # fmt: skip
    want = _shrunk(rgb, 64)
    assert got[:2] == [want.shape[1], want.shape[0]]
    # Some releases of Pillow do columns before rows where that is less work.
    assert np.abs(np.int16(got[2]).reshape(want.shape) - want).max() <= 1


def test_boxes_are_decoded_and_chosen_like_pythons(tab):
    """The networks' outputs are random; what is made of them must be the same."""
    rng = np.random.default_rng(3)
    width, height = 96, 64
    outputs = {}
    for stride in (8, 16, 32):
        cells = width * height // stride**2
        for head, columns in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            values = rng.random((1, cells, columns)) if columns == 1 else rng.normal(
                0, 0.4, (1, cells, columns))  # fmt: skip
            outputs[f"{head}_{stride}"] = values.astype(np.float32)

    class Session:
        blob = None

        def run(self, names, feeds):
            Session.blob = feeds["input"]
            return [outputs[name] for name in names]

    names = [f"{h}_{s}" for h in ("cls", "obj", "bbox", "kps") for s in (8, 16, 32)]
    rgb = rng.integers(0, 256, (60, 90, 3), np.uint8)
    wanted = _Searcher("yunet", lambda p: yunet._find(Session(), names, p), Options(0.6))(rgb)
    assert len(wanted) > 5
    given = {
        "picture": pixels(rgb),
        "outputs": {name: values.ravel().tolist() for name, values in outputs.items()},
    }
    body = (
        f"{PICTURE} let fed; const found = await m.find(p, async (blob) => {{ fed = blob;"
        " return x.outputs; }); return [found, fed.dims, [...fed.data]];"
    )
    found, dims, fed = run(tab, "yunet.js", body, given)
    assert np.array_equal(np.float32(fed).reshape(dims), Session.blob)
    assert np.abs([f["box"] for f in found] - wanted.boxes).max() < 1e-3
    assert np.abs([f["score"] for f in found] - wanted.scores).max() < 1e-6


def test_probabilities_are_pythons_on_the_golden_crops(tab):
    reads = load_classifier("mien-tiny")
    crops = CROPS["square-v1"]
    logits = reads.logits(crops)
    told = reads.spec
    given = {
        "crops": [pixels(crop) for crop in crops],
        "spec": {
            "input": vars(told.input),
            "heads": [vars(head) for head in told.heads],
            "answer": vars(told.answer),
        },
        "logits": {name: rows.ravel().tolist() for name, rows in logits.items()},
    }
    body = (
        "const crops = x.crops.map((c) => ({...c, data: Uint8Array.from(c.data)}));"
        " let fed; const told = await m.classify(crops, x.spec, async (f) => { fed = f;"
        " return Object.fromEntries(Object.entries(x.logits).map(([n, v]) =>"
        " [n, Float32Array.from(v)])); }); return [told, fed.dims, [...fed.data]];"
    )
    found, dims, fed = run(tab, "classify.js", body, given)
    assert np.abs(np.float32(fed).reshape(dims) - reads.prepare(crops)).max() < 1e-5
    rows = np.array([[face["probabilities"][label] for label in EIGHT] for face in found])
    want = reads(crops)
    assert np.abs(rows - want.probabilities).max() <= 0.5e-4 + 1e-6  # told to four decimals
    assert [face["expression"] for face in found] == want.top
    assert {face["valence"] for face in found} == {None}
    assert [face["uncertain"] for face in found] == want.uncertain.tolist()


def test_a_head_of_valence_and_arousal_is_clipped_and_priors_count(tab):
    reads = load_classifier("mien-tiny")
    told = reads.spec
    logits = {"fer2013": np.float32([[1, 2, 0, 0, -1, 3, 0]]),
              "ferplus": np.float32([[0, 1, 0, 2, 0, 0, 0, 4]])}  # fmt: skip
    want = answer(replace(told), logits)[0]
    given = {
        "answer": vars(told.answer),
        "heads": [*(vars(head) for head in told.heads), {"name": "affect"}],
        "logits": {**{n: v[0].tolist() for n, v in logits.items()}, "affect": [1.4, -0.25]},
    }
    body = (
        "const run = async () => Object.fromEntries(Object.entries(x.logits).map(([n, v]) =>"
        " [n, Float32Array.from(v)]));"
        " const input = {size: 2, channels: 1, std_floor: 1};"
        " const spec = {input, heads: x.heads, answer: x.answer};"
        " const crop = {data: Uint8Array.of(1, 2, 3, 4), width: 2, height: 2, channels: 1};"
        " return (await m.classify([crop], spec, run))[0];"
    )
    got = run(tab, "classify.js", body, given)
    assert [got["probabilities"][label] for label in EIGHT] == pytest.approx(want, abs=6e-5)
    assert (got["valence"], got["arousal"]) == (1, -0.25)


@pytest.mark.parametrize("head", ["answer", "fer2013"])
def test_the_mean_position_and_what_is_uncertain_are_pythons(tab, head):
    reads = load_classifier("mien-tiny")
    crops = CROPS["square-v1"]
    affect = AffectMap(head, CIRCUMPLEX, "a table")
    tops = np.sort(reads(crops).probabilities.max(axis=1))
    rule = replace(reads.spec.answer, threshold=float(tops[:2].mean()))
    reads.spec = replace(reads.spec, affect=affect, answer=rule)
    given = {
        "crops": [pixels(crop) for crop in crops],
        "spec": asdict(reads.spec),
        "logits": {k: rows.ravel().tolist() for k, rows in reads.logits(crops).items()},
    }
    body = (
        "const crops = x.crops.map((c) => ({...c, data: Uint8Array.from(c.data)}));"
        " return m.classify(crops, x.spec, async () => Object.fromEntries("
        "Object.entries(x.logits).map(([n, v]) => [n, Float32Array.from(v)])));"
    )
    found = run(tab, "classify.js", body, given)
    want = reads(crops)
    assert [face["valence"] for face in found] == pytest.approx(want.valence.tolist(), abs=6e-5)
    assert [face["arousal"] for face in found] == pytest.approx(want.arousal.tolist(), abs=6e-5)
    assert [face["uncertain"] for face in found] == want.uncertain.tolist()
    assert want.uncertain.sum() == 1


def test_an_uncertain_expression_has_a_question_mark(tab):
    body = """
      const of = (uncertain) => ({expression: "fear", probability: 0.31, uncertain});
      const both = {...of(false), smoothed: of(true)};
      return [m.caption(of(true)), m.caption(of(false)), m.caption(both)];"""
    assert run(tab, "expressions.js", body) == ["fear? 31 %", "fear 31 %", "fear? 31 %"]


def test_a_tables_uncertain_faces_are_ones(tab):
    body = """
      const t = new m.Table();
      const read = {expression: "fear", probability: 0.3, probabilities: {}};
      const face = {...read, face_id: 0, box: [0, 0, 1, 1], face_score: 1, uncertain: true};
      t.add("a.jpg", "m", {faces: [face, {...face, uncertain: undefined, smoothed: face}]});
      return t.rows.map((row) => [row.uncertain, row.smooth_uncertain]);"""
    assert run(tab, "table.js", body) == [[1, None], [0, 1]]


def test_readings_are_smoothed_and_held_like_pythons(tab):
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.ones(8) * 0.4, 40).astype(np.float32)
    times = np.cumsum(rng.uniform(0.02, 0.2, 40))
    smoother, hold = Smoother(0.3), LabelHold()
    want = [
        hold.update(smoother.update(Reading(float(t), i, 0, row)))
        for i, (t, row) in enumerate(zip(times, rows, strict=True))
    ]
    given = {"rows": rows.astype(float).tolist(), "times": times.tolist(), "labels": list(EIGHT)}
    body = (
        "const p = new m.People(); return x.times.map((t, i) => { p.identify([[0, 0, 9, 9]], t);"
        " const probabilities = Object.fromEntries(x.labels.map((l, k) => [l, x.rows[i][k]]));"
        " return p.smooth(0, {probabilities, valence: null, arousal: null}, t, 0.5); });"
    )
    got = run(tab, "people.js", body, given)
    assert [r["expression"] for r in got] == [r.expression for r in want]
    assert len({r["expression"] for r in got}) > 2
    for one, other in zip(got, want, strict=True):
        told = [one["probabilities"][label] for label in EIGHT]
        assert told == pytest.approx(other.probabilities.tolist(), abs=6e-5)
        assert one["probability"] == one["probabilities"][one["expression"]]
        assert one["uncertain"] == (other.probability(other.expression) < 0.5)
    assert len({one["uncertain"] for one in got}) == 2


def test_ids_stay_with_those_who_move_and_are_not_used_again(tab):
    body = """
      const people = new m.People();
      const at = (x) => [x, 0, x + 100, 100];
      return [
        people.identify([at(0), at(300)], 0),
        people.identify([at(290), at(20)], 0.1),
        people.identify([at(40)], 0.2),
        people.identify([at(60), at(295)], 0.5),
        people.identify([at(900)], 0.6),
        people.identify([at(60)], 3),
      ];"""
    want = [[0, 1], [1, 0], [0], [0, 1], [2], [3]]
    assert run(tab, "people.js", body) == want


def test_colours_textures_and_columns_are_pythons(tab):
    told = run(tab, "expressions.js", "return [m.COLOURS, m.TEXTURES, m.EIGHT];")
    assert told[0] == COLOURS
    assert {k: tuple(v) for k, v in told[1].items()} == TEXTURES
    assert tuple(told[2]) == EIGHT
    assert f"const SHADE = {SHADE};" in (PAGE / "expressions.js").read_text()
    assert tuple(run(tab, "table.js", "return m.COLUMNS;")) == VIDEO_COLUMNS


def test_a_table_quotes_what_must_be(tab):
    body = """
      const t = new m.Table();
      t.add('=a,"b".jpg', "mien-tiny", {faces: []});
      t.add("camera", "mien-tiny", {faces: []}, {frame: 3, t: 0.25});
      return t.csv().split("\\r\\n").slice(1);"""
    lines = run(tab, "table.js", body)
    assert lines[0].startswith('"\'=a,""b"".jpg",0,,,no_face,')
    assert lines[1].startswith("camera,3,0.2500,,no_face,")
    assert lines[2] == ""


def test_the_table_does_not_grow_for_ever(tab):
    body = """
      const t = new m.Table();
      for (let i = 0; i < m.MOST + 5000; i++) t.add("camera", "m", {faces: []}, {frame: i, t: i});
      return [t.rows.length <= m.MOST + 1000, t.rows[t.rows.length - 1].frame, t.lost > 0];"""
    assert run(tab, "table.js", body) == [True, 104_999, True]


def test_the_circle_shows_the_last_point_and_its_trail(tab):
    """Valence 0.5, arousal -0.5: right of the middle and below it, with a fainter way there."""
    body = """
      const canvas = document.createElementNS("http://www.w3.org/1999/xhtml", "canvas");
      canvas.width = canvas.height = 320;
      const context = canvas.getContext("2d");
      const trail = [[0, -0.5, 0.5], [1.5, 0, 0.5], [3, 0.5, -0.5]];
      m.drawCircle(context, trail, "#ff0000", {ink: "#000", faint: "#000", edge: "#fff"});
      const at = (v, a) => [...context.getImageData(160 + 128 * v, 160 - 128 * a, 1, 1).data];
      return [at(0.5, -0.5), at(-0.25, 0.5), at(-0.5, -0.5)];"""
    point, trail, nothing = run(tab, "cards.js", body)
    assert point == [255, 0, 0, 255]
    assert trail[0] > 200 and trail[1] < 10 and 40 < trail[3] < 200
    assert nothing == [0, 0, 0, 0]


def test_a_timelines_gaps_part_it(tab):
    body = """
      const points = [0, 0.5, 1, 3, 3.2, 9].map((t) => ({t}));
      return m.runs(points, 0, 5).map((run) => run.map((point) => point.t));"""
    assert run(tab, "timeline.js", body) == [[0, 0.5, 1], [3, 3.2]]


def test_waiting_for_the_server_grows_to_ten_seconds(tab):
    told = run(tab, "remote.js", "return [0, 1, 2, 3, 4, 5, 30].map(m.patience);")
    assert told == [0.5, 1, 2, 4, 8, 10, 10]

"""Where shapes lie, by hand; and that their SVG and their pixels say the same."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor
from synthetic_recording import crowd_of, row, small_rows, write_csv

from mien.labels import COLOURS, EIGHT
from mien.report.axes import FIELD, LEFT, TOP, clock, percent, step_for
from mien.report.circumplex import circumplex
from mien.report.crowd import crowd, crowd_counts, longest_seen, presence
from mien.report.gallery import drawings
from mien.report.plots import LANE, STACK, denominator, share_bars, stacked, timeline, told_shares
from mien.report.raster import to_pixels
from mien.report.reading import read_recording
from mien.report.series import columns
from mien.report.shapes import TEXTURES, TILE, Area, Drawing, Line, Rect, definitions, to_svg

SVG = "{http://www.w3.org/2000/svg}"
HAPPINESS, ANGER = EIGHT.index("happiness"), EIGHT.index("anger")


@pytest.fixture
def small(tmp_path):
    """Ten frames in one second, see `small_rows`: a tenth of the field is a frame."""
    return read_recording(write_csv(tmp_path / "small.csv", small_rows()))


def rects(drawing, kind):
    return [s for s in drawing.field if isinstance(s, Rect) and s.kind == kind]


def test_bands_and_gaps_lie_where_their_times_are(small):
    drawing = timeline(small, small.persons[0])
    (gap,) = rects(drawing, "gap")
    assert (gap.x, gap.w) == (pytest.approx(0.4 * FIELD), pytest.approx(0.2 * FIELD))
    assert (gap.y, gap.h) == (0, 8 * LANE)
    assert gap.title == "not seen 00:00.4 to 00:00.6"
    bands = [(b.x / FIELD, b.w / FIELD, b.fill) for b in rects(drawing, "band")]
    assert bands == [
        (0, pytest.approx(0.4), "happiness"),
        (pytest.approx(0.6), pytest.approx(0.1), "anger"),
        (pytest.approx(0.8), pytest.approx(0.2), "anger"),
    ]
    assert [b.y // LANE for b in rects(drawing, "band")] == [HAPPINESS, ANGER, ANGER]


def test_what_was_bridged_is_striped(small):
    (bridged,) = rects(timeline(small, small.persons[0]), "band bridged")
    assert (bridged.x, bridged.w) == (pytest.approx(0.7 * FIELD), pytest.approx(0.1 * FIELD))
    assert bridged.fill == "bridged-anger"
    (over,) = rects(stacked(small, small.persons[0]), "bridged")
    assert (over.x, over.w) == (bridged.x, pytest.approx(bridged.w))


def test_the_svg_has_these_places(small):
    root = ElementTree.fromstring(to_svg(timeline(small, small.persons[0])))
    field = root.find(f"{SVG}svg")
    assert (field.get("x"), field.get("y"), field.get("width")) == ("84", "6", "804")
    assert field.get("height") == "120"
    (gap,) = [r for r in field.iter(f"{SVG}rect") if r.get("class") == "gap"]
    assert (gap.get("x"), gap.get("width")) == ("321.6", "160.8")
    fills = [r.get("fill") for r in field.iter(f"{SVG}rect") if "band" in r.get("class", "")]
    assert fills == ["url(#f-happiness)", "url(#f-anger)", "url(#b-anger)", "url(#f-anger)"]
    known = {p.get("id") for p in root.iter(f"{SVG}pattern")}
    assert {re.sub(r"url\(#(.*)\)", r"\1", fill) for fill in fills} <= known
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert texts[:9] == ["not seen", *EIGHT]
    assert root.get("role") == "img"
    assert root.get("aria-label").endswith("57 % happiness, 43 % anger of 0.7 s seen.")


def test_ticks_are_at_their_times(small):
    drawing = timeline(small, small.persons[0])
    ticks = [s for s in drawing.shapes if isinstance(s, Line) and s.kind == "tick"]
    assert [round((t.points[0][0] - LEFT) / FIELD, 6) for t in ticks] == [
        round(k / 10, 6) for k in range(11)
    ]


def test_probabilities_fill_the_whole_height(small):
    drawing = stacked(small, small.persons[0])
    areas = [s for s in drawing.field if isinstance(s, Area)]
    assert len(areas) == 2 * 8  # two stretches
    assert [a.fill for a in areas[:8]] == list(EIGHT)
    # Two per cent each, but for the one in front: its area lies between 2 and 88 of 100.
    xs, ys = zip(*areas[HAPPINESS].points, strict=True)
    assert (min(xs), max(xs)) == (0, pytest.approx(0.4 * FIELD))
    assert max(ys) == pytest.approx(STACK * 0.98)
    assert min(ys) == pytest.approx(STACK * 0.12)
    assert min(y for _, y in areas[7].points) == pytest.approx(0, abs=0.03)
    assert min(x for x, _ in areas[8].points) == pytest.approx(0.6 * FIELD)


def test_shares_sum_to_one_and_say_of_what(small):
    person = small.persons[0]
    drawing = share_bars(small, person)
    bars = [s for s in drawing.shapes if isinstance(s, Rect) and s.kind == "share"]
    lanes = [s for s in drawing.shapes if isinstance(s, Rect) and s.kind == "lane"]
    assert sum(bar.w for bar in bars) == pytest.approx(lanes[0].w)
    assert bars[HAPPINESS].w / lanes[0].w == pytest.approx(4 / 7)
    assert denominator(small, person) == "of 0.7 s seen"
    assert told_shares(small, person) == "57 % happiness, 43 % anger of 0.7 s seen."
    marks = [s for s in drawing.shapes if isinstance(s, Line) and s.kind == "mark"]
    mean = (4 * 0.86 + 3 * 0.02) / 7  # of the frames seen; the bridged one is in none
    assert (marks[HAPPINESS].points[0][0] - lanes[0].x) / lanes[0].w == pytest.approx(mean)


def test_the_denominator_of_something_longer():
    recording = crowd_of(1, 240, 10)
    assert re.fullmatch(
        r"of 1\d\d s seen|of 2\d\d s seen", denominator(recording, recording.persons[0])
    )


def test_the_circumplex_has_its_axes_and_the_places(tmp_path):
    places = [(-1, -1), (1, 1), (0.5, 0)]
    rows = [row(i, i / 10, 1, "anger", valence=v, arousal=a) for i, (v, a) in enumerate(places)]
    recording = read_recording(write_csv(tmp_path / "t.csv", rows))
    drawing = circumplex(recording, recording.persons[0])
    side = drawing.box[2]
    trail = [s for s in drawing.field if isinstance(s, Line) and s.kind == "trail"]
    assert [line.points for line in trail] == [
        ((0, side), (side, 0)),
        ((side, 0), (0.75 * side, 0.5 * side)),
    ]
    dense = rects(drawing, "dense")
    assert [(r.x, r.y) for r in dense] == [
        (0, pytest.approx(0.95 * side)),
        (pytest.approx(0.75 * side), pytest.approx(0.45 * side)),
        (pytest.approx(0.95 * side), pytest.approx(0)),
    ]
    assert drawing.title == (
        "Person 1: apparent valence and arousal. Mean valence 0.17, mean arousal 0.00."
    )
    texts = " ".join(s.text for s in drawing.shapes if hasattr(s, "text"))
    assert texts.count("-1") == 2 and "unpleasant" in texts and "calm" in texts


def test_no_circumplex_of_what_was_only_filled_in(tmp_path):
    rows = [row(i, i / 10, 1, "anger", "bridged", valence=0.1, arousal=0.1) for i in range(3)]
    recording = read_recording(write_csv(tmp_path / "t.csv", rows))
    assert recording.persons[0].valence is not None
    assert circumplex(recording, recording.persons[0]) is None


def test_no_circumplex_without_values(small):
    assert circumplex(small, small.persons[0]) is None
    assert "person-1-circumplex" not in dict(drawings(small))


def test_who_is_on_screen(small):
    drawing = presence(small)
    bands = [(b.x / FIELD, b.w / FIELD, b.y, b.fill) for b in rects(drawing, "band")]
    assert bands[-2:] == [
        (0, pytest.approx(0.2), 18, "neutral"),
        (pytest.approx(0.8), pytest.approx(0.2), 18, "neutral"),
    ]
    assert [s.text for s in drawing.shapes if hasattr(s, "text")][:2] == ["Person 1", "Person 2"]


def test_how_many_show_what(small):
    counts = crowd_counts(small, columns(small, 10))
    assert counts.sum(axis=1).round(9).tolist() == [2, 2, 1, 1, 0, 0, 1, 1, 2, 2]
    assert counts[8, EIGHT.index("neutral")] == counts[8, ANGER] == pytest.approx(1)
    drawing = crowd(small)
    neutral = next(s for s in drawing.field if s.fill == "neutral")
    top = min(y for _, y in neutral.points)
    assert top == pytest.approx(drawing.box[3] / 2)  # one of two people
    assert drawing.title.endswith("at most 2.")


def test_the_longest_seen_are_drawn(small):
    assert [p.face_id for p in longest_seen(small, 1)] == [1]
    assert [p.face_id for p in longest_seen(small)] == [1, 2]


def test_the_gallery(small):
    assert [name for name, _ in drawings(small)] == [
        "person-1-timeline",
        "person-1-stacked",
        "person-1-shares",
        "person-2-timeline",
        "person-2-stacked",
        "person-2-shares",
        "group-presence",
        "group-crowd",
    ]
    nan = np.full(8, np.nan)
    faces = replace(small.persons[0], face_id=None, t=nan, frame=np.arange(8))
    photos = replace(
        small, t=nan, frame=np.arange(8), persons=(faces,), lengths=np.ones(8), source="8 photos"
    )
    assert [name for name, _ in drawings(photos)] == ["faces-shares"]
    assert denominator(photos, faces) == "of 7 faces"


def test_the_pixels_are_the_colours_of_the_svg(small):
    drawing = timeline(small, small.persons[0])
    pixels = to_pixels(drawing, scale=2)
    assert pixels.shape == (2 * drawing.height, 2 * drawing.width, 3)

    def around(t, code):
        x, y = 2 * (LEFT + t * FIELD), 2 * (TOP + (code + 0.5) * LANE)
        return {
            tuple(p)
            for p in pixels[int(y) - 6 : int(y) + 6, int(x) - 8 : int(x) + 8].reshape(-1, 3)
        }

    assert ImageColor.getrgb(COLOURS["happiness"]) in around(0.2, HAPPINESS)
    assert ImageColor.getrgb(COLOURS["anger"]) in around(0.95, ANGER)
    assert around(0.5, EIGHT.index("disgust")) == {ImageColor.getrgb("#e4e4e4")}
    striped = around(0.75, ANGER)
    assert len(striped) == 2 and ImageColor.getrgb(COLOURS["anger"]) in striped


def test_shapes_beyond_the_field_are_cut_off():
    drawing = Drawing("x", "x", 40, 20, (), (10, 5, 10, 10), (Rect(-50, -50, 500, 500, "#ff0000"),))
    red = (to_pixels(drawing, scale=1) == (255, 0, 0)).all(axis=2)
    assert red.sum() == 100 and red[5:15, 10:20].all()


def test_no_two_fills_are_alike_without_colour():
    tiles = {
        label: "".join(line.ljust(TILE, ".") for line in (*rows, *[""] * (TILE - len(rows))))
        for label, rows in TEXTURES.items()
    }
    assert list(tiles) == list(EIGHT)
    assert len(set(tiles.values())) == 8
    assert all(len(tile) == TILE**2 and set(tile) <= {"#", "."} for tile in tiles.values())
    patterns = re.findall(r'id="([fb])-(\w+)"', definitions())
    assert patterns == [(kind, label) for label in EIGHT for kind in "fb"]


def test_hostile_words_stay_words():
    drawing = Drawing("x", '<script>"&', 10, 10, (Rect(0, 0, 1, 1, "#000000", title="</svg>"),))
    root = ElementTree.fromstring(to_svg(drawing))
    assert root.get("aria-label") == '<script>"&'
    assert [t.text for t in root.iter(f"{SVG}title")] == ['<script>"&', "</svg>"]


@pytest.mark.parametrize(
    ("seconds", "decimals", "told"),
    [
        (0, 1, "00:00.0"),
        (125.46, 1, "02:05.5"),
        (59.96, 1, "01:00.0"),
        (3600, 0, "1:00:00"),
        (3725.999, 2, "1:02:06.00"),
        (-1.5, 1, "-00:01.5"),
        (-0.01, 1, "00:00.0"),
    ],
)
def test_the_clock(seconds, decimals, told):
    assert clock(seconds, decimals) == told


def test_steps_and_per_cents():
    assert [step_for(s, 10) for s in (1, 1.1, 9, 300, 3600, 36001)] == [0.1, 0.2, 1, 30, 600, 7200]
    assert [percent(p) for p in (0, 0.009, 0.01, 0.614, 1)] == [
        "0 %",
        "< 1 %",
        "1 %",
        "61 %",
        "100 %",
    ]

"""The page: all inside, nothing hostile let out, every section there, and small."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from observations import face, no_face, ok
from PIL import Image
from synthetic_recording import crowd_of, row, small_rows, write_csv

from mien.errors import UsageError
from mien.io.sinks import open_sink
from mien.labels import EIGHT
from mien.report.moments import cut_faces, data_uris, moments, peaks
from mien.report.page import page, write_page
from mien.report.reading import read_recording
from mien.report.series import Break
from mien.spec import AnswerSpec, HeadSpec, InputSpec, ModelSpec
from mien.types import Frame, Unreadable

SECTIONS = ["summary", "people", "group", "events", "settings", "model", "meaning"]
HOSTILE = '<script>alert("x")<!--&\'"><img src=x onerror=alert(1)>.mp4'
VOID = {"meta", "img", "br", "link", "input"}


class Seen(HTMLParser):
    """Tags with their attributes, the text outside scripts, and whether tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.words = [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, text):
        if not {"script", "style"} & set(self.stack):
            self.words.append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def data_of(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found[1])


@pytest.fixture
def small(tmp_path):
    return read_recording(write_csv(tmp_path / "small.csv", small_rows()))


@pytest.fixture(scope="module")
def meeting():
    """Three people, five minutes, 30 frames a second."""
    return crowd_of()


@pytest.fixture(scope="module")
def written(meeting):
    return page(meeting)


def spec():
    return ModelSpec(
        "tiny",
        "7",
        InputSpec(48, 1, "square-v1", 8.0),
        (HeadSpec("fer2013", EIGHT[:7]),),
        AnswerSpec({"fer2013": 1.0}, {}),
        parameters=57_683,
        macs=9_000_000,
        licence="Apache-2.0 <weights>",
        training_data=("FER2013",),
        command="mien train",
        metrics={"fer2013_accuracy": 0.649, "fer2013_ece": 0.02, "fer2013_n": 3579},
        intended_use="Photos.",
    )


def test_the_sections_and_the_plots(written):
    seen = Seen(written)
    assert [s["id"] for s in seen.all("section")] == SECTIONS
    figures = [(f["data-kind"], f["data-person"]) for f in seen.all("figure") if "data-kind" in f]
    people = [(kind, str(i)) for i in range(3) for kind in ("timeline", "stacked")]
    assert figures == [*people, ("presence", "0"), ("crowd", "0")]
    plots = [s for s in seen.all("svg") if s.get("class", "").startswith("plot")]
    assert len(plots) == 3 * 4 + 2
    assert all(p["role"] == "img" and len(p["aria-label"]) > 20 for p in plots)
    assert all(f["tabindex"] == "0" for f in seen.all("figure") if "data-kind" in f)
    # A table for every plot, two of them the same numbers.
    assert len(seen.all("details")) == len(plots)
    for label in EIGHT:
        assert label in seen.text


def test_the_summary_says_how_much_was_seen(small):
    text = Seen(page(small)).text
    assert "source clip.mp4" in text
    assert "length 00:01.0 (1.0 s), from 00:00.0 to 00:01.0" in text
    assert "people 2" in text and "frames 10 read" in text
    assert "with a face 7 of 10 frames, 70 %" in text
    assert "Shares of 0.7 s seen" in text
    assert "Not there: the model tiny tells no valence and arousal" in text


def test_stretches_that_could_not_be_read_are_told(small):
    text = Seen(page(replace(small, breaks=(Break(0.3, 0.4, "broke <off>"),)))).text
    assert "not readable 00:00.3 to 00:00.4: broke <off>" in text


def test_nothing_asks_the_network(written):
    seen = Seen(written)
    (policy,) = [m["content"] for m in seen.all("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", written, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", written, re.S)
    for text, rule in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    for _, attributes in seen.tags:
        assert "style" not in attributes  # the policy would refuse it
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "@import" not in style and not re.search(r"url\((?!#)", style)
    assert not re.search(r"fetch|XMLHttp|import\(|sendBeacon|WebSocket|innerHTML|eval\(", script)


def test_hostile_names_stay_text(small):
    text = page(
        replace(small, source=HOSTILE, model=HOSTILE),
        settings={HOSTILE: "</title></script>" + HOSTILE},
    )
    seen = Seen(text)
    assert len(seen.all("script")) == 2 and seen.all("img") == []
    assert "alert" not in "".join(re.findall(r"<script.*?</script>", text, re.S))
    assert seen.text.count(HOSTILE) >= 4
    told = data_of(page(replace(small, source=HOSTILE)))
    assert told["labels"] == list(EIGHT)


@pytest.mark.parametrize(
    "path", ["/home/me/private/a.mp4", "C:\\Users\\me\\a.mp4", "u://me:pw@b/a.mp4"]
)
def test_only_the_files_name_is_told(small, path):
    text = page(replace(small, source=path))
    assert "Apparent expressions: a.mp4" in text and "source a.mp4" in Seen(text).text
    assert "me" not in re.findall(r"<h1>(.*?)</h1>", text)[0].split("expressions: ")[1]
    assert path not in text


def test_the_data_of_the_script(small):
    told = data_of(page(small))
    assert (told["start"], told["end"]) == (0, pytest.approx(1))
    assert told["from"] == [round(k / 10, 3) for k in range(10)]
    first, second = told["people"]
    assert (first["id"], first["name"]) == (1, "Person 1")
    assert first["c"] == first["f"] == [0, 1, 2, 3, 6, 7, 8, 9]
    assert first["b"] == [0, 0, 0, 0, 0, 1, 0, 0]
    assert first["s"] == [EIGHT.index("happiness")] * 4 + [EIGHT.index("anger")] * 4
    assert first["p"][EIGHT.index("anger")] == [2, 2, 2, 2, 86, 86, 86, 86]
    assert first["r"] is None and first["v"] is None
    assert second["c"] == [0, 1, 8, 9]
    assert told["top"] == 2 and told["crowd"][0] == [100, 100, 0, 0, 0, 0, 0, 0, 100, 100]


def test_five_minutes_of_three_people_are_small(written):
    assert len(written.encode()) < 1_500_000


def test_an_hour_is_small():
    hour = crowd_of(3, 3600, 5)
    told = page(hour)
    assert len(told.encode()) < 3_000_000
    data = data_of(told)
    assert len(data["from"]) == 2000
    # What is drawn with is the same as what the table says, put together.
    person = data["people"][1]
    middle = np.array(data["from"])[person["c"]] + 0.9
    there = np.interp(middle, hour.persons[1].t, hour.persons[1].valence)
    assert np.abs(np.array(person["v"]) - there).max() < 0.05


def test_many_people_are_counted_and_the_longest_seen_drawn():
    crowd = crowd_of(40, 20, 10, affect=False)
    told = page(crowd)
    seen = Seen(told)
    assert len(seen.all("article")) == 30
    assert "10 more people were seen for less time" in seen.text
    assert np.sum(data_of(told)["crowd"], axis=0).max() > 3000  # hundredths of a person
    assert len(told.encode()) < 3_000_000


def test_the_model_card_and_the_limits(small):
    text = Seen(page(small, model_card=spec())).text
    assert "name tiny 7" in text and "57,683" in text and "Apache-2.0 <weights>" in text
    assert "35 in 100 of the head fer2013's differ from the label" in text
    for words in ("apparent expressions", "not feelings", "not for decisions about people"):
        assert words in text.lower()
    assert "2024/1689" in text and "Article 5(1)(f)" in text and "Article 50(3)" in text
    assert "No card: the table names the model 'tiny'" in Seen(page(small)).text


def test_settings(small):
    text = Seen(page(small, settings={"table": "small.csv"})).text
    assert "smoothing none" in text and "table small.csv" in text
    assert "one every 0.1 s" in text


def test_photos_have_shares_and_no_timeline(tmp_path):
    path = tmp_path / "t.csv"
    with open_sink("csv", path) as sink:
        for observation in (ok("a.jpg", face()), no_face("b.jpg"), ok("c.jpg", face("anger"))):
            sink.write(observation)
    told = page(read_recording(path))
    seen = Seen(told)
    assert "Apparent expressions: 3 photos" in seen.text
    assert "with a face 2 of 3 photos, 67 %" in seen.text
    assert "Shares of 2 faces" in seen.text
    assert seen.all("script") == [] and "script-src 'none'" in told
    assert [s["id"] for s in seen.all("section")] == [
        "summary",
        "people",
        "settings",
        "model",
        "meaning",
    ]
    assert not [f for f in seen.all("figure") if "data-kind" in f]


def test_a_video_in_which_nobody_was_seen(tmp_path):
    rows = [row(i, i / 10, status="no_face") for i in range(5)]
    text = Seen(page(read_recording(write_csv(tmp_path / "t.csv", rows)))).text
    assert "No face was seen." in text and "with a face 0 of 5 frames, 0 %" in text


def frames(count=10):
    """Frame k is grey 20 k, with a red square where the face's box is."""
    for k in range(count):
        rgb = np.full((100, 80, 3), 20 * k, np.uint8)
        rgb[20:80, 10:60] = (200, 10 * k, 0)
        yield Frame("clip.mp4", rgb, 80, 100, index=k, t_sec=k / 10)


def test_faces_are_cut_at_the_peaks(small):
    found = moments(small, shortest=0.2)
    source = iter(frames())
    faces = cut_faces(
        [Unreadable("clip.mp4", "bad"), *[next(source) for _ in range(9)]], small, found
    )
    assert sorted(faces) == [(1, 0), (1, 6), (2, 0), (2, 8)]
    assert faces[1, 6].shape == (96, 96, 3)
    assert faces[1, 6][48, 48].tolist() == [200, 60, 0]
    late = frames()
    cut_faces(late, small, found)
    assert next(late).index == 9  # frame 8 was the last that was needed


def test_faces_in_the_page_and_their_events(small):
    found = moments(small, shortest=0.2)
    faces = cut_faces(frames(), small, found)
    told = page(small, thumbnails=faces, events=found)
    seen = Seen(told)
    assert [i["data-face"] for i in seen.all("img")] == ["1-0", "2-0", "1-6", "2-8"]
    assert seen.all("img")[2]["alt"] == "Person 1, anger 86 %"
    picture = Image.open(io.BytesIO(base64.b64decode(seen.all("img")[2]["src"].split(",")[1])))
    assert (picture.format, picture.size) == ("JPEG", (96, 96))
    assert np.abs(np.array(picture)[48, 48].astype(int) - (200, 60, 0)).max() < 12
    assert [f["key"] for f in data_of(told)["faces"]] == ["1-0", "2-0", "1-6", "2-8"]
    assert "4 stretches" in seen.text and "faces" in [s["id"] for s in seen.all("section")]
    bare = Seen(page(small, events=found))
    assert bare.all("img") == [] and "faces" not in [s["id"] for s in bare.all("section")]


def test_a_blurred_face_keeps_seven_pixels_a_side():
    rng = np.random.default_rng(0)
    fine = np.kron(rng.integers(0, 2, (48, 48, 1)), np.ones((2, 2, 3))).astype(np.uint8) * 255
    (sharp,) = data_uris({(0, 0): fine}).values()
    (blurred,) = data_uris({(0, 0): fine}, blur=True).values()

    def pixels(uri):
        return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), float)

    assert pixels(sharp).std() > 80
    assert pixels(blurred).std() < 25
    assert np.abs(np.diff(pixels(blurred), axis=1)).max() < 20


def test_peaks_are_among_the_events(meeting):
    found = moments(meeting)
    chosen = peaks(found, 12)
    assert len(chosen) == 12 and {m.face_id for m in chosen} == {0, 1, 2}
    assert [m.start for m in chosen] == sorted(m.start for m in chosen)


def test_the_file_is_written_whole_or_not_at_all(small, tmp_path):
    path = tmp_path / "deep" / "report.html"
    write_page(small, path)
    assert path.read_text("utf-8") == page(small)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match="it is a folder"):
        write_page(small, tmp_path)

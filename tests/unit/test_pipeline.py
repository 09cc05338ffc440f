import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import PLUS, halves, logits_of, softmaxed, write_model

import mien
from mien.errors import MienError, UsageError
from mien.io.images import ENOUGH, read_image
from mien.labels import COLOURS, EIGHT
from mien.pipeline import Analyzer, Options, Result, analyze, analyze_all
from mien.runtime.classify import load_classifier
from mien.types import Faces, Frame, Unreadable


def encode(picture, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture(scope="module")
def portrait(examples):
    return analyze(examples / "obama.jpg")


def test_the_whole_picture_as_one_face(noise):
    result = analyze(noise, detector="none")
    assert (result.status, result.width, result.height) == ("ok", 80, 60)
    assert (result.source, result.error, result.frame) == ("<array>", None, 0)
    (face,) = result.faces
    assert face.box == (0.0, 0.0, 80.0, 60.0)
    assert (face.face_id, face.face_score) == (0, 1.0)
    assert tuple(face.probabilities) == EIGHT
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert face.probability == face.probabilities[face.expression]
    assert face.probability == max(face.probabilities.values())


def test_every_kind_of_source_gives_the_same(noise, tmp_path):
    png = encode(noise)
    path = tmp_path / "noise.png"
    path.write_bytes(png)
    want = analyze(noise, detector="none").faces
    sources = [png, bytearray(png), io.BytesIO(png), path, str(path), Image.fromarray(noise)]
    for source in sources:
        assert analyze(source, detector="none").faces == want
    assert analyze(path, detector="none").source == str(path)


@pytest.mark.parametrize(("side", "right"), [("right", 1), ("left", -1)])
def test_the_answer_is_what_the_model_says(tiny, side, right):
    result = analyze(halves(side), detector="none", model=tiny)
    want = softmaxed(logits_of(PLUS, right=right))
    assert list(result.faces[0].probabilities.values()) == pytest.approx(want, abs=1e-4)
    assert result.faces[0].expression == EIGHT[int(want.argmax())]
    assert result.model == "tiny-test"


def test_red_and_blue_keep_their_places_from_file_to_answer(tiny):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, :8, 0] = picture[:, 8:, 2] = 255  # red, on the left, is the lighter one
    for source in (picture, encode(picture), encode(picture, "BMP")):
        result = analyze(source, detector="none", model=str(tiny))
        want = softmaxed(logits_of(PLUS, right=-1))
        assert list(result.faces[0].probabilities.values()) == pytest.approx(want, abs=1e-4)


def test_a_portrait_is_read(portrait):
    assert (portrait.status, portrait.width, portrait.height) == ("ok", 640, 800)
    assert len(portrait.faces) == 1
    assert portrait.faces[0].expression == "happiness"
    assert portrait.faces[0].probability > 0.5
    x0, y0, x1, y1 = portrait.faces[0].box
    assert x0 < 300 < 400 < x1 and y0 < 120 < 250 < y1


def test_the_pieces_by_hand_give_the_same(portrait, examples):
    frame = read_image(examples / "obama.jpg")
    faces = mien.load_detector("auto")(frame.rgb)
    analyzer = Analyzer()
    scores = load_classifier()(analyzer.crops(frame, faces))
    assert scores.top == [face.expression for face in portrait.faces]
    assert float(scores.probabilities[0].max()) == pytest.approx(portrait.faces[0].probability)


def test_the_same_again(portrait, examples):
    assert analyze(examples / "obama.jpg") == portrait


def test_a_picture_without_a_face():
    result = analyze(np.full((120, 160, 3), 128, np.uint8))
    assert (result.status, result.faces, result.error) == ("no_face", (), None)
    assert (result.width, result.height) == (160, 120)
    assert (result.draw() == 128).all()


UNREADABLE = {
    "NaN": (np.full((8, 8, 3), np.nan), "NaN or infinite"),
    "infinite": (np.full((8, 8), np.inf, np.float32), "NaN or infinite"),
    "out of range": (np.full((8, 8), -1.0), "from -1 to -1"),
    "int64": (np.zeros((8, 8), np.int64), "array of int64"),
    "shape": (np.zeros((8,), np.uint8), r"shape \(8,\)"),
    "two channels": (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\)"),
    "no pixels": (np.zeros((0, 8, 3), np.uint8), "no pixels"),
    "no bytes": (b"", "file is empty"),
    "text": (b"hello", "not a picture"),
    "missing": ("no/such/photo.jpg", "no such file"),
    "folder": (Path(os.curdir), "a folder"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_says_why(case):
    source, why = UNREADABLE[case]
    result = analyze(source, detector="none")
    assert (result.status, result.faces) == ("unreadable", ())
    assert (result.width, result.height, result.picture) == (0, 0, None)
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(result.error)
    told = result.to_dict()
    assert told["error"] == result.error and told["faces"] == []


def test_there_is_nothing_to_draw_on_what_cannot_be_read():
    with pytest.raises(UsageError, match=r"gone\.jpg: there is no picture.*no such file"):
        analyze("gone.jpg", detector="none").draw()


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, ["photo.jpg"]])
def test_what_is_no_picture_at_all_is_a_type_error(source):
    with pytest.raises(TypeError, match="cannot read a picture from"):
        analyze(source, detector="none")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"modle": "mien-tiny"}, "no option 'modle'. Known: model, detector, min_face"),
        ({"detector": "yolo"}, "no detector is called 'yolo'.*Known: auto, yunet"),
        ({"model": "mien-tinny"}, "Did you mean 'mien-tiny'"),
        ({"device": "gpu"}, "known: auto, cpu, cuda"),
        ({"min_score": 1.5}, "min_score is 1.5"),
        ({"min_face": -1.0}, "min_face is -1"),
        ({"max_faces": 0}, "max_faces is 0"),
        ({"max_side": 8}, "max_side is 8"),
    ],
)
def test_options_that_cannot_be_used(noise, options, why):
    with pytest.raises(MienError, match=why):
        analyze(noise, **{"detector": "none", **options})


def test_max_pixels_is_kept():
    result = analyze(encode(np.zeros((20, 30, 3), np.uint8)), detector="none", max_pixels=599)
    assert result.status == "unreadable"
    assert "600 pixels, over the limit of 599" in result.error


def test_small_faces_are_left_out(examples):
    assert analyze(examples / "obama.jpg", min_face=500.0).status == "no_face"
    assert analyze(examples / "obama.jpg", min_face=100.0).status == "ok"


def test_to_dict_is_plain_json(portrait):
    told = portrait.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["schema"] == 1 and told["status"] == "ok" and told["model"] == portrait.model
    assert told["faces"][0]["expression"] == "happiness"
    assert sum(told["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=5e-4)


def test_table_has_a_row_a_face(portrait):
    pytest.importorskip("pandas")
    table = portrait.table()
    assert table["expression"].tolist() == ["happiness"]
    assert table["box_x0"].tolist() == [round(portrait.faces[0].box[0], 1)]


def test_draw_marks_the_face(portrait):
    picture = portrait.draw()
    assert picture.shape == (800, 640, 3) and picture.dtype == np.uint8
    x0, y0, _, y1 = (round(v) for v in portrait.faces[0].box)
    want = [int(COLOURS["happiness"][i : i + 2], 16) for i in (1, 3, 5)]
    assert picture[(y0 + y1) // 2, x0].tolist() == want
    assert portrait.picture is not None and (portrait.picture != picture).any()


def test_results_can_be_compared_and_printed(noise):
    one, two = (analyze(noise, detector="none") for _ in range(2))
    assert one == two
    assert one != replace(one, source="other")
    assert "array(" not in repr(one)


def wide_jpeg(width, height=40):
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    picture = np.repeat(np.broadcast_to(ramp, (height, width))[..., None], 3, axis=2)
    return encode(np.ascontiguousarray(picture), "JPEG")


@pytest.mark.parametrize(("width", "height"), [(2 * ENOUGH + 1, 41), (4 * ENOUGH + 3, 45)])
def test_boxes_of_a_reduced_jpeg_end_with_the_full_picture(width, height):
    jpeg = wide_jpeg(width, height)
    (result,) = analyze_all([jpeg], detector="none")
    assert result.picture.shape[1] < width
    assert (result.width, result.height) == (width, height)
    assert result.faces[0].box == (0.0, 0.0, float(width), float(height))


def test_boxes_and_points_are_in_pixels_of_the_full_picture(noise):
    class Find:
        name = "fake"

        def __call__(self, rgb):
            boxes = np.array([[10, 5, 30, 25], [70, 50, 80, 60]], np.float32)
            points = np.full((2, 5, 2), 12, np.float32)
            return Faces(boxes, np.array([0.9, 0.8], np.float32), points)

    analyzer = Analyzer(Options(detector="none"))
    analyzer.detector = Find()
    faces = analyzer.find(Frame("x.jpg", noise, 159, 119, 0.5))
    assert faces.boxes.tolist() == [[20, 10, 60, 50], [140, 100, 159, 119]]
    assert (faces.points == 24).all()
    assert faces.scores.tolist() == pytest.approx([0.9, 0.8])
    assert analyzer.find(Frame("x.jpg", noise, 80, 60)).boxes.tolist()[0] == [10, 5, 30, 25]


@pytest.mark.parametrize(
    ("options", "enough"),
    [
        ({}, ENOUGH),
        ({"max_side": 640}, ENOUGH),
        ({"max_side": 1280}, None),
        ({"min_face": 20.0}, None),
    ],
)
def test_when_a_large_jpeg_may_be_reduced(options, enough):
    assert Options(**options).enough == enough


def test_analyze_itself_never_reduces():
    result = analyze(wide_jpeg(2 * ENOUGH + 1), detector="none")
    assert result.picture.shape[1] == 2 * ENOUGH + 1


def test_many_pictures_in_their_order(noise, tmp_path):
    (tmp_path / "album").mkdir()
    for name in ("10.png", "2.png", "notes.txt"):
        (tmp_path / "album" / name).write_bytes(encode(noise))
    sources = [tmp_path / "gone.jpg", tmp_path / "album", noise, b"junk"]
    results = list(analyze_all(sources, detector="none"))
    assert [(Path(r.source).name, r.status) for r in results] == [
        ("gone.jpg", "unreadable"),
        ("2.png", "ok"),
        ("10.png", "ok"),
        ("<array>", "ok"),
        ("<bytes>", "unreadable"),
    ]
    assert results[1].faces == results[2].faces == results[3].faces


def test_many_pictures_come_one_at_a_time(noise):
    taken = []

    def sources():
        for i in range(5):
            taken.append(i)
            yield noise

    results = analyze_all(sources(), detector="none")
    next(results)
    assert taken == [0]


def test_wrong_options_for_many_are_told(noise):
    with pytest.raises(UsageError, match="no option 'detectr'"):
        list(analyze_all([noise], detectr="none"))


def test_an_unreadable_input_passes_through():
    result = Analyzer(Options(detector="none"))(Unreadable("x.jpg", "why not"))
    assert isinstance(result, Result)
    assert (result.source, result.status, result.error) == ("x.jpg", "unreadable", "why not")

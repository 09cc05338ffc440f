import numpy as np
import pytest
from observations import face, no_face, ok
from PIL import Image, ImageFilter

from mien.labels import COLOURS, EIGHT
from mien.report.draw import annotate, caption

BACK = (10, 20, 30)
WIDTH, HEIGHT = 400, 300


def plain(width=WIDTH, height=HEIGHT):
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = BACK
    picture.flags.writeable = False
    return picture


def rgb_of(expression):
    return [int(COLOURS[expression][i : i + 2], 16) for i in (1, 3, 5)]


def drawn(*faces, picture=None, width=WIDTH, height=HEIGHT):
    picture = plain() if picture is None else picture
    return annotate(picture, ok("photo.jpg", *faces, width=width, height=height))


def label_of(picture, expression):
    """Where the filled label is, (x0, y0, x1, y1): the lines of the box are too thin to count."""
    mask = np.pad((picture == rgb_of(expression)).all(axis=2), 3)
    thick = Image.fromarray(np.uint8(mask) * 255).filter(ImageFilter.MinFilter(3))
    found = thick.filter(ImageFilter.MaxFilter(3)).getbbox()
    return tuple(edge - 3 for edge in found)


def size_of(label):
    return label[2] - label[0], label[3] - label[1]


@pytest.fixture(scope="module")
def whole_label():
    """The size of a label that has all the room it wants."""
    return size_of(label_of(drawn(face(box=(150, 120, 250, 220))), "happiness"))


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 60, 60),
        (340, 0, 400, 60),
        (0, 240, 60, 300),
        (340, 240, 400, 300),
        (170, 0, 230, 60),
        (170, 240, 230, 300),
        (0, 120, 60, 180),
        (340, 120, 400, 180),
        (0, 0, 400, 300),
        (-30, -30, 20, 20),
        (390, 290, 450, 340),
        (395, 5, 400, 10),
    ],
)
def test_the_label_is_inside_the_picture_wherever_the_face_is(box, whole_label):
    got = size_of(label_of(drawn(face(box=box)), "happiness"))
    assert got == pytest.approx(whole_label, abs=3)
    assert whole_label[0] > 60 and whole_label[1] > 12


def test_a_label_is_above_its_box_where_there_is_room():
    x0, _, _, y1 = label_of(drawn(face(box=(150, 120, 250, 220))), "happiness")
    assert abs(x0 - 150) <= 2 and 112 <= y1 <= 120


def test_a_label_is_below_a_box_at_the_top():
    _, y0, _, _ = label_of(drawn(face(box=(150, 0, 250, 100))), "happiness")
    assert 100 <= y0 <= 104


@pytest.mark.parametrize("expression", EIGHT)
def test_box_and_label_have_the_expressions_colour(expression):
    picture = drawn(face(expression, (150, 120, 250, 220)))
    for x, y in ((150, 170), (250, 170), (200, 220), (150, 220)):
        assert picture[y, x].tolist() == rgb_of(expression)
    assert picture[170, 153].tolist() == [0, 0, 0]  # a dark line inside, against light pictures
    assert picture[170, 200].tolist() == list(BACK)
    assert label_of(picture, expression) is not None


@pytest.mark.parametrize("expression", EIGHT)
def test_letters_stand_out_from_their_label(expression):
    picture = drawn(face(expression, (150, 120, 250, 220))).astype(float)
    x0, y0, x1, y1 = label_of(picture.astype(np.uint8), expression)
    luma = picture[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] @ [0.299, 0.587, 0.114]
    back = np.dot(rgb_of(expression), [0.299, 0.587, 0.114])
    assert np.abs(luma - back).max() > 90


def test_pixels_away_from_faces_stay():
    picture = drawn(face(box=(150, 120, 250, 220)))
    changed = (picture != BACK).any(axis=2)
    assert not changed[230:].any() and not changed[:, :145].any()
    assert not changed[125:215, 155:245].any()


def test_neighbours_labels_do_not_cover_each_other():
    together = drawn(
        face("happiness", (150, 120, 190, 160)), face("anger", (200, 120, 240, 160), 0.5)
    )
    for expression, box, share in (
        ("happiness", (150, 120, 190, 160), 0.93),
        ("anger", (200, 120, 240, 160), 0.5),
    ):
        alone = label_of(drawn(face(expression, box, share)), expression)
        assert size_of(label_of(together, expression)) == pytest.approx(size_of(alone), abs=3)


def test_the_picture_is_not_drawn_on():
    picture = np.array(plain())
    before = picture.copy()
    got = annotate(picture, ok("photo.jpg", face(), width=WIDTH, height=HEIGHT))
    assert (picture == before).all()
    assert not np.shares_memory(got, picture)
    assert got.shape == picture.shape and got.dtype == np.uint8


def test_without_faces_it_is_a_plain_copy():
    assert (annotate(plain(320, 240), no_face()) == plain(320, 240)).all()


def test_boxes_follow_a_reduced_picture():
    picture = drawn(face(box=(600, 480, 1000, 880)), width=4 * WIDTH, height=4 * HEIGHT)
    for x, y in ((150, 170), (250, 170), (200, 220)):
        assert picture[y, x].tolist() == rgb_of("happiness")
    assert picture[170, 200].tolist() == list(BACK)


def test_lines_and_letters_grow_with_the_picture(whole_label):
    big = drawn(
        face(box=(600, 480, 1000, 880)),
        picture=plain(1600, 1200),
        width=1600,
        height=1200,
    )
    assert (big[680, 600:605] == rgb_of("happiness")).all()
    x0, y0, x1, y1 = 500, 400, 1200, 480  # above the box; its lines are thick here
    mask = (big[y0:y1, x0:x1] == rgb_of("happiness")).all(axis=2)
    assert np.flatnonzero(mask.any(axis=1)).size > 1.8 * whole_label[1]


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (16, 16), (48, 48), (3000, 5)])
def test_pictures_too_small_for_a_label(size):
    width, height = size
    whole = face(box=(0, 0, width, height))
    picture = drawn(whole, picture=plain(*size), width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert (picture != BACK).any()


@pytest.mark.parametrize(("share", "words"), [(0.934, "93 %"), (1.0, "100 %"), (0.126, "13 %")])
def test_a_caption_is_the_expression_and_its_share(share, words):
    assert caption(face(probability=share)) == f"happiness {words}"


def test_an_uncertain_expression_has_a_question_mark():
    assert caption(face("fear", probability=0.31, uncertain=True)) == "fear? 31 %"

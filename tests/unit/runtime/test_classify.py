"""The classifier, on a real ONNX model whose answers are known: see tests/tiny_model.py."""

import threading

import numpy as np
import pytest
from tiny_model import (
    FER2013_PRIORS,
    FERPLUS_PRIORS,
    PLUS,
    SIZE,
    TEN13,
    halves,
    heated,
    logits_of,
    make_spec,
    reordered,
    softmaxed,
    write_model,
)

from mien.errors import MienError, ModelError, UsageError
from mien.labels import EIGHT, FER2013_CODES, SEVEN
from mien.runtime.classify import answer, load_classifier, standardise
from mien.spec import KEY, AffectMap, AnswerSpec

SIDES = {
    "right": {"right": 1},
    "left": {"right": -1},
    "bottom": {"bottom": 1},
    "top": {"bottom": -1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def tiny(folder):
    return load_classifier(write_model(folder / "tiny.onnx"))


@pytest.fixture(scope="module")
def colour(folder):
    return load_classifier(write_model(folder / "colour.onnx", channels=3))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).integers(0, 256, (70, SIZE, SIZE), np.uint8)


def expected(head, side):
    return softmaxed(logits_of(head, **SIDES[side]) / head.spec.temperature)


@pytest.mark.parametrize("side", SIDES)
def test_every_head_gives_what_its_weights_say(tiny, side):
    crops = halves(side)[None]
    assert tiny(crops).probabilities[0] == pytest.approx(expected(PLUS, side), abs=1e-5)
    told = tiny(crops, labels="ferplus")
    assert told.probabilities[0] == pytest.approx(expected(PLUS, side), abs=1e-5)
    assert told.labels == EIGHT
    told = tiny(crops, labels="fer2013")
    assert told.probabilities[0] == pytest.approx(expected(TEN13, side), abs=1e-5)
    assert told.labels == SEVEN
    assert told.top == [SEVEN[int(expected(TEN13, side).argmax())]]


def test_raw_logits_by_name(tiny):
    logits = tiny.logits(np.stack([halves("right"), halves("top")]))
    assert sorted(logits) == ["fer2013", "ferplus"]
    assert logits["ferplus"][0] == pytest.approx(logits_of(PLUS, right=1), abs=1e-5)
    assert logits["fer2013"][1] == pytest.approx(logits_of(TEN13, bottom=-1), abs=1e-5)


def test_the_mirror_image_is_looked_at_where_that_is_asked(folder, tiny, noise):
    both = load_classifier(write_model(folder / "mirror.onnx"), mirror=True)
    once, other = tiny.logits(noise), tiny.logits(noise[:, :, ::-1])
    for name, told in both.logits(noise).items():
        assert told == pytest.approx((once[name] + other[name]) / 2, abs=1e-5)
    assert both(noise[:, :, ::-1]).probabilities == pytest.approx(
        both(noise).probabilities, abs=1e-5
    )
    assert np.abs(both(noise).probabilities - tiny(noise).probabilities).max() > 0.01


def test_expected_shares_weigh_the_answer_and_no_single_head(folder, tiny, noise):
    told = load_classifier(write_model(folder / "prior.onnx"), prior="neutral=0.65,contempt=0")
    want = tiny(noise).probabilities * np.array([0.65, *[0.35 / 6] * 6, 0])
    got = told(noise)
    assert got.probabilities == pytest.approx(want / want.sum(axis=1, keepdims=True), abs=1e-5)
    assert got.probabilities.dtype == np.float32
    for labels in ("ferplus", "fer2013"):
        assert np.array_equal(
            told(noise, labels=labels).probabilities, tiny(noise, labels=labels).probabilities
        )


def test_scores_are_float32_rows_that_sum_to_one(tiny, noise):
    for labels, k in ((None, 8), ("ferplus", 8), ("fer2013", 7)):
        got = tiny(noise, labels=labels).probabilities
        assert got.shape == (70, k) and got.dtype == np.float32
        assert got.sum(axis=1) == pytest.approx(np.ones(70), abs=1e-5)


def test_a_batch_is_its_crops_one_by_one(tiny, noise):
    together = tiny(noise).probabilities  # 70: more than a batch of 64
    alone = np.concatenate([tiny(crop[None]).probabilities for crop in noise])
    assert np.abs(together - alone).max() <= 1e-6
    assert np.ptp(alone, axis=0).max() > 0.01


def test_rows_keep_the_order_of_the_crops(tiny):
    sides = ["right", "top", "left", "bottom", "right"]
    got = tiny(np.stack([halves(side) for side in sides])).probabilities
    for row, side in zip(got, sides, strict=True):
        assert row == pytest.approx(expected(PLUS, side), abs=1e-5)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [2, 8, 32, 48, 200])
def test_any_size(tiny, side, size):
    got = tiny(halves(side, size)[None]).probabilities[0]
    assert got == pytest.approx(expected(PLUS, side), abs=0.05)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (1, 1), (300, 7)])
def test_any_shape(tiny, shape):
    got = tiny(np.full((2, *shape), 90, np.uint8)).probabilities
    assert got == pytest.approx(np.stack([softmaxed(logits_of(PLUS))] * 2), abs=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (100, 160), (30, 50)])
def test_brightness_and_contrast_do_not_matter(tiny, low, high):
    crop = halves("right", low=low, high=high)[None]
    assert tiny(crop).probabilities[0] == pytest.approx(expected(PLUS, "right"), abs=1e-5)


def test_contrast_below_the_floor_is_not_blown_up(tiny):
    faint = halves("right", low=100, high=104)[None]  # deviation 2, floor 8: a quarter is left
    want = softmaxed(logits_of(PLUS, right=0.25))
    assert tiny(faint).probabilities[0] == pytest.approx(want, abs=1e-5)


def test_standardise_by_hand():
    x = np.array([[[[0, 20], [0, 20]]], [[[7, 7], [7, 7]]]], np.float32)
    got = standardise(x, 8.0)
    assert got[0, 0].tolist() == [[-1, 1], [-1, 1]]
    assert got[1, 0].tolist() == [[0, 0], [0, 0]]
    assert standardise(x, 20.0)[0, 0].tolist() == [[-0.5, 0.5], [-0.5, 0.5]]
    assert x[0, 0, 0].tolist() == [0, 20]


def test_grey_is_rgb_with_equal_channels(tiny, colour, noise):
    as_rgb = np.repeat(noise[..., None], 3, axis=3)
    assert tiny(noise).probabilities.tolist() == tiny(as_rgb).probabilities.tolist()
    assert colour(noise).probabilities.tolist() == colour(as_rgb).probabilities.tolist()


def red_left_blue_right():
    crop = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    crop[:, :, : SIZE // 2, 0] = crop[:, :, SIZE // 2 :, 2] = 255
    return crop


def test_swapped_channels_turn_the_answer_of_a_grey_model(tiny):
    rgb = red_left_blue_right()  # luma 76 on the left, 29 on the right
    assert tiny(rgb).probabilities[0] == pytest.approx(expected(PLUS, "left"), abs=1e-4)
    swapped = tiny(rgb[..., ::-1]).probabilities[0]
    assert swapped == pytest.approx(expected(PLUS, "right"), abs=1e-4)


def test_swapped_channels_turn_the_answer_of_a_colour_model(colour):
    rgb = red_left_blue_right()
    deviation = np.sqrt(2) * 85  # of two values 0 and one 255 in three
    right = (-255 / deviation) / 3  # red sees -255/2, blue, the other way round, as much
    want = softmaxed(logits_of(PLUS, right=right))
    assert colour(rgb).probabilities[0] == pytest.approx(want, abs=1e-4)
    want = softmaxed(logits_of(PLUS, right=-right))
    assert colour(rgb[..., ::-1]).probabilities[0] == pytest.approx(want, abs=1e-4)


def test_a_heads_temperature_is_applied(folder):
    heads = (heated(PLUS, 2.5), heated(TEN13, 0.5))
    told = load_classifier(write_model(folder / "heated.onnx", heads))
    crop = halves("right")[None]
    for labels, head in (("ferplus", heads[0]), ("fer2013", heads[1]), (None, heads[0])):
        want = softmaxed(logits_of(head, right=1) / head.spec.temperature)
        got = told(crop, labels=labels).probabilities[0]
        assert got == pytest.approx(want, abs=1e-5)
        assert np.abs(got - softmaxed(logits_of(head, right=1))).max() > 0.1


def rule_spec(rule, heads=(PLUS, TEN13)):
    return make_spec(heads, answer=rule)


def answered(rule, heads=(PLUS, TEN13)):
    """The answer to a crop that is lighter on the right."""
    logits = {head.spec.name: logits_of(head, right=1)[None] for head in heads}
    return answer(rule_spec(rule, heads), logits)[0]


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_priors_are_divided_out(strength):
    got = answered(AnswerSpec({"ferplus": 1.0}, {"ferplus": strength}))
    bayes = expected(PLUS, "right") / np.array(FERPLUS_PRIORS) ** strength
    assert got == pytest.approx(bayes / bayes.sum(), abs=1e-5)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_measured_priors_take_the_place_of_training_shares(strength):
    measured = (0.3, 0.2, 0.05, 0.1, 0.05, 0.1, 0.15, 0.05)
    rule = AnswerSpec({"ferplus": 1.0}, {"ferplus": strength}, priors={"ferplus": measured})
    bayes = expected(PLUS, "right") / np.array(measured) ** strength
    assert answered(rule) == pytest.approx(bayes / bayes.sum(), abs=1e-5)
    others = AnswerSpec({"ferplus": 1.0}, {"ferplus": strength}, priors={"fer2013": measured[:7]})
    shares = expected(PLUS, "right") / np.array(FERPLUS_PRIORS) ** strength
    assert answered(others) == pytest.approx(shares / shares.sum(), abs=1e-5)


def test_priors_act_after_the_temperature():
    heads = (heated(PLUS, 2.0), TEN13)
    got = answered(AnswerSpec({"ferplus": 1.0}, {"ferplus": 1.0}), heads)
    bayes = softmaxed(logits_of(PLUS, right=1) / 2) / np.array(FERPLUS_PRIORS)
    assert got == pytest.approx(bayes / bayes.sum(), abs=1e-5)


def test_the_answer_of_the_file_is_that_of_its_rule(folder):
    rule = AnswerSpec({"ferplus": 1.0}, {"ferplus": 1.0})
    told = load_classifier(write_model(folder / "rule.onnx", answer=rule))
    got = told(halves("right")[None]).probabilities[0]
    assert got == pytest.approx(answered(rule), abs=1e-5)
    plain = told(halves("right")[None], labels="ferplus").probabilities[0]
    assert plain == pytest.approx(expected(PLUS, "right"), abs=1e-5)  # heads stay as trained
    assert np.abs(got - plain).max() > 0.1


def test_heads_are_mixed_by_weight_and_contempt_is_ferpluss():
    got = answered(AnswerSpec({"ferplus": 3.0, "fer2013": 1.0}, {}))
    eight, seven = expected(PLUS, "right"), expected(TEN13, "right")
    want = np.append((3 * eight[:7] + seven) / 4, eight[7])
    assert got == pytest.approx(want / want.sum(), abs=1e-5)


def test_each_head_of_a_mixture_has_its_own_priors():
    got = answered(AnswerSpec({"ferplus": 1.0, "fer2013": 1.0}, {"fer2013": 1.0}))
    seven = expected(TEN13, "right") / np.array(FER2013_PRIORS)
    eight = expected(PLUS, "right")
    want = np.append((eight[:7] + seven / seven.sum()) / 2, eight[7])
    assert got == pytest.approx(want / want.sum(), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_answer_has_a_temperature_of_its_own(temperature):
    got = answered(AnswerSpec({"ferplus": 1.0}, {}, temperature))
    want = expected(PLUS, "right") ** (1 / temperature)
    assert got == pytest.approx(want / want.sum(), abs=1e-5)


def test_a_model_of_seven_has_no_contempt(folder):
    rule = AnswerSpec({"fer2013": 1.0}, {})
    told = load_classifier(write_model(folder / "seven.onnx", (TEN13,), answer=rule))
    scores = told(halves("bottom")[None])
    assert scores.labels == EIGHT
    assert scores.probabilities[0, :7] == pytest.approx(expected(TEN13, "bottom"), abs=1e-5)
    assert scores.probabilities[0, 7] < 1e-6


def test_labels_are_matched_by_name_not_by_number(folder, tiny):
    rule = AnswerSpec({"ferplus": 1.0, "fer2013": 1.0}, {"fer2013": 1.0})
    plain = load_classifier(write_model(folder / "plain.onnx", answer=rule))
    heads = (reordered(PLUS, EIGHT[::-1]), reordered(TEN13, FER2013_CODES))
    other = load_classifier(write_model(folder / "reordered.onnx", heads, answer=rule))
    crops = np.stack([halves(side) for side in SIDES])
    assert other(crops).probabilities == pytest.approx(plain(crops).probabilities, abs=1e-5)
    told, want = other(crops, labels="fer2013"), tiny(crops, labels="fer2013")
    assert told.labels == FER2013_CODES
    assert told.top == want.top
    at = [want.labels.index(label) for label in told.labels]
    assert told.probabilities == pytest.approx(want.probabilities[:, at], abs=1e-6)


def test_columns_that_are_not_where_the_spec_says_show(folder, tiny):
    heads = (reordered(PLUS, EIGHT[::-1], relabel=False), TEN13)
    wrong = load_classifier(write_model(folder / "swapped.onnx", heads))
    crops = np.stack([halves(side) for side in SIDES])
    assert wrong(crops).top != tiny(crops).top


def test_valence_and_arousal_where_there_is_such_an_output(folder, tiny):
    told = load_classifier(write_model(folder / "affect.onnx", affect=True))
    scores = told(np.stack([halves(side) for side in SIDES]))
    assert scores.valence == pytest.approx([1, -1, 0, 0], abs=1e-5)  # 2 and -2, clipped
    assert scores.arousal == pytest.approx([0, 0, 0.25, -0.25], abs=1e-5)
    assert scores.valence.dtype == scores.arousal.dtype == np.float32
    assert tiny(halves()[None]).valence is None and tiny(halves()[None]).arousal is None


# No two labels lie at the same place.
PLACES = {label: (1 - i / 4, (i * i % 7 - 3) / 4) for i, label in enumerate(EIGHT)}


def write_mapped(path, head, positions=PLACES, heads=(PLUS, TEN13)):
    """The model with a map instead of an output for valence and arousal."""
    spec = make_spec(heads, affect=AffectMap(head, positions, "a table"))
    return write_model(path, heads, metadata={KEY: spec.to_json()})


@pytest.mark.parametrize(("head", "of"), [("answer", PLUS), ("fer2013", heated(TEN13, 2.0))])
def test_without_such_an_output_they_are_the_mean_position(folder, head, of):
    heads = (PLUS, heated(TEN13, 2.0))
    told = load_classifier(write_mapped(folder / f"mapped-{head}.onnx", head, heads=heads))
    scores = told(np.stack([halves(side) for side in SIDES]))
    for i, side in enumerate(SIDES):
        parts = zip(expected(of, side), of.spec.labels, strict=True)
        v, a = sum(p * np.array(PLACES[label]) for p, label in parts)
        assert (scores.valence[i], scores.arousal[i]) == pytest.approx((v, a), abs=1e-5)
    assert scores.valence.dtype == scores.arousal.dtype == np.float32
    assert np.ptp(scores.valence) > 0.1
    assert told(halves()[None], labels="ferplus").valence is None  # a head as trained


def test_a_map_without_a_position_is_refused(folder):
    few = {label: place for label, place in PLACES.items() if label not in ("fear", "contempt")}
    path = write_mapped(folder / "few.onnx", "answer", few)
    with pytest.raises(ModelError, match="no position for fear, contempt; export the model again"):
        load_classifier(path)
    path = write_mapped(folder / "gone.onnx", "gone")
    with pytest.raises(ModelError, match="no head 'gone'"):
        load_classifier(path)


def test_answers_below_the_threshold_are_uncertain(folder, tiny):
    crops = np.stack([halves(side) for side in SIDES])
    tops = sorted(float(expected(PLUS, side).max()) for side in SIDES)
    rule = AnswerSpec({"ferplus": 1.0}, {}, threshold=(tops[1] + tops[2]) / 2)
    scores = load_classifier(write_model(folder / "unsure.onnx", answer=rule))(crops)
    assert scores.uncertain.tolist() == [
        float(expected(PLUS, side).max()) < rule.threshold for side in SIDES
    ]
    assert scores.uncertain.sum() == 2
    kept = scores.pick(slice(1, 3))
    assert kept.uncertain.tolist() == scores.uncertain[1:3].tolist()
    assert not tiny(crops).uncertain.any()  # no threshold in its file
    assert not load_classifier(folder / "unsure.onnx")(crops, labels="ferplus").uncertain.any()


@pytest.mark.parametrize("shape", [(0, 48, 48), (0, SIZE, SIZE), (0, 30, 20, 3)])
@pytest.mark.parametrize(("labels", "k"), [(None, 8), ("ferplus", 8), ("fer2013", 7)])
def test_no_crops_give_no_rows(tiny, shape, labels, k):
    scores = tiny(np.zeros(shape, np.uint8), labels=labels)
    assert scores.probabilities.shape == (0, k)
    assert scores.top == []


def test_no_crops_for_the_bundled_model():
    assert load_classifier()(np.zeros((0, 48, 48), np.uint8)).probabilities.shape == (0, 8)


@pytest.mark.parametrize(
    ("crops", "why"),
    [
        (np.zeros((1, 16, 16), np.float32), "uint8 array, not float32"),
        (np.zeros((1, 16, 16), np.int64), "uint8 array, not int64"),
        (np.zeros((1, 16, 16), bool), "uint8 array, not bool"),
        ([[[0]]], "uint8 array, not list"),
        (None, "uint8 array, not NoneType"),
        (np.zeros((16, 16), np.uint8), r"not \(16, 16\)"),
        (np.uint8(3), "uint8 array"),
        (np.zeros((1, 16, 16, 1), np.uint8), r"not \(1, 16, 16, 1\)"),
        (np.zeros((1, 16, 16, 4), np.uint8), r"not \(1, 16, 16, 4\)"),
        (np.zeros((1, 3, 16, 16), np.uint8), r"not \(1, 3, 16, 16\)"),
        (np.zeros((1, 0, 16), np.uint8), r"not \(1, 0, 16\)"),
        (np.zeros((1, 16, 0, 3), np.uint8), r"not \(1, 16, 0, 3\)"),
        (np.zeros((1, 1, 16, 16, 3), np.uint8), "must be"),
    ],
)
def test_wrong_crops_are_refused_with_what_is_right(tiny, crops, why):
    with pytest.raises(UsageError, match=why):
        tiny(crops)


def test_an_unknown_head_is_refused_with_those_there_are(tiny):
    with pytest.raises(UsageError, match="no head 'ferpluss'; it has ferplus, fer2013"):
        tiny(halves()[None], labels="ferpluss")


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match="Did you mean 'mien-tiny'"):
        load_classifier("mien-tinny")
    with pytest.raises(MienError, match=r"no such model file: gone\.onnx"):
        load_classifier("gone.onnx")


def test_crops_are_left_as_they_were(tiny, noise):
    before = noise.copy()
    tiny(noise)
    assert (noise == before).all()
    read_only = noise[:2].copy()
    read_only.flags.writeable = False
    assert tiny(read_only[:, ::-1]).probabilities.shape == (2, 8)


def test_threads_may_share_a_classifier(tiny, noise):
    want, got = tiny(noise).probabilities, []

    def read():
        got.append(tiny(noise).probabilities)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((one == want).all() for one in got) and len(got) == 4

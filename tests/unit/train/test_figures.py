"""The numbers behind the figures, and that each one is a picture with something in it."""

import sys

import numpy as np
import pytest
from PIL import Image

from mien.errors import MissingExtraError, UsageError
from mien.evaluate import measure_probabilities
from mien.labels import COLOURS, EIGHT
from mien.train import figures

CODES = np.repeat(np.arange(8), 10)


def shares(seed=0):
    noise = np.random.default_rng(seed).random((80, 8)) + np.eye(8)[CODES]
    return (noise / noise.sum(axis=1, keepdims=True)).astype(np.float32)


def colours_in(path):
    """The RGB hex of every colour in the picture, and how many pixels have it."""
    with Image.open(path) as picture:
        counts = picture.convert("RGB").getcolors(1 << 24)
    return {f"#{r:02x}{g:02x}{b:02x}": n for n, (r, g, b) in counts}


def test_colours_are_the_expressions_own():
    assert figures.colours_of(["fear", "anger"]) == [COLOURS["fear"], COLOURS["anger"]]
    others = figures.colours_of([f"p{i}" for i in range(10)])
    assert others[:8] == list(COLOURS.values())
    assert others[8:] == others[:2]


def test_recall_intervals_by_hand():
    truth = np.array([0, 0, 0, 0, 1])
    told = np.eye(3, dtype=np.float32)[[0, 0, 0, 2, 1]]
    report = measure_probabilities(told, truth, ("fear", "anger", "disgust"))
    fear, anger = figures.recall_intervals(report)
    z2 = 1.959964**2
    middle, reach = (0.75 + z2 / 8) / (1 + z2 / 4), np.sqrt(0.75 * 0.25 / 4 + z2 / 64)
    reach *= np.sqrt(z2) / (1 + z2 / 4)
    assert fear == ("fear", 4, 0.75, pytest.approx(middle - reach), pytest.approx(middle + reach))
    assert anger[:3] == ("anger", 1, 1.0)
    assert anger[3:] == pytest.approx((1 / (1 + z2), 1.0))


def test_bars_are_as_long_as_the_recalls(tmp_path):
    told = np.eye(8, dtype=np.float32)[np.where(np.arange(80) % 10 < 5, CODES, (CODES + 1) % 8)]
    told[CODES == 0] = np.eye(8)[0]
    figures.draw_recalls(measure_probabilities(told, CODES, EIGHT), tmp_path / "r.png")
    seen = colours_in(tmp_path / "r.png")
    for label in EIGHT[1:]:
        # Half as long as neutral's, save the interval's own ink.
        assert seen[COLOURS[label]] / seen[COLOURS["neutral"]] == pytest.approx(0.5, abs=0.06)


def test_a_class_without_faces_has_no_bar(tmp_path):
    figures.draw_recalls(
        measure_probabilities(shares()[CODES != 6], CODES[CODES != 6], EIGHT), tmp_path / "r.png"
    )
    seen = colours_in(tmp_path / "r.png")
    assert COLOURS["fear"] not in seen and COLOURS["disgust"] in seen


def test_reliability_bars_stand_for_accuracy(tmp_path):
    """All faces at confidence 0.9: one bar, as high as the part that is right."""
    heights = {}
    for right in (20, 60):
        told = np.full((80, 2), 0.1, np.float32)
        told[:, 0] = 0.9
        truth = (np.arange(80) >= right).astype(np.intp)
        figures.draw_reliability(told, truth, tmp_path / "r.png", bins=10)
        heights[right] = colours_in(tmp_path / "r.png")[COLOURS["contempt"]]
    assert heights[60] / heights[20] == pytest.approx(3, rel=0.15)


def test_reliabilities_stand_side_by_side(tmp_path):
    """All right at confidence 0.9, then at 0.6: two bars of full height, one in each half."""
    told = {}
    for title, confidence in (("before", 0.9), ("after", 0.6)):
        told[title] = np.full((40, 2), 1 - confidence, np.float32)
        told[title][:, 0] = confidence
    truth = np.zeros(40, np.intp)
    figures.draw_reliabilities(told, truth, tmp_path / "two.png", bins=10)
    figures.draw_reliability(told["before"], truth, tmp_path / "one.png", bins=10)
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.size == (2 * one.width, one.height)
        pixels = np.asarray(two.convert("RGB"))
    colour = tuple(bytes.fromhex(COLOURS["contempt"][1:]))
    columns = np.flatnonzero((pixels == colour).all(axis=2).sum(axis=0) > 100)
    middle = pixels.shape[1] / 2
    left, right = columns[columns < middle], columns[columns > middle]
    assert len(left) == pytest.approx(len(right), abs=2)
    assert left.mean() / middle > (right.mean() - middle) / middle + 0.1  # 0.9 is further right


def test_principal_components_as_the_covariances_eigenvectors():
    generator = np.random.default_rng(2)
    features = (generator.normal(size=(200, 5)) * [3, 2, 1, 0.5, 0.1] + 7).astype(np.float32)
    points, parts = figures.project_pca(features)
    values, vectors = np.linalg.eigh(np.cov(features.T, ddof=0))
    assert parts == pytest.approx(tuple(values[::-1][:2] / values.sum()), rel=1e-4)
    wanted = (features - features.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    for got, want in zip(points.T, wanted.T, strict=True):
        assert np.abs(got) == pytest.approx(np.abs(want), abs=1e-4)
    assert points.dtype == np.float32 and points.shape == (200, 2)
    # The first feature carries the first component, and points the same way.
    assert np.corrcoef(points[:, 0], features[:, 0])[0, 1] > 0.9
    with pytest.raises(UsageError, match="2 rows and columns"):
        figures.project_pca(features[:1])


def test_constant_features_have_no_variance_to_part():
    points, parts = figures.project_pca(np.ones((4, 3), np.float32))
    assert parts == (0.0, 0.0) and not points.any()


def test_centres_are_means():
    points = np.array([[0, 0], [2, 4], [5, 5]], np.float32)
    got = figures.centres(points, np.array([3, 3, 1]))
    assert {code: mean.tolist() for code, mean in got.items()} == {1: [5, 5], 3: [1, 2]}


def test_a_map_shows_each_class(tmp_path):
    points = np.stack([CODES, np.arange(80) % 10], axis=1).astype(np.float32)
    kept = CODES != 6
    figures.draw_feature_map(
        points[kept], CODES[kept], EIGHT, tmp_path / "m.png", axis_names=("one", "two")
    )
    seen = colours_in(tmp_path / "m.png")
    for label in EIGHT:
        assert (COLOURS[label] in seen) == (label != "fear")
    with pytest.raises(UsageError, match=r"points \(n, 2\)"):
        figures.draw_feature_map(points[:, :1], CODES, EIGHT, tmp_path / "m.png")


def test_tsne_keeps_groups_together():
    pytest.importorskip("sklearn")
    codes = CODES[:40]
    features = np.eye(4)[codes] * 20 + np.random.default_rng(1).normal(size=(40, 4))
    points = figures.project_tsne(features.astype(np.float32), perplexity=5)
    assert points.shape == (40, 2)
    middles = np.stack(list(figures.centres(points, codes).values()))
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == codes).mean() > 0.95
    with pytest.raises(UsageError, match="5 rows are too few"):
        figures.project_tsne(features[:5].astype(np.float32))


def test_tsne_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[dev\]'"):
        figures.project_tsne(np.zeros((40, 3), np.float32))

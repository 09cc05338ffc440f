"""Inception-v4's layout, on the meta device: nothing is calculated."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.models import build, count_parameters  # noqa: E402
from mien.train.models.inception_v4 import Branches  # noqa: E402


def network(**options):
    with torch.device("meta"):
        return build("inception_v4", {"a": 1000}, **options).eval()


def maps(size, **options):
    """(channels, side) behind each part of the body."""
    model = network(**options)
    x = torch.zeros(1, 3, size, size, device="meta")
    found = []
    with torch.no_grad():
        for part in model.body:
            x = part(x)
            found.append((x.shape[1], x.shape[3]))
    return found


def test_the_maps_are_as_published():
    a, b, c = (384, 35), (1024, 17), (1536, 8)
    assert maps(299) == [a, *[a] * 4, b, *[b] * 7, c, *[c] * 3]


@pytest.mark.parametrize(
    ("size", "options", "side"),
    [
        (75, {}, 1),
        (39, {"stem_stride": 1}, 1),
        (64, {"stem_stride": 1}, 2),
        (48, {"padding": "same"}, 2),
        (64, {"padding": "same"}, 2),
        (48, {"padding": "same", "stem_stride": 1}, 3),
        (64, {"padding": "same", "stem_stride": 1}, 4),
    ],
)
def test_small_pictures(size, options, side):
    assert maps(size, blocks=(1, 1, 1), **options)[-1] == (1536, side)


def test_the_options_for_small_pictures_change_no_parameter():
    model = network(padding="same", stem_stride=1)
    assert count_parameters(model)[0] == 42_679_816


@pytest.mark.parametrize(("size", "stem_stride"), [(74, 2), (38, 1)])
def test_a_picture_that_is_too_small(size, stem_stride):
    model = network(stem_stride=stem_stride, blocks=(1, 1, 1))
    with pytest.raises(UsageError, match=f"{size + 1} pixels or more, not {size}.*padding=same"):
        model(torch.zeros(1, 3, size, size, device="meta"))


def test_another_padding():
    with pytest.raises(UsageError, match="valid or same"):
        network(padding="reflect")
    with pytest.raises(UsageError, match="stem_stride 1 or 2"):
        network(stem_stride=3)


def test_the_average_leaves_out_the_padding():
    first = network().body[1]
    pool = first.branches[3][0]
    assert pool(torch.ones(1, 1, 2, 2)).unique().tolist() == [1.0]


def test_branches_are_joined_in_order():
    branches = Branches(torch.nn.Identity(), torch.nn.ReLU())
    out = branches(torch.tensor([-1.0, 2.0]).reshape(1, 2, 1, 1))
    assert out.flatten().tolist() == [-1.0, 2.0, 0.0, 2.0]

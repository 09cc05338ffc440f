"""What networks with public weights are given, by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.data.loader import standardise  # noqa: E402
from mien.train.models.dlib_resnet import DlibInput  # noqa: E402
from mien.train.models.inputs import (  # noqa: E402
    UnitInput,
    VGGFace2Input,
    first_channels,
    first_layer,
)


def pixel(*values):
    return torch.tensor(values).view(1, -1, 1, 1)


def test_vggface2_in_the_order_of_cydonia():
    out = VGGFace2Input()(pixel(200.0, 100.0, 50.0))  # red, green, blue
    wanted = [50 - 91.4953, 100 - 103.8827, 200 - 131.0912]
    assert out.flatten().tolist() == pytest.approx(wanted, abs=1e-4)


def test_vggface2_in_the_official_order():
    out = VGGFace2Input("rgb")(pixel(200.0, 100.0, 50.0))
    wanted = [200 - 131.0912, 100 - 103.8827, 50 - 91.4953]
    assert out.flatten().tolist() == pytest.approx(wanted, abs=1e-4)


def test_dlib_takes_parts_of_256():
    out = DlibInput()(pixel(200.0, 100.0, 50.0))
    wanted = [(200 - 122.782) / 256, (100 - 117.001) / 256, (50 - 104.298) / 256]
    assert out.flatten().tolist() == pytest.approx(wanted, abs=1e-6)


def test_grey_is_repeated():
    wanted = [10 - 91.4953, 10 - 103.8827, 10 - 131.0912]
    assert VGGFace2Input()(pixel(10.0)).flatten().tolist() == pytest.approx(wanted, abs=1e-4)
    assert UnitInput()(pixel(51.0)).flatten().tolist() == pytest.approx([0.2] * 3)


def test_emonet_takes_the_unit_interval():
    out = UnitInput()(pixel(0.0, 51.0, 255.0))
    assert out.flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_no_layer_adds_to_the_weights():
    for kind in ("standardised", "pixels", "restored"):
        assert not first_layer(kind, VGGFace2Input()).state_dict()


def test_a_typical_crop_is_restored_to_itself():
    noise = np.random.default_rng(0).standard_normal((1, 3, 16, 16))
    crop = torch.from_numpy((noise - noise.mean()) / noise.std() * 58 + 117)
    restored = first_layer("restored", UnitInput())(standardise(crop))
    assert (restored - crop / 255).abs().max() <= 1e-9


def test_a_dark_crop_is_restored_brighter():
    crop = torch.tensor([[[[20.0, 40.0], [40.0, 60.0]]]])  # mean 40, deviation sqrt(200)
    restored = first_layer("restored", UnitInput())(standardise(crop))
    step = 20 / 200**0.5 * 58
    wanted = [117 - step, 117, 117, 117 + step]
    assert (restored[0, 2].flatten() * 255).tolist() == pytest.approx(wanted, abs=1e-3)


def test_the_first_convolution_sees_colour_but_for_grey_standardised_crops():
    assert first_channels("standardised", 1) == 1
    assert first_channels("standardised", 3) == 3
    assert first_channels("pixels", 1) == first_channels("restored", 1) == 3

"""What every architecture must do, whichever it is."""

import inspect
import sys
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("safetensors")

from mien.errors import UsageError  # noqa: E402
from mien.runtime.session import open_session  # noqa: E402
from mien.train import checkpoint, models  # noqa: E402
from mien.train.graph import write_graph  # noqa: E402
from mien.train.models.blocks import LinearHeads  # noqa: E402
from mien.train.models.registry import PUBLISHED  # noqa: E402

HEADS = {"fer2013": 7, "ferplus": 8}
NAMES = list(models.ARCHITECTURES)

#: Options that make a network of the same parts quick to test.
SMALL = {
    "inception_v4": {"blocks": (1, 1, 1), "padding": "same"},
    "efficientformer_l3": {"size": 64},
    "mobilenet_v2": {"width": 0.5},
    "xception": {"middle": 1},
    "yang_cnn3": {"fc": (64, 32)},
    "yang_cnn4": {"fc": (64, 32)},
    "yang_cnn5": {"fc": (64, 32)},
    "yang_cnn6": {"fc": (64, 32)},
    "yu2023": {"residual1": 1, "residual2": 1},
}

#: The sizes of picture that a network takes with those options. The first is used throughout.
SIZES = {name: (48,) for name in NAMES if name.startswith("yang")}
SIZES |= {"emonet": (64,), "dlib_resnet": (103, 112)}
ANY_SIZE = (48, 36, 64)

#: The same by constants of the architecture's module, where there is no option.
SHALLOW = {
    "dlib_resnet": {"LEVELS": ((8, 1), (16, 2), (24, 1), (32, 1), (32, 1))},
    "efficientformer_l3": {"DEPTHS": (1, 1, 1, 2), "ATTENTION_BLOCKS": 1},
    "emonet": {"DEPTH": 1},
    "mobilenet_v2": {"PLAN": ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2), (6, 96, 1, 2))},
}

#: Networks of the very parts of another one, which is exported in their stead.
SAME_PARTS = {
    "mien_base": "mien_small",
    "senet50": "senet_small",
    "tian2022_b": "mien_tiny",
    "yang_cnn3": "yang_cnn6",
    "yang_cnn4": "yang_cnn6",
    "yang_cnn5": "yang_cnn6",
}


def size_of(name):
    return SIZES.get(name, ANY_SIZE)[0]


def option(name, wanted):
    """The default of the builder's option `wanted`; None where it has no such option."""
    known = inspect.signature(models.ARCHITECTURES[name]).parameters
    return known[wanted].default if wanted in known else None


def channels_of(name):
    return PUBLISHED[name].channels


def make(name, heads=None, **options):
    """The network, small, with the weights that it starts from."""
    torch.manual_seed(0)
    options = {**SMALL.get(name, {}), **options}
    if name not in SHALLOW:
        return models.build(name, heads or HEADS, **options)
    module = sys.modules[models.ARCHITECTURES[name].__module__]
    with mock.patch.multiple(module, **SHALLOW[name]):
        return models.build(name, heads or HEADS, **options)


def pictures(name, n, size=0):
    side = size or size_of(name)
    return torch.randn(n, channels_of(name), side, side, generator=torch.Generator().manual_seed(n))


@pytest.fixture(scope="module", params=NAMES)
def named(request):
    """A network in eval mode whose running statistics are not those of the start."""
    model = make(request.param).train()
    with torch.no_grad():
        model(pictures(request.param, 8))
    return request.param, model.eval()


def test_each_head_gives_its_logits(named):
    name, model = named
    for size in SIZES.get(name, ANY_SIZE):
        with torch.no_grad():
            out = model(pictures(name, 2, size))
        assert {head: tuple(part.shape) for head, part in out.items()} == {
            "fer2013": (2, 7),
            "ferplus": (2, 8),
        }
        assert all(torch.isfinite(part).all() for part in out.values())


def test_the_features_are_what_the_heads_see(named):
    name, model = named
    x = pictures(name, 3)
    with torch.no_grad():
        features, out = model.features(x), model(x)
        assert features.shape == (3, model.width)
        assert torch.isfinite(features).all()
        assert not torch.equal(features[0], features[1])
        if isinstance(model.heads, LinearHeads):
            for head, part in model.heads(features).items():
                assert torch.equal(part, out[head])


@pytest.mark.parametrize("name", [name for name in NAMES if option(name, "channels")])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_and_one_head(name, channels):
    assert option(name, "channels") == channels_of(name)
    model = make(name, {"ferplus": 8}, channels=channels).eval()
    size = size_of(name)
    with torch.no_grad():
        out = model(torch.zeros(1, channels, size, size))
    assert out.keys() == {"ferplus"}
    assert out["ferplus"].shape == (1, 8)


def test_a_batch_is_its_crops_one_by_one(named):
    name, model = named
    x = pictures(name, 3)
    with torch.no_grad():
        together = model(x)
        alone = [model(row[None]) for row in x]
    for head in HEADS:
        assert (together[head] - torch.cat([a[head] for a in alone])).abs().max() <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_learnt(name):
    model = make(name).train()
    out = model(pictures(name, 4))
    losses = [
        torch.nn.functional.cross_entropy(out[head], torch.arange(4) % k)
        for head, k in HEADS.items()
    ]
    torch.stack(losses).sum().backward()
    for parameter, value in model.named_parameters():
        if not value.requires_grad:
            continue
        assert value.grad is not None, parameter
        assert torch.isfinite(value.grad).all(), parameter
        assert value.grad.abs().max() > 0, parameter


def test_weights_survive_a_file(named, tmp_path):
    name, model = named
    checkpoint.save(tmp_path / "w.safetensors", model.state_dict(), {"epoch": 3})
    tensors, about = checkpoint.load(tmp_path / "w.safetensors")
    assert about == {"epoch": 3}
    twin = make(name)
    twin.load_state_dict(tensors)
    x = pictures(name, 2)
    with torch.no_grad():
        for head, part in twin.eval()(x).items():
            assert torch.equal(part, model(x)[head])


@pytest.mark.parametrize("named", [n for n in NAMES if n not in SAME_PARTS], indirect=True)
def test_the_onnx_file_agrees(named, tmp_path):
    name, model = named
    path = tmp_path / "model.onnx"
    write_graph(model, tuple(HEADS), channels_of(name), size_of(name), path)
    session = open_session(path)
    for n in (1, 3):
        x = pictures(name, n)
        with torch.no_grad():
            ours = model(x)
        theirs = session.run(list(HEADS), {"crops": x.numpy()})
        for head, part in zip(HEADS, theirs, strict=True):
            assert part.shape == (n, HEADS[head])
            assert np.abs(ours[head].numpy() - part).max() <= 1e-4


@pytest.fixture(scope="module")
def catalogue():
    return {entry["name"]: entry for entry in models.catalogue()}


#: Trainable parameters, those and the running statistics, and millions of multiply-accumulates.
PINNED = {
    # dlib's file has biases besides, and one more layer of 256 x 128.
    "dlib_resnet": (5_583_400, 5_590_504, 270.83),
    "inception_v4": (42_679_816, 42_742_984, 12_253.97),
    "mien_base": (4_198_935, 4_203_191, 292.22),
    # The base's, and a gate's of c channels, 2 c c/8 + c/8 + c: of 80, twice 160, twice 320.
    "mien_gated": (4_265_705, 4_269_961, 292.29),
    "mien_small": (1_051_471, 1_053_599, 73.31),
    "mini_xception": (56_951, 58_423, 5.52),
    "tian2022_a": (56_471, 57_463, 6.33),
    "tian2022_b": (55_831, 57_223, 19.14),
    "xception": (22_855_952, 22_910_480, 8_357.40),
    "yang_cnn3": (42_582_919, 42_583_815, 128.47),
    "yang_cnn4": (24_889_735, 24_891_655, 152.06),
    "yang_cnn5": (10_473_351, 10_476_295, 156.52),
    "yang_cnn6": (12_834_183, 12_838_151, 177.75),
    "yu2023": (6_553_007, 6_574_943, 1_326.06),
}


@pytest.mark.parametrize("name", PINNED)
def test_the_sizes_that_are_published(name, catalogue):
    entry = catalogue[name]
    trainable, everything, mega_macs = PINNED[name]
    assert entry["parameters"] == trainable
    assert entry["parameters_with_statistics"] == everything
    assert round(entry["macs"] / 1e6, 2) == mega_macs


@pytest.mark.parametrize("name", ["tian2022_a", "mini_xception"])
def test_a_network_that_holds_numbers_counts_as_one_that_holds_none(name):
    model = models.build(name, {"fer2013": 7})
    assert models.count_parameters(model) == PINNED[name][:2]
    assert round(models.count_macs(model, 1, 48) / 1e6, 2) == PINNED[name][2]


@pytest.mark.parametrize(
    ("order", "residual1", "residual2", "trainable"),
    [
        ("depthwise_first", 2, 2, 5_408_671),
        ("depthwise_first", 3, 3, 7_646_783),
        ("pointwise_first", 2, 2, 5_414_647),
        ("pointwise_first", 2, 3, 6_558_983),
        ("pointwise_first", 3, 3, 7_652_759),
    ],
)
def test_the_readings_of_yu(order, residual1, residual2, trainable):
    with torch.device("meta"):
        model = models.build(
            "yu2023", {"ckplus": 7}, order=order, residual1=residual1, residual2=residual2
        )
    assert models.count_parameters(model)[0] == trainable


def test_tian_a_with_a_linear_head():
    model = models.build("tian2022_a", {"fer2013": 7}, head="linear")
    assert models.count_parameters(model) == (49_303, 50_295)
    assert round(models.count_macs(model, 1, 48) / 1e6, 2) == 6.26


def test_mien_tiny_keeps_to_the_budget():
    model = models.build("mien_tiny", HEADS)
    assert models.count_parameters(model)[1] <= 58_000
    assert round(models.count_macs(model, 1, 48) / 1e6, 1) == 9.3


def test_mien_tiny_with_another_number_of_features():
    model = models.build("mien_tiny", HEADS, features=76, activation="hardswish")
    assert model.features(torch.zeros(2, 1, 56, 56)).shape == (2, 76)
    assert models.count_parameters(model)[1] == 57_055
    assert round(models.count_macs(model, 1, 56) / 1e6, 1) == 12.7


def test_counting_does_not_change_the_model():
    model = models.build("mien_tiny", HEADS)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    models.count_macs(model, 1, 48)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_counting_leaves_a_frozen_part_in_eval_mode():
    model = models.build("mien_tiny", HEADS)
    model.stem.eval()
    models.count_macs(model, 1, 48)
    assert model.training
    assert not model.stem.training


def test_the_catalogue_tells_of_each(catalogue):
    assert list(catalogue) == NAMES
    assert catalogue["tian2022_a"]["paper"] == "Tian et al. 2022"
    assert catalogue["tian2022_a"]["input"] == [1, 48, 48]
    assert catalogue["tian2022_a"]["classes"] == 7
    assert catalogue["xception"]["input"] == [3, 299, 299]
    assert catalogue["xception"]["classes"] == 1000


def test_a_name_that_is_not_there():
    with pytest.raises(UsageError, match=r"Did you mean 'mien_tiny'\? Known: .*tian2022_b"):
        models.build("mien-tiny", HEADS)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_is_not_there(name):
    with pytest.raises(UsageError, match=f"architecture '{name}'.*depth_of_winter"):
        models.build(name, HEADS, depth_of_winter=3)


@pytest.mark.parametrize("name", [name for name in NAMES if option(name, "activation")])
def test_an_activation_that_is_not_there(name):
    with pytest.raises(UsageError, match=r"no activation 'tanh'\. Known: relu, silu"):
        models.build(name, HEADS, activation="tanh")

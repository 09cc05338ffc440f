"""Public weights into networks: which tensors go where, and which files are refused."""

import collections

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dlib_files import write_dlib  # noqa: E402
from weight_pickles import python2_pickle, write_pickle  # noqa: E402

from mien.errors import DataError, UsageError  # noqa: E402
from mien.labels import EIGHT  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.models.dlib_file import read_dlib  # noqa: E402
from mien.train.models.pretrained import (  # noqa: E402
    EMONET_LABELS,
    load_dlib_resnet,
    load_emonet,
    load_senet50,
    senet50_public_state,
)
from mien.train.network import digest_of_start, first_network, known_by  # noqa: E402
from mien.train.sections import ModelConfig  # noqa: E402

EMONET_HEADS = {"expression": 8, "affect": 2}
EMONET_FC = ("emo_fc_2.3.weight", "emo_fc_2.3.bias")


def blank(name, heads, **options):
    """A network full of zeros: drawing its first weights is slow."""
    with torch.device("meta"):
        model = models.build(name, heads, **options).to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.zero_()
    return model


def public_arrays(model, classes=None, counters=False):
    """Random arrays by the names of the public pickle, `classes` in the classifier."""
    rng = np.random.default_rng(7)
    arrays = {}
    for name, tensor in senet50_public_state(model).items():
        shape = tuple(tensor.shape)
        if name.startswith("fc.") and classes:
            shape = (classes, *shape[1:])
        if "num_batches" not in name:
            arrays[name] = rng.random(shape, np.float32) + 0.5
        elif counters:
            arrays[name] = np.array(11)
    return arrays


def small(heads=None, **options):
    """A SENet of the same names as SENet-50, quick to write."""
    torch.manual_seed(1)
    return models.build("senet_small", heads or {"expression": 8}, **options)


def test_the_names_of_senet50_are_the_public_ones():
    with torch.device("meta"):
        names = set(senet50_public_state(models.build("senet50", {"expression": 8})))
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    wanted = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{part}" for part in norm)}
    for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(blocks):
            at = f"layer{stage}.{i}."
            wanted |= {f"{at}conv{k}.weight" for k in (1, 2, 3, 4, 5)}
            wanted |= {f"{at}conv{k}.bias" for k in (4, 5)}
            wanted |= {f"{at}bn{k}.{part}" for k in (1, 2, 3) for part in norm}
        wanted |= {f"layer{stage}.0.downsample.0.weight"}
        wanted |= {f"layer{stage}.0.downsample.1.{part}" for part in norm}
    assert names == wanted
    assert len(names) == 384


@pytest.mark.parametrize("counters", [False, True])
def test_every_tensor_of_a_senet_is_taken(tmp_path, counters):
    model = small()
    arrays = public_arrays(model, counters=counters)
    report = load_senet50(write_pickle(tmp_path / "ft.pkl", arrays), model)
    assert set(report.taken) == set(arrays)
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    assert bool(report.missing) is not counters
    assert report.unexpected == report.other_shape == ()
    for name, tensor in senet50_public_state(model).items():
        if name in arrays:
            assert np.array_equal(tensor.numpy(), arrays[name])
    assert np.array_equal(model.heads["expression"].weight.detach().numpy(), arrays["fc.weight"])
    assert np.array_equal(
        model.layer3[1].conv5.bias.detach().numpy(), arrays["layer3.1.conv5.bias"]
    )


def test_senet50_itself(tmp_path):
    model = blank("senet50", {"expression": 8}, input="restored")
    arrays = public_arrays(model, classes=12)
    (tmp_path / "senet50_ft_weight.pkl").write_bytes(python2_pickle(arrays))
    report = load_senet50(tmp_path / "senet50_ft_weight.pkl", model)
    assert len(report.taken) == len(arrays) - 2
    assert report.other_shape == (
        ("fc.weight", (12, 2048), (8, 2048)),
        ("fc.bias", (12,), (8,)),
    )
    assert not model.heads["expression"].weight.any()
    assert np.array_equal(model.conv1.weight.detach().numpy(), arrays["conv1.weight"])
    assert str(report).startswith(f"{len(arrays) - 2} tensors taken from {tmp_path}")
    assert "2 other shape (fc.weight (12, 2048) for (8, 2048), fc.bias" in str(report)


def test_the_classifier_goes_to_the_head_that_is_named(tmp_path):
    heads = {"expression": 8, "affect": 2}
    arrays = public_arrays(small())
    path = write_pickle(tmp_path / "ft.pkl", arrays)
    model = small(heads)
    report = load_senet50(path, model, head="expression")
    assert {n for n in report.missing if "num_batches" not in n} == {
        "heads.affect.weight",
        "heads.affect.bias",
    }
    assert np.array_equal(model.heads["expression"].bias.detach().numpy(), arrays["fc.bias"])
    report = load_senet50(path, small(heads))  # two heads, none named
    assert report.unexpected == ("fc.weight", "fc.bias")
    with pytest.raises(UsageError, match="has no head 'fer'; it has expression, affect"):
        load_senet50(path, model, head="fer")


def test_saved_under_the_public_names_and_read_again(tmp_path):
    model = small()
    state = senet50_public_state(model)
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    torch.manual_seed(2)
    twin = models.build("senet_small", {"fer": 8}).eval()
    report = load_senet50(tmp_path / "w.npz", twin)
    assert not (report.missing or report.unexpected or report.other_shape)
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.equal(twin(x)["fer"], model.eval()(x)["expression"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("layer2.0.conv4.bias"), r"missing \(.*layer2\.0\.conv4\.bias"),
        (lambda a: a.pop("bn1.running_var"), r"missing \(.*bn1\.running_var"),
        (lambda a: a.pop("fc.weight"), r"missing \(.*fc\.weight"),
        (lambda a: a.update(extra=a["fc.bias"]), r"1 unexpected \(extra\)"),
        (
            lambda a: a.update({"conv1.weight": a["conv1.weight"][:, :, 1:]}),
            r"1 other shape \(conv1\.weight \(32, 1, 2, 3\) for \(32, 1, 3, 3\)\)",
        ),
        (
            lambda a: a.update({"fc.weight": a["fc.weight"][:, :100]}),
            r"1 other shape \(fc\.weight \(8, 100\) for \(8, 512\)\)",
        ),
    ],
)
def test_a_wrong_file_changes_nothing(tmp_path, change, said):
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    arrays = public_arrays(model, counters=True)
    change(arrays)
    path = write_pickle(tmp_path / "wrong.pkl", arrays)
    with pytest.raises(DataError, match=rf"wrong\.pkl: not the weights of this network: .*{said}"):
        load_senet50(path, model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.fixture(scope="module")
def emonet_file(tmp_path_factory):
    """A file in the form of emonet_8.pth, and what it holds."""
    torch.manual_seed(3)
    shapes = blank("emonet", EMONET_HEADS).state_dict()
    state = {
        name: torch.rand(tensor.shape) if tensor.is_floating_point() else torch.tensor(9)
        for name, tensor in shapes.items()
    }
    path = tmp_path_factory.mktemp("emonet") / "emonet_8.pth"
    torch.save(collections.OrderedDict((f"module.{k}", t) for k, t in state.items()), path)
    return path, state


@pytest.fixture(scope="module")
def untrained():
    return blank("emonet", EMONET_HEADS, input="pixels", freeze=True)


def test_all_of_emonet_is_taken_in_miens_order(emonet_file, untrained):
    path, state = emonet_file
    report = load_emonet(path, untrained)
    assert len(report.taken) == 682
    assert report.missing == report.unexpected == report.other_shape == ()
    for name, tensor in untrained.state_dict().items():
        if name not in EMONET_FC:
            assert torch.equal(tensor, state[name]), name
    # AffectNet: neutral happy sad surprise fear disgust anger contempt; mien: neutral happiness
    # surprise sadness anger disgust fear contempt. Valence and arousal follow.
    rows = [0, 1, 3, 2, 6, 5, 4, 7, 8, 9]
    for name in EMONET_FC:
        assert torch.equal(untrained.state_dict()[name], state[name][rows])
    assert [EMONET_LABELS[i] for i in rows[:8]] == list(EIGHT)


def test_emonet_in_the_order_of_its_file(emonet_file, untrained):
    path, state = emonet_file
    load_emonet(path, untrained, labels=EMONET_LABELS)
    assert all(torch.equal(t, state[k]) for k, t in untrained.state_dict().items())
    moved_up = (*EMONET_LABELS[1:], "neutral")
    load_emonet(path, untrained, labels=moved_up)
    rows = [1, 2, 3, 4, 5, 6, 7, 0, 8, 9]
    assert all(torch.equal(untrained.state_dict()[k], state[k][rows]) for k in EMONET_FC)
    with pytest.raises(UsageError, match="labels must be these in any order: neutral, happiness"):
        load_emonet(path, untrained, labels=EIGHT[:7])


def test_emonet_with_other_heads_keeps_its_own_classifier(emonet_file):
    path, state = emonet_file
    model = blank("emonet", {"fer2013": 7})
    report = load_emonet(path, model)
    assert report.other_shape == (
        (EMONET_FC[0], (10, 128), (7, 128)),
        (EMONET_FC[1], (10,), (7,)),
    )
    assert len(report.taken) == 680
    assert not model.heads.weight.any()
    assert torch.equal(model.m1.b2_plus_1.conv3.weight, state["m1.b2_plus_1.conv3.weight"])


def test_ten_outputs_that_are_split_otherwise(emonet_file):
    with torch.device("meta"):
        model = models.build("emonet", {"affect": 2, "expression": 8})
    with pytest.raises(UsageError, match=r"8 expressions, then 2 of affect, not \(2, 8\)"):
        load_emonet(emonet_file[0], model)


def test_a_wrong_file_is_no_emonet(tmp_path, untrained):
    path = write_pickle(tmp_path / "senet50.pkl", public_arrays(small()))
    before = untrained.conv1.weight.detach().clone()
    with pytest.raises(
        DataError, match=r"senet50\.pkl: not the weights of this network: 0 tensors"
    ):
        load_emonet(path, untrained)
    assert torch.equal(untrained.conv1.weight, before)


def dlib_layers(model):
    """Random numbers for every convolution of a `dlib_resnet`, and for what is behind it."""
    rng = np.random.default_rng(3)
    for convolution in (m for m in model.modules() if isinstance(m, torch.nn.Conv2d)):
        count = convolution.out_channels
        filters = (
            rng.standard_normal(convolution.weight.shape) / convolution.weight[0].numel() ** 0.5
        )
        yield filters, rng.standard_normal(count), rng.random(count) + 0.5, rng.random(count)


def small_dlib(monkeypatch, **options):
    """A `dlib_resnet` that is quick to write."""
    levels = ((4, 1), (6, 2), (8, 1), (8, 1), (8, 1))
    monkeypatch.setattr("mien.train.models.dlib_resnet.LEVELS", levels)
    return models.build("dlib_resnet", {"expression": 8}, **options)


def test_dlibs_layers_are_taken_with_their_biases_and_factors(tmp_path, monkeypatch):
    model = small_dlib(monkeypatch, input="pixels").eval()
    layers = list(dlib_layers(model))
    head = model.heads["expression"].weight.clone()
    report = load_dlib_resnet(write_dlib(tmp_path / "net.dat", layers), model)
    assert len(report.taken) == 5 * len(layers) and not report.unexpected
    assert torch.equal(model.heads["expression"].weight, head)
    maps = torch.rand(1, 6, 9, 9, generator=torch.Generator().manual_seed(0))
    block, tensors = model.layer2[1], [map(torch.from_numpy, layer) for layer in layers[5:7]]
    first, second = ([part.float() for part in layer] for layer in tensors)

    def by_hand(x, filters, biases, factors, offsets):
        column = (-1, 1, 1)
        x = torch.nn.functional.conv2d(x, filters, biases, padding=1)
        return x * factors.view(column) + offsets.view(column)

    wanted = torch.relu(maps + by_hand(torch.relu(by_hand(maps, *first)), *second))
    with torch.no_grad():
        assert (block(maps) - wanted).abs().max() <= 1e-4


def test_a_block_that_halves_fills_the_smaller_sum_with_zeros(monkeypatch):
    block = small_dlib(monkeypatch).layer2[0].eval()
    assert block.conv1.in_channels == 4
    with torch.no_grad():
        block.bn2.weight.zero_()  # what is left is the shortcut
        out = block(torch.arange(36.0).view(1, 1, 6, 6).expand(1, 4, 6, 6))
    means = torch.tensor([[3.5, 5.5, 7.5], [15.5, 17.5, 19.5], [27.5, 29.5, 31.5]])
    assert torch.equal(out[0, :4], means.expand(4, 3, 3))
    assert not out[0, 4:].any()
    with torch.no_grad():
        block.bn2.bias.fill_(2.0)  # the convolutions give 2x2 maps for these
        out = block(torch.zeros(1, 4, 6, 6))
    assert out[0, 5].tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-50], "ends within a layer"),
        (lambda data: data[: data.index(b"con_4") + 6], "a layer of a form that is not known"),
        (lambda data: data[: data.rindex(b"con_4") - 3], "not the weights of this network: 24 lay"),
        (lambda data: data.replace(b"con_4", b"con_9"), "not the weights of this network: 13 lay"),
        (lambda data: b"", "no network of dlib's"),
    ],
)
def test_other_files_of_dlib_are_refused(tmp_path, monkeypatch, change, said):
    model = small_dlib(monkeypatch)
    path = write_dlib(tmp_path / "net.dat", dlib_layers(model))
    path.write_bytes(change(path.read_bytes()))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DataError, match=f"net.dat: {said}"):
        load_dlib_resnet(path, model)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    with pytest.raises(DataError, match=r"none\.dat: cannot be read"):
        read_dlib(tmp_path / "none.dat")


def started(source, architecture, faces, **options):
    """The first network of a run that starts from `source`, and what it said."""
    channels = options.get("channels", 1)
    config = TrainConfig(init=str(source), model=ModelConfig(architecture, options, 103))
    said = []
    about = {"labels": {"expression": EIGHT}, "channels": channels}
    options.pop("channels", None)
    return first_network(config, about, faces, said.append), said


def faces(n=6):
    return np.random.default_rng(1).integers(0, 256, (n, 40, 40), dtype=np.uint8)


def test_a_run_starts_from_dlibs_file(tmp_path, monkeypatch):
    model = small_dlib(monkeypatch, input="restored", channels=1).eval()
    path = write_dlib(tmp_path / "net.dat", dlib_layers(model))
    load_dlib_resnet(path, model)
    first, said = started(path, "dlib_resnet", faces(), input="restored")
    assert said[0].startswith(f"{5 * 13} tensors taken from {path}")
    x = torch.randn(3, 1, 103, 103, generator=torch.Generator().manual_seed(0))
    assert first.training
    with torch.no_grad():
        assert (first.eval().features(x) - model.features(x)).abs().max() <= 1e-3
    # In training its BatchNorm goes by the batch, whose statistics it has already.
    assert not torch.allclose(first.bn1.running_mean, model.bn1.running_mean, atol=0.1)
    assert known_by(str(path)) == ()
    assert len(digest_of_start(str(path))) == 64


def test_a_run_starts_from_a_senets_public_weights(tmp_path):
    model = small().eval()
    state = senet50_public_state(model)
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    first, _ = started(tmp_path / "w.npz", "senet_small", faces())
    x = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        told, wanted = first.eval()(x)["expression"], model(x)["expression"]
    assert torch.equal(told.argmax(1), wanted.argmax(1))
    assert (told - wanted).abs().max() <= 1e-4


def test_what_cannot_start_from_public_weights_says_so(tmp_path, monkeypatch):
    path = write_dlib(tmp_path / "net.dat", dlib_layers(small_dlib(monkeypatch)))
    with pytest.raises(
        UsageError, match="known for senet50, emonet and dlib_resnet, not mien_tiny"
    ):
        started(path, "mien_tiny", faces())
    config = TrainConfig(init=str(path), grow=True, model=ModelConfig("dlib_resnet"))
    about = {"labels": {"expression": EIGHT}, "channels": 1}
    with pytest.raises(UsageError, match=r"net\.dat: grow is for run folders"):
        first_network(config, about, faces(), print)

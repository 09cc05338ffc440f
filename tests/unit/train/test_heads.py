"""Classifiers apart from the backbone."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train import models  # noqa: E402
from mien.train.models.heads import (  # noqa: E402
    JointHeads,
    backbone_parameters,
    head_parameters,
)

HEADS = {"expression": 8, "affect": 2}


def test_one_layer_for_all_heads_is_shared_out_in_order():
    joint = JointHeads(3, {"a": 2, "b": 1})
    with torch.no_grad():
        joint.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 2, 0], [1, 1, 1]]))
        joint.bias.copy_(torch.tensor([0.5, 0, -1]))
        out = joint(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    assert list(out) == ["a", "b"]
    assert out["a"].tolist() == [[1.5, 4.0], [4.5, 10.0]]
    assert out["b"].tolist() == [[5.0], [14.0]]


def test_it_starts_like_a_linear_layer():
    torch.manual_seed(0)
    joint = JointHeads(100, {"a": 500})
    for values in (joint.weight, joint.bias):
        assert float(values.detach().abs().max()) == pytest.approx(0.1, rel=0.02)
        assert float(values.detach().std()) == pytest.approx(0.1 / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("emonet", {"emo_fc_2.3.weight", "emo_fc_2.3.bias"}),
        *(
            (name, {f"heads.{head}.{part}" for head in HEADS for part in ("weight", "bias")})
            for name in ("senet50", "senet_small", "mobilenet_v2", "efficientformer_l3")
        ),
    ],
)
def test_heads_and_backbone_are_the_whole(name, wanted):
    with torch.device("meta"):
        model = models.build(name, HEADS)
    heads, backbone = head_parameters(model), backbone_parameters(model)
    assert set(heads) == wanted
    assert not set(heads) & set(backbone)
    assert {**heads, **backbone}.keys() == dict(model.named_parameters()).keys()
    assert sum(p.numel() for p in heads.values()) == 10 * (model.width + 1)


def test_a_network_without_heads():
    with pytest.raises(UsageError, match="Linear has no attribute heads"):
        head_parameters(torch.nn.Linear(2, 2))

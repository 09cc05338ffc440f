"""Which part of a network is trained when, and what its classifiers are given."""

import pytest

torch = pytest.importorskip("torch")

from mien.errors import UsageError  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.optim import make_optimiser, set_rate  # noqa: E402
from mien.train.sections import OptimConfig  # noqa: E402
from mien.train.stages import Stages, heads_of, run_with_features  # noqa: E402


def network(name="mien_tiny"):
    torch.manual_seed(0)
    return build(name, {"fer2013": 7, "ferplus": 8})


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_first_the_heads_then_everything():
    model = network()
    everything = trained(model)
    stages = Stages(model, 2)
    for epoch in (0, 1):
        stages.enter(epoch)
        assert trained(model) == {n for n in everything if n.startswith("heads.")}
        assert not any(m.training for n, m in model.named_modules() if not n.startswith("heads"))
        assert all(m.training for m in model.heads.modules())
    stages.enter(2)
    assert trained(model) == everything
    assert all(m.training for m in model.modules())


def test_without_a_first_stage_nothing_is_touched():
    model = torch.nn.Linear(2, 2)  # it has no heads
    model.weight.requires_grad_(False)
    stages = Stages(model.eval(), 0)
    stages.enter(0)
    assert model.training and not model.weight.requires_grad


def test_what_was_frozen_before_stays_so():
    model = network()
    model.stem.weight.requires_grad_(False)
    stages = Stages(model, 1)
    stages.enter(0)
    stages.enter(1)
    assert not model.stem.weight.requires_grad
    assert model.units[0].sep1[0].weight.requires_grad


def test_a_frozen_backbone_keeps_its_weights_and_statistics():
    model = network()
    Stages(model, 1).enter(0)
    optimiser = make_optimiser(model, OptimConfig(lr=0.5, weight_decay=0.1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    loss = sum(out.square().sum() for out in model(torch.randn(4, 1, 48, 48)).values())
    loss.backward()
    optimiser.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {f"heads.{h}.{p}" for h in ("fer2013", "ferplus") for p in ("weight", "bias")}


def test_a_model_without_heads():
    with pytest.raises(UsageError, match="Linear does not keep its classifiers under `heads`"):
        heads_of(torch.nn.Linear(2, 2))
    with pytest.raises(UsageError, match="Linear"):
        Stages(torch.nn.Linear(2, 2), 1)


# --- learning rates


def test_the_backbone_may_learn_more_slowly():
    model = network()
    optimiser = make_optimiser(model, OptimConfig(backbone_lr=0.1, weight_decay=0.5))
    set_rate(optimiser, 0.2)
    rates = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        assert rates[id(p)] == pytest.approx(0.2 if name.startswith("heads.") else 0.02), name
        assert decays[id(p)] == (0.5 if p.ndim > 1 else 0.0), name


def test_by_default_all_learn_alike():
    optimiser = make_optimiser(network(), OptimConfig())
    set_rate(optimiser, 0.3)
    assert [g["lr"] for g in optimiser.param_groups] == [0.3, 0.3]


# --- features


@pytest.mark.parametrize("name", ["mien_tiny", "tian2022_a"])  # linear heads, and convolutions
def test_features_are_those_before_the_heads(name):
    model = network(name).eval()
    x = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        features, logits = run_with_features(model, x)
        maps = model.last(model.units(model.stem(x)))
        plain = model(x)
    assert torch.allclose(features, maps.mean(dim=(2, 3)), atol=1e-6)
    assert all(torch.equal(logits[head], plain[head]) for head in plain)
    assert not model.heads._forward_pre_hooks  # nothing is left behind


def test_features_carry_the_gradient():
    model = network()
    features, _ = run_with_features(model, torch.randn(2, 1, 48, 48))
    features.sum().backward()
    assert model.stem.weight.grad.abs().max() > 0


def test_heads_that_are_not_called_as_one():
    class Apart(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 2)})

        def forward(self, x):
            return {"a": self.heads["a"](x)}

    with pytest.raises(UsageError, match="Apart does not call its `heads` as one module"):
        run_with_features(Apart(), torch.zeros(1, 4))


def test_parts_stay_frozen_throughout():
    model = network()
    stages = Stages(model, 1, ["stem", "units.0"])
    optimiser = make_optimiser(model, OptimConfig(lr=0.5, weight_decay=0.1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for epoch in range(2):
        stages.enter(epoch)
        sum(out.square().sum() for out in model(torch.randn(4, 1, 48, 48)).values()).backward()
        optimiser.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert not {k for k in changed if k.startswith(("stem.", "units.0."))}
    assert {"units.1.norm1.running_mean", "units.1.sep1.1.weight"} <= changed


def test_a_part_that_is_not_there_cannot_be_frozen():
    with pytest.raises(
        UsageError, match="PreActivatedNetwork has no part 'unit'; it has stem, uni"
    ):
        Stages(network(), 0, ["unit"])

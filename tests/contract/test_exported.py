"""A network out of an exported file: one of each precision that comes with mien."""

import numpy as np
import pytest
from synthetic_faces import faces

torch = pytest.importorskip("torch")

from mien.errors import DataError  # noqa: E402
from mien.runtime.classify import load_classifier  # noqa: E402
from mien.runtime.store import resolve  # noqa: E402
from mien.train.config import TrainConfig  # noqa: E402
from mien.train.exported import exported_file, exported_weights  # noqa: E402
from mien.train.models import build  # noqa: E402
from mien.train.network import digest_of_start, first_network  # noqa: E402
from mien.train.sections import ModelConfig  # noqa: E402
from mien.train.teachers import load_teacher  # noqa: E402

TINY = {"activation": "hardswish", "features": 76}
CROPS = faces(64)


def network(name, options):
    """The network of the bundled `name`, and what it and the file say of `CROPS`, by head."""
    classifier = load_classifier(name)
    heads = {head.name: len(head.labels) for head in classifier.spec.heads}
    model = build(classifier.spec.architecture, heads, **options)
    model.load_state_dict(exported_weights(resolve(name), options, CROPS))
    with torch.no_grad():
        said = model.eval()(torch.from_numpy(classifier.prepare(CROPS)))
    return model, {head: out.numpy() for head, out in said.items()}, classifier.logits(CROPS)


@pytest.mark.parametrize(("name", "options"), [("mien-tiny", TINY), ("mien-small-affect", {})])
def test_a_float_file_gives_a_network_with_its_answers(name, options):
    _, ours, theirs = network(name, options)
    assert ours.keys() == theirs.keys()
    for head, logits in theirs.items():
        np.testing.assert_allclose(ours[head], logits, atol=1e-4)


def test_an_int8_file_gives_a_network_with_nearly_its_answers():
    _, ours, theirs = network("mien-small", {})
    for head, logits in theirs.items():
        assert np.corrcoef(ours[head].ravel(), logits.ravel())[0, 1] > 0.995


def test_a_batchnorm_that_was_folded_has_the_statistics_of_what_it_is_given():
    model, _, _ = network("mien-tiny", TINY)
    norm = model.units[0].norm2
    given = []
    norm.register_forward_hook(lambda module, args, out: given.append((args[0], out)))
    x = torch.from_numpy(load_classifier("mien-tiny").prepare(CROPS))
    with torch.no_grad():
        model.eval()(x)
        model.train()(x)
    (maps, out), (_, trained) = given
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), atol=0.1, rtol=0.1)
    # So a batch of such faces is normalised in training as it is at run time.
    torch.testing.assert_close(trained, out, atol=0.02, rtol=0.01)
    assert norm.weight.std() > 0.1


def test_other_options_than_the_files_are_refused():
    with pytest.raises(DataError, match=r"mien-tiny.onnx: its layers are not those of mien_tiny"):
        exported_weights(resolve("mien-tiny"), {"features": 78}, CROPS)
    for name, options in (
        ("mien-tiny", {"features": 76, "activation": "silu"}),
        ("mien-small", {"activation": "hardswish"}),
        ("mien-small-affect", {"activation": "hardswish"}),
    ):
        with pytest.raises(DataError, match="answers otherwise than the file: the probabilities"):
            exported_weights(resolve(name), options, CROPS)


def test_a_recipe_starts_from_a_bundled_model_and_keeps_a_new_head_new():
    about = {"labels": {"fer2013": tuple("abcdefg"), "mine": ("yes", "no")}, "channels": 1}
    config = TrainConfig(init="mien-tiny", model=ModelConfig("mien_tiny", TINY))
    said = []
    model = first_network(config, about, CROPS, said.append)
    assert said[0].endswith("from mien-tiny; new: heads.mine")
    stored = exported_weights(resolve("mien-tiny"), TINY, CROPS)
    assert torch.equal(model.heads["fer2013"].weight, stored["heads.fer2013.weight"])


def test_a_wider_network_is_grown_from_a_bundled_model():
    spec = load_classifier("mien-small").spec
    about = {"labels": {head.name: head.labels for head in spec.heads}, "channels": 1}
    config = TrainConfig(init="mien-small", grow=True, model=ModelConfig("mien_base"))
    base = first_network(config, about, CROPS, lambda text: None).eval()
    x = torch.from_numpy(load_classifier("mien-small").prepare(CROPS))
    with torch.no_grad():
        said = base(x)["ferplus"].numpy()
    theirs = load_classifier("mien-small").logits(CROPS)["ferplus"]
    assert np.corrcoef(said.ravel(), theirs.ravel())[0, 1] > 0.995


def test_a_bundled_model_is_known_by_its_name_wherever_networks_are_named(tmp_path):
    assert exported_file("mien-base") == resolve("mien-base")
    assert exported_file(str(tmp_path)) is None
    with pytest.raises(DataError, match=r"mien-bas: not a run folder, nor a model .*mien-base, "):
        exported_file("mien-bas")
    assert load_teacher("mien-tiny").digest == digest_of_start("mien-tiny")
    assert digest_of_start("mien-tiny") == digest_of_start(str(resolve("mien-tiny")))

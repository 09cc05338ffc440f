"""Training runs too short to be good, and whether two networks are the same. Needs torch."""

import torch
from synthetic_faces import write_fer2013

from mien.train.config import load_config
from mien.train.run import read_splits, run_training


def short_run(recipe, epochs):
    """Train `epochs` epochs by the file `recipe`, in its folder: the run and its two splits."""
    data = write_fer2013(recipe.parent / "data", 60, ("Training", "PublicTest"))
    config = load_config(recipe, {"epochs": str(epochs)})
    run = run_training(config, data, recipe.parent / "run")
    return run, *read_splits(config, data)


def assert_same(a, b):
    """Two dicts of tensors have the same names and, to the bit, the same values."""
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name

"""The classifiers of a network, apart from its backbone.

Every architecture keeps its classifiers under the attribute ``heads``. Two-stage fine-tuning first
trains those alone, then everything; discriminative learning rates need the same split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import UsageError


class JointHeads(nn.Module):
    """One linear layer whose outputs are shared out among the heads, in the order given.

    For networks whose public weights hold all outputs in one matrix: its ``weight`` and ``bias``
    are named and laid out as those of ``nn.Linear(features, sum of the heads)``.
    """

    def __init__(self, features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.sizes = dict(heads)
        outputs = sum(heads.values())
        self.weight = nn.Parameter(torch.empty(outputs, features))
        self.bias = nn.Parameter(torch.empty(outputs))
        bound = 1 / math.sqrt(features)  # as nn.Linear starts
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, features) -> logits (n, k) by head."""
        outputs = nn.functional.linear(x, self.weight, self.bias)
        parts = torch.split(outputs, list(self.sizes.values()), dim=1)
        return dict(zip(self.sizes, parts, strict=True))


def head_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of the classifiers of `model`, by their names in `model`.

    Raises:
        UsageError: the model has no attribute ``heads``.
    """
    return _split(model)[1]


def backbone_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters of `model` but those of its classifiers, by their names in `model`.

    Raises:
        UsageError: the model has no attribute ``heads``.
    """
    return _split(model)[0]


def _split(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    heads = getattr(model, "heads", None)
    if not isinstance(heads, nn.Module):
        raise UsageError(f"{type(model).__name__} has no attribute heads with its classifiers")
    ids = {id(parameter) for parameter in heads.parameters()}
    parts: tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]] = ({}, {})
    for name, parameter in model.named_parameters():
        parts[id(parameter) in ids][name] = parameter
    return parts

"""A task holds the loss: what a batch is worth, and the parts of it to be logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.train.data.ferplus import Rule
from mien.train.losses.classification import multi_target, soft_cross_entropy


@dataclass(frozen=True)
class Losses:
    """The loss to be made small, and its parts by name."""

    total: Tensor
    parts: Mapping[str, Tensor]


class ExpressionTask:
    """Cross-entropy of every head against its own target distribution, averaged over heads.

    A face without a label for a head (a target row of zeros) is left out of that head's mean. With
    the FER+ rule "multi_target" the head ``ferplus`` has that rule's own loss. `weights` says how
    much each head counts (1 where it is not named).
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        votes: Rule = "crossentropy",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.smoothing = smoothing
        self.weights = dict(weights or {})
        self.losses = {"ferplus": multi_target} if votes == "multi_target" else {}

    def __call__(self, model: nn.Module, x: Tensor, targets: Mapping[str, Tensor]) -> Losses:
        """Run `model` on crops `x` (n, c, h, w) and compare with `targets`, (n, k) per head."""
        logits = model(x)
        parts = {
            head: self.losses.get(head, soft_cross_entropy)(
                logits[head].float(), target, self.smoothing
            )
            for head, target in targets.items()
        }
        return Losses(self._mean(parts), parts)

    def _mean(self, parts: Mapping[str, Tensor]) -> Tensor:
        losses = torch.stack(list(parts.values()))
        if not self.weights:
            return losses.mean()
        weights = losses.new_tensor([self.weights.get(head, 1.0) for head in parts])
        return (weights * losses).sum() / weights.sum()

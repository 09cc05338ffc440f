"""A task holds the loss: what a batch is worth, and the parts of it to be logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.config import TrainConfig
from mien.train.data.ferplus import Rule
from mien.train.data.loader import TensorData, plain_batches
from mien.train.data.rows import AFFECT, TEACHER
from mien.train.losses.classification import (
    class_weights,
    multi_target,
    soft_cross_entropy,
    weighted_softmax,
)
from mien.train.losses.cluster import CentreLoss, WeightedClusterLoss
from mien.train.losses.distillation import bounded_regression, hinton, signed_margin
from mien.train.losses.regression import REGRESSIONS
from mien.train.sections import LossConfig
from mien.train.stages import run_with_features

Ask = Callable[[Tensor], Mapping[str, Tensor]]
"""A teacher that is asked about standardised crops (n, c, h, w) and answers by head."""

Centres = CentreLoss | WeightedClusterLoss


@dataclass(frozen=True)
class Losses:
    """The loss to be made small, and its parts by name."""

    total: Tensor
    parts: Mapping[str, Tensor]
    centred: tuple[Tensor, Tensor] | None = None
    """The features (n, f) and classes (n,) that the centres are to follow."""


class ExpressionTask(nn.Module):
    """The losses of every head, averaged over those with classes; that of affect is added.

    A face without a label for a head (a target row of zeros, NaN for affect) is left out of that
    head's mean. With the FER+ rule "multi_target" the head ``ferplus`` has that rule's own loss.
    Where a teacher has answered for a head, its classes are learnt by `hinton` and affect by
    `bounded_regression`.

    It is a module for its centres alone, which are a part of a run's state.

    Args:
        smoothing: label smoothing.
        votes: how FER+ votes became targets.
        weights: how much each head with classes counts, 1 where it is not named.
        loss: the recipe's section of that name.
        class_weights: (k,) by head, for the heads whose classes are weighted.
        centres: of the classes of one head, by its name.
        ask: a teacher that is asked about each batch. Others' answers come with the targets.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        votes: Rule = "crossentropy",
        weights: Mapping[str, float] | None = None,
        *,
        loss: LossConfig | None = None,
        class_weights: Mapping[str, Tensor] | None = None,
        centres: Mapping[str, Centres] | None = None,
        ask: Ask | None = None,
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.weights = dict(weights or {})
        self.losses = {"ferplus": multi_target} if votes == "multi_target" else {}
        self.loss = loss or LossConfig()
        self.class_weights = dict(class_weights or {})
        self.centres = nn.ModuleDict(centres)
        self.ask = ask

    def forward(self, model: nn.Module, x: Tensor, targets: Mapping[str, Tensor]) -> Losses:
        """Run `model` on crops `x` (n, c, h, w) and compare with `targets`, (n, k) per head."""
        wanted = {head: t for head, t in targets.items() if not head.startswith(TEACHER)}
        told = {h.removeprefix(TEACHER): t for h, t in targets.items() if h.startswith(TEACHER)}
        if self.ask is not None:
            told.update(self.ask(x))
        features, logits = run_with_features(model, x) if self.centres else (None, model(x))
        parts = {
            head: (self._affect if head == AFFECT else self._classes)(
                head, logits[head].float(), target, told.get(head)
            )
            for head, target in wanted.items()
        }
        total = self._total(parts)
        if features is None:
            return Losses(total, parts)
        ((head, centres),) = self._centres()
        codes = _codes(wanted[head])
        parts[self.loss.kind] = centres(features, codes)
        total = total + self.loss.lam * parts[self.loss.kind]
        return Losses(total, parts, (features.detach(), codes))

    def update(self, losses: Losses) -> None:
        """Let the centres follow the features of the batch that `losses` came from."""
        if losses.centred is not None:
            for _, centres in self._centres():
                centres.update(*losses.centred)

    def start(self, model: nn.Module, data: TensorData) -> None:
        """Put the centres on the class means of the features that `model` now gives on `data`."""
        for head, centres in self._centres():
            centres.initialise(_features(model, data), _codes(data.targets[head]))

    def _centres(self) -> list[tuple[str, Centres]]:
        return [(head, cast(Centres, centres)) for head, centres in self.centres.items()]

    def _classes(self, head: str, logits: Tensor, target: Tensor, told: Tensor | None) -> Tensor:
        if head in self.class_weights:
            weights = self.class_weights[head]
            hard = weighted_softmax(
                logits, target, weights, self.smoothing, normalise=self.loss.normalise
            )
        else:
            hard = self.losses.get(head, soft_cross_entropy)(logits, target, self.smoothing)
        if told is None:
            return hard
        loss = self.loss
        return hinton(hard, logits, told, alpha=loss.kd_alpha, temperature=loss.kd_temperature)

    def _affect(self, head: str, values: Tensor, target: Tensor, told: Tensor | None) -> Tensor:
        loss = self.loss
        hard = REGRESSIONS[loss.affect](values, target)
        if told is None:
            return hard
        margin = signed_margin(loss.bound_margin, loss.bound_sign)
        return bounded_regression(
            hard, values, told, target, margin=margin, weight=loss.bound_weight
        )

    def _total(self, parts: Mapping[str, Tensor]) -> Tensor:
        classes = {head: loss for head, loss in parts.items() if head != AFFECT}
        if AFFECT not in parts:
            return self._mean(classes)
        affect = self.loss.affect_weight * parts[AFFECT]
        return self._mean(classes) + affect if classes else affect

    def _mean(self, parts: Mapping[str, Tensor]) -> Tensor:
        losses = torch.stack(list(parts.values()))
        if not self.weights:
            return losses.mean()
        weights = losses.new_tensor([self.weights.get(head, 1.0) for head in parts])
        return (weights * losses).sum() / weights.sum()


def make_task(
    config: TrainConfig, model: nn.Module, data: TensorData, ask: Ask | None = None
) -> ExpressionTask:
    """The task of a run: class weights from the counts of `data`, centres of the right size.

    Raises:
        UsageError: centres are asked for of a head that is not there or has no classes.
    """
    loss = config.loss
    heads = [h for h in data.targets if h != AFFECT and not h.startswith(TEACHER)]
    weights: dict[str, Tensor] = {}
    if loss.kind in ("weighted", "cluster"):
        counts = {h: data.targets[h].sum(dim=0) for h in heads}
        weights = {h: class_weights(n, loss.class_weights) for h, n in counts.items()}
    centres: dict[str, Centres] = {}
    if loss.kind in ("centre", "cluster"):
        head = loss.head or next(iter(heads), "")
        if head not in heads:
            known = ", ".join(heads) or "none"
            raise UsageError(f"loss.head is {head!r}; the heads with classes are: {known}")
        width = _features(model, data, 2).shape[1]
        if loss.kind == "centre":
            centres[head] = CentreLoss(data.targets[head].shape[1], width, loss.gamma)
        else:
            centres[head] = WeightedClusterLoss(weights[head], width, loss.gamma, loss.delta)
    task = ExpressionTask(
        config.smoothing,
        config.data.votes,
        config.head_weights,
        loss=loss,
        class_weights=weights,
        centres=centres,
        ask=ask,
    )
    return task.to(data.images.device)


def _codes(target: Tensor) -> Tensor:
    """The class of each row of a target (n, k), or -1 where there is none."""
    return torch.where(target.sum(dim=1) > 0, target.argmax(dim=1), -1)


@torch.no_grad()
def _features(model: nn.Module, data: TensorData, limit: int = 0) -> Tensor:
    """The features (n, f) of the faces of `data`, or of about the first `limit`, unaugmented."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    parts, seen = [], 0
    for x, _ in plain_batches(data, limit or 256):
        parts.append(run_with_features(model, x)[0])
        seen += len(x)
        if limit and seen >= limit:
            break
    for module in training:
        module.training = True
    return torch.cat(parts)

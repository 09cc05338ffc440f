"""A network's heads and its backbone: what is trained when, and what the classifiers are given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mien.errors import UsageError
from mien.train.models.heads import backbone_parameters


def heads_of(model: nn.Module) -> nn.Module:
    """The classifiers of `model`, its module ``heads``.

    Raises:
        UsageError: it has no such module.
    """
    heads = getattr(model, "heads", None)
    if not isinstance(heads, nn.Module):
        raise UsageError(
            f"{type(model).__name__} does not keep its classifiers under `heads`: freeze_epochs, "
            "optim.backbone_lr and the losses centre and cluster cannot be used with it"
        )
    return heads


class Stages:
    """What of `model` is trained when: all but its parts `frozen`, and the heads alone at first.

    Parameters that were frozen when this was made stay so.

    Raises:
        UsageError: it has no such part, or, with `freeze_epochs`, no heads.
    """

    def __init__(self, model: nn.Module, freeze_epochs: int, frozen: Sequence[str] = ()) -> None:
        self._model, self._freeze_epochs = model, freeze_epochs
        self._frozen = [_part(model, name) for name in frozen]
        for part in self._frozen:
            part.requires_grad_(False)
        self._backbone = (
            [p for p in backbone_parameters(model).values() if p.requires_grad]
            if freeze_epochs
            else []
        )

    def enter(self, epoch: int) -> None:
        """Put the model into training mode for the epoch number `epoch`, from 0.

        What is frozen, in the first stage the whole backbone, gets no gradient and is in evaluation
        mode: BatchNorm uses its running statistics and leaves them as they are.
        """
        frozen = epoch < self._freeze_epochs
        for parameter in self._backbone:
            parameter.requires_grad_(not frozen)
        if frozen:
            self._model.eval()
            heads_of(self._model).train()
        else:
            self._model.train()
        for part in self._frozen:
            part.eval()


def _part(model: nn.Module, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(model.named_modules())
    if name not in parts:
        first = ", ".join(key for key, _ in model.named_children())
        raise UsageError(f"freeze: {type(model).__name__} has no part {name!r}; it has {first}")
    return parts[name]


def run_with_features(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run `model` on crops `x` (n, c, h, w): what its heads are given, and its logits by head.

    The first is float (n, f): the features before the classifiers, maps averaged over their area.

    Raises:
        UsageError: the model does not keep its heads apart.
    """
    seen: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    with heads_of(model).register_forward_pre_hook(look):
        logits: dict[str, Tensor] = model(x)
    if not seen:
        raise UsageError(f"{type(model).__name__} does not call its `heads` as one module")
    features = seen[0].float()
    return features if features.ndim == 2 else features.flatten(2).mean(dim=2), logits

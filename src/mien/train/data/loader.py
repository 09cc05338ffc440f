"""Batches of a data set that lives in memory as uint8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mien.faces.crop import resize
from mien.train.data.augment import AugmentConfig, augment
from mien.train.data.mixup import mixup
from mien.train.data.rows import AFFECT, TEACHER, Rows
from mien.types import Floats

Batch = tuple[Tensor, dict[str, Tensor]]

#: A crop's standard deviation counts as at least this many grey levels (of 255), so that a flat
#: crop is not blown up into noise. The run-time classifier reads the same number from the spec.
STD_FLOOR = 8.0


class TensorData:
    """The faces and targets of `rows` as tensors on `device`, crops resized to `size`.

    `answers` are a teacher's, (n, k) by head; batches have them beside the targets, see `TEACHER`.
    """

    def __init__(
        self,
        rows: Rows,
        heads: tuple[str, ...],
        size: int,
        device: str,
        answers: Mapping[str, Floats] | None = None,
    ) -> None:
        images = torch.from_numpy(resize(rows.images, size))
        colour = images.ndim == 4
        self.images = (images.permute(0, 3, 1, 2) if colour else images.unsqueeze(1)).to(device)
        self.targets = {h: torch.from_numpy(rows.targets[h]).to(device) for h in heads}
        for head, answer in (answers or {}).items():
            self.targets[TEACHER + head] = torch.from_numpy(answer).to(device)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, at: Tensor) -> Batch:
        """The crops, float (n, c, size, size) in 0..255, and targets at the indices `at`."""
        at = at.to(self.images.device)
        return self.images[at].float(), {head: t[at] for head, t in self.targets.items()}


def standardise(x: Tensor) -> Tensor:
    """Give each crop mean 0 and deviation 1: (x - mean) / max(std, STD_FLOOR)."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    std = x.std(dim=(1, 2, 3), keepdim=True, unbiased=False)
    return (x - mean) / std.clamp(min=STD_FLOOR)


def training_batches(
    data: TensorData,
    config: AugmentConfig,
    *,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    skip: int = 0,
    draw: bool = False,
    chances: Tensor | None = None,
) -> Iterator[Batch]:
    """Augmented, standardised batches of one epoch at `size` pixels, from number `skip` on.

    Order and augmentation depend on `seed`, `epoch` and the batch's number alone, so an epoch
    that is entered in the middle goes on as it would have. A last batch that is not full is left
    out. With `draw`, one label is drawn from each target distribution: FER+'s "probability" rule.
    With `chances` (n,), faces are drawn with these odds, with replacement, not each one once.
    """
    generator = _generator(seed, epoch, 0)
    if chances is None:
        order = torch.randperm(len(data), generator=generator)
    else:
        order = torch.multinomial(chances.cpu(), len(data), replacement=True, generator=generator)
    for i in range(skip, steps_per_epoch(len(data), batch)):
        x, targets = data.take(order[i * batch : (i + 1) * batch])
        generator = _generator(seed, epoch, i + 1)
        x = augment(x, config, generator, size)
        if draw:
            targets = {
                head: t if head == AFFECT or head.startswith(TEACHER) else draw_label(t, generator)
                for head, t in targets.items()
            }
        if config.mixup:
            x, targets = mixup(x, targets, config.mixup, generator)
        yield standardise(x), targets


def draw_label(target: Tensor, generator: torch.Generator) -> Tensor:
    """One-hot labels (n, k) drawn from distributions (n, k); rows of zeros stay so."""
    known = target.sum(dim=1, keepdim=True)
    chances = torch.where(known > 0, target, torch.ones_like(target)).cpu()
    drawn = torch.multinomial(chances, 1, generator=generator).to(target.device)
    return torch.zeros_like(target).scatter_(1, drawn, 1.0) * (known > 0)


def balanced_chances(target: Tensor) -> Tensor:
    """The odds (n,) at which faces with targets (n, k) give batches with equal classes.

    ``sum_k t_ik / n_k`` with the class counts n_k, scaled to a mean of 1 over the labelled faces;
    faces without a label are drawn at their natural rate. A class of two faces is then seen as
    often as one of ten thousand, always on the same two.
    """
    counts = target.sum(dim=0)
    known = target.sum(dim=1) > 0
    odds = (target / counts.clamp(min=1e-12)).sum(dim=1)
    return torch.where(known, odds * known.sum() / odds.sum().clamp(min=1e-12), 1.0)


def plain_batches(data: TensorData, batch: int) -> Iterator[Batch]:
    """Standardised batches in order, as they are, the last one included."""
    for at in torch.split(torch.arange(len(data)), batch):
        x, targets = data.take(at)
        yield standardise(x), targets


def steps_per_epoch(n: int, batch: int) -> int:
    """Full batches in `n` faces."""
    return max(1, n // batch)


def _generator(seed: int, epoch: int, part: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 100_003 + epoch) * 100_003 + part)

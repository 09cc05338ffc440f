"""Losses that draw features together around one centre per class.

Both keep the centres as buffers: no optimiser moves them, `update` does, once a step. They are the
batch's mean where the papers write its sum, so that lambda, their factor beside the softmax loss,
means the same at every batch size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.errors import UsageError


class CentreLoss(nn.Module):
    """Centre loss (Wen et al. 2016) [inferred: recalled].

    ``L_C = 1/2 sum_i ||x_i - c_{y_i}||^2``, the whole loss being ``L_S + lambda L_C``. Here the sum
    is divided by the number of rows with a class; lambda is the paper's times the batch size.

    Attributes:
        centres: (k, f), a buffer: saved with the state, never given a gradient.
        rate: how far `update` moves the centres, the paper's alpha.
    """

    centres: Tensor

    def __init__(self, classes: int, features: int, rate: float = 0.5) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate
        self.register_buffer("centres", torch.zeros(classes, features))

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """The loss, a scalar, of features (n, f) with classes `codes` (n,); -1 is no class.

        Zero, with a gradient of zero, when no row has a class.
        """
        known, own = _own(codes)
        squares = (features - self.centres[own]).square().sum(dim=1)
        return 0.5 * (known * squares).sum() / known.sum().clamp(min=1)

    @torch.no_grad()
    def update(self, features: Tensor, codes: Tensor) -> None:
        """Move the centres towards their features (n, f).

        ``dc_j = sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j])``, ``c_j <- c_j - rate dc_j``.
        A class that is not in `codes` (n,) stays where it is.
        """
        self.centres -= self.rate * _mean_offsets(self.centres, features, codes)

    @torch.no_grad()
    def initialise(self, features: Tensor, codes: Tensor) -> None:
        """Put each centre on the mean of its class's features, the usual start [inferred].

        A class without rows is put on the mean of all features (n, f) that have a class.

        Raises:
            UsageError: no row has a class.
        """
        self.centres.copy_(_class_means(features, codes, len(self.centres)))


class WeightedClusterLoss(nn.Module):
    """The weighted-cluster loss (Ngo & Yoon 2020).

    ``L_WC = 1/2 sum_i w_{y_i} ||x_i - c_{y_i}||^2 / (sum_{j != y_i} ||c_{y_i} - c_j||^2 + delta)``
    [found: michaelStettler/EmotionRecognition_ClusterLoss], the whole loss being
    ``L_WS + lambda L_WC`` [inferred]. Small distances to the own centre are rewarded, and, through
    the centres that follow, large ones between the centres. The sum is divided by the number of
    rows with a class, so lambda is the paper's times the batch size.

    What that implementation does otherwise is not copied: there, centres move away from their
    features, every row is given the sum of all the weights, and centres start at zero.

    Attributes:
        centres: (k, f), a buffer, as of `CentreLoss`.
        weights: (k,), w_k, such as `class_weights` gives; a buffer.
        rate: the paper's gamma.
        delta: keeps the denominator above zero; 1 in that implementation, the paper's is unknown.
        summed: how `update` weighs a batch.
    """

    centres: Tensor
    weights: Tensor

    def __init__(
        self,
        weights: Tensor,
        features: int,
        rate: float = 0.5,
        delta: float = 1.0,
        *,
        summed: bool = False,
    ) -> None:
        super().__init__()
        _check_rate(rate)
        if delta <= 0:
            raise UsageError(f"delta is {delta}; it must be above 0")
        self.rate, self.delta, self.summed = rate, delta, summed
        self.register_buffer("weights", weights.to(torch.float32))
        self.register_buffer("centres", torch.zeros(len(weights), features))

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """The loss, a scalar, of features (n, f) with classes `codes` (n,); -1 is no class.

        Zero, with a gradient of zero, when no row has a class. The centres, and with them the
        denominators, are taken as constant.
        """
        known, own = _own(codes)
        squares = (features - self.centres[own]).square().sum(dim=1)
        each = self.weights[own] * squares / self.spread()[own]
        return 0.5 * (known * each).sum() / known.sum().clamp(min=1)

    def spread(self) -> Tensor:
        """Each class's denominator (k,): squared distances to the other centres, plus delta."""
        # About their mean m, sum_j ||c_i - c_j||^2 = k ||c_i - m||^2 + sum_j ||c_j - m||^2.
        squares = (self.centres - self.centres.mean(dim=0)).square().sum(dim=1)
        return len(squares) * squares + squares.sum() + self.delta

    @torch.no_grad()
    def update(self, features: Tensor, codes: Tensor) -> None:
        """Move the centres towards their features (n, f).

        ``dc_j = sum_i [y_i = j] w_j (c_j - x_i) / denominator_j``, ``c_j <- c_j - rate dc_j``
        [found for the form; the sign corrected]. That is how it is with `summed`, where a step
        grows with the batch and may fall beyond the features. Without, which is the default here,
        it is divided by ``1 + sum_i [y_i = j]``, as in `CentreLoss`: then no centre ever moves
        past the mean of its features as long as rate w_j <= delta.
        """
        offsets = _mean_offsets(self.centres, features, codes)
        if self.summed:
            offsets = offsets * (1 + _counts(codes, len(self.centres), features)).unsqueeze(1)
        self.centres -= self.rate * (self.weights / self.spread()).unsqueeze(1) * offsets

    @torch.no_grad()
    def initialise(self, features: Tensor, codes: Tensor) -> None:
        """Put each centre on the mean of its class's features (n, f), as in `CentreLoss`."""
        self.centres.copy_(_class_means(features, codes, len(self.centres)))


def _own(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows have a class (n,), and the class of each, 0 for those without."""
    return codes >= 0, codes.clamp(min=0)


def _counts(codes: Tensor, k: int, like: Tensor) -> Tensor:
    """The number of rows of each class (k,), of the type of `like`."""
    known, own = _own(codes)
    return torch.zeros(k, dtype=like.dtype, device=like.device).index_add_(0, own, known.to(like))


def _sums(features: Tensor, codes: Tensor, k: int) -> Tensor:
    """The sum of each class's features (k, f)."""
    known, own = _own(codes)
    parts = features * known.unsqueeze(1)
    return features.new_zeros(k, features.shape[1]).index_add_(0, own, parts)


def _mean_offsets(centres: Tensor, features: Tensor, codes: Tensor) -> Tensor:
    """``sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j])``, (k, f)."""
    features = features.to(centres.dtype)
    counts = _counts(codes, len(centres), centres).unsqueeze(1)
    return (counts * centres - _sums(features, codes, len(centres))) / (1 + counts)


def _class_means(features: Tensor, codes: Tensor, k: int) -> Tensor:
    counts = _counts(codes, k, features).unsqueeze(1)
    if not counts.sum() > 0:
        raise UsageError("centres need at least one labelled face")
    sums = _sums(features, codes, k)
    overall = sums.sum(dim=0) / counts.sum()
    return torch.where(counts > 0, sums / counts.clamp(min=1), overall)


def _check_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise UsageError(f"the centres' rate is {rate}; it must be above 0 and at most 1")

"""Learning from a teacher: its probabilities (Hinton), its valence and arousal as a bound (Chen).

The numbers of equations are those of Lee, Kim & Lee 2023.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mien.train.losses.regression import known_errors

BoundSign = Literal["chen", "lee"]


def soft_target_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean of ``-sum_k p_T,k log p_S,k``, both softened: ``p = softmax(z / T)``.

    Its gradient is that of KL(p_T || p_S), which differs by the teacher's entropy alone.

    Args:
        logits: (n, k) of the student.
        teacher: (n, k) logits of the teacher, or log-probabilities; taken as constant.
        temperature: T.
    """
    wanted = torch.softmax(teacher.detach() / temperature, dim=1)
    return -(wanted * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1).mean()


def hinton(
    hard: Tensor, logits: Tensor, teacher: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Equation 1: ``(1 - a) CE(y, p_S) + 2 a T^2 CE(p_T(T), p_S(T))`` [seed 004].

    The seed prints the student first in the second term; the teacher is its target here
    [inferred], as in Hinton et al. 2015. The factors 2 and T^2 are as printed.

    Args:
        hard: the loss against the labels, a scalar: cross-entropy, or what stands for it.
        logits: (n, k) of the student.
        teacher: (n, k) logits of the teacher.
        alpha: a, 0 to 1.
        temperature: T.
    """
    soft = soft_target_loss(logits, teacher, temperature)
    return (1 - alpha) * hard + 2 * alpha * temperature**2 * soft


def teacher_bound(student: Tensor, teacher: Tensor, target: Tensor, margin: float = 0.0) -> Tensor:
    """L_b of equation 2, for every face and every output: the student's squared error, or 0.

    ``(R_s - y)^2`` where ``(R_s - y)^2 + m > (R_t - y)^2``, else 0: no loss once the student beats
    the teacher by the margin m (Chen et al. 2017) [found: public code]. The equation has lost its
    operators in the seed, whose prose asks for ``(R_s - y)^2 > (R_t - y)^2 + m`` [seed 004]: a loss
    only where the student is worse by m. That is this one with -m, so the margin has a sign;
    `signed_margin` gives it.

    The public code compares means over a batch; the equation is of each face [inferred].

    Args:
        student: (n, m) outputs.
        teacher: (n, m), taken as constant.
        target: (n, m), NaN where unknown.
        margin: m, of either sign.

    Returns:
        The mean over the known values, with those that are 0; a scalar.
    """
    known, error = known_errors(student, target)
    _, theirs = known_errors(teacher.detach(), target)
    squares = error.square()
    counted = known & (squares.detach() + margin > theirs.square())
    return (counted * squares).sum() / known.sum().clamp(min=1)


def signed_margin(margin: float, sign: BoundSign) -> float:
    """`margin`, zero or more, as `teacher_bound` takes it: "chen" has it plus, "lee" minus."""
    return margin if sign == "chen" else -margin


def bounded_regression(
    hard: Tensor,
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    *,
    margin: float,
    weight: float,
) -> Tensor:
    """Equation 3: ``L_reg = L_sL1(R_s, y) + nu L_b(R_s, R_t, y)`` [seed 004].

    Args:
        hard: the loss against the labels, a scalar: smooth L1, or what stands for it.
        student: (n, m) outputs.
        teacher: (n, m).
        target: (n, m), NaN where unknown.
        margin: of `teacher_bound`.
        weight: nu; 0.5 in Chen et al. 2017, unknown in Lee et al.
    """
    return hard + weight * teacher_bound(student, teacher, target, margin)

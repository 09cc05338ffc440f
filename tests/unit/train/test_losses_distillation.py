"""Hinton's distillation and the teacher bound, by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.losses.distillation import (  # noqa: E402
    bounded_regression,
    hinton,
    signed_margin,
    soft_target_loss,
    teacher_bound,
)

NAN = float("nan")


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def logits(seed, n=5, k=4):
    return torch.randn(n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def softmax(z):
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


# --- classes


def test_the_teacher_is_the_target():
    # Teacher 1/2, 1/4, 1/4; student 1/8, 1/4, 5/8.
    teacher, student = (double([[math.log(v) for v in row]]) for row in ((2, 1, 1), (1, 2, 5)))
    wanted = math.log(8) / 2 + math.log(4) / 4 + math.log(8 / 5) / 4
    assert float(soft_target_loss(student, teacher, 1.0)) == pytest.approx(wanted)
    swapped = math.log(2) / 8 + math.log(4) / 4 + math.log(4) * 5 / 8
    assert float(soft_target_loss(teacher, student, 1.0)) == pytest.approx(swapped)
    assert abs(wanted - swapped) > 0.1


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_both_answers_are_softened(temperature):
    student, teacher = logits(0), logits(1)
    p = softmax(teacher.numpy() / temperature)
    q = softmax(student.numpy() / temperature)
    wanted = -(p * np.log(q)).sum(axis=1).mean()
    assert float(soft_target_loss(student, teacher, temperature)) == pytest.approx(wanted)


@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 3.0), (0.3, 2.0), (1.0, 4.0)])
def test_the_whole_equation(alpha, temperature):
    student, teacher = logits(0), logits(1)
    soft = float(soft_target_loss(student, teacher, temperature))
    wanted = (1 - alpha) * 1.7 + 2 * alpha * temperature**2 * soft
    got = hinton(double(1.7), student, teacher, alpha=alpha, temperature=temperature)
    assert float(got) == pytest.approx(wanted)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_gradient_is_that_of_the_divergence(temperature):
    teacher = logits(1)
    ours, theirs = logits(0).requires_grad_(), logits(0).requires_grad_()
    soft_target_loss(ours, teacher, temperature).backward()
    log_q = torch.log_softmax(theirs / temperature, dim=1)
    p = torch.softmax(teacher / temperature, dim=1)
    torch.nn.functional.kl_div(log_q, p, reduction="batchmean").backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-12)
    # (q - p) / (n T): with T^2 in front, a gradient of the same size at every temperature.
    q = softmax(logits(0).numpy() / temperature)
    assert ours.grad.numpy() == pytest.approx((q - p.numpy()) / 5 / temperature)


def test_a_student_that_is_its_teacher_is_not_moved():
    student = logits(0).requires_grad_()
    soft_target_loss(student, logits(0), 2.0).backward()
    assert student.grad.abs().max() < 1e-15


def test_the_teacher_gets_no_gradient():
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    hinton(student.sum(), student, teacher, alpha=0.5, temperature=2.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0


def test_log_probabilities_do_as_logits():
    student, teacher = logits(0), logits(1)
    same = torch.log_softmax(teacher, dim=1)
    first, second = (float(soft_target_loss(student, t, 3.0)) for t in (teacher, same))
    assert first == pytest.approx(second, rel=1e-12)


def test_the_gradient_of_hinton_is_that_of_finite_differences():
    teacher, target = logits(1), torch.eye(4).double()[[0, 1, 2, 3, 0]]

    def value(z):
        hard = -(target * torch.log_softmax(z, dim=1)).sum(dim=1).mean()
        return hinton(hard, z, teacher, alpha=0.3, temperature=2.0)

    assert torch.autograd.gradcheck(value, (logits(0).requires_grad_(),))


# --- valence and arousal: the truth is 0, so that errors are the outputs

TRUTH = [[0.0, 0.0], [0.0, 0.0]]


def bound(student, teacher, margin=0.0, target=TRUTH):
    return float(teacher_bound(double(student), double(teacher), double(target), margin))


def test_the_bound_is_of_each_face_and_each_output():
    student = [[0.5, 0.1], [0.1, 0.4]]
    teacher = [[0.3, 0.3], [0.3, 0.3]]
    # Worse than the teacher twice: 0.25 and 0.16, and two values that count as 0.
    assert bound(student, teacher) == pytest.approx((0.25 + 0.16) / 4)
    # Over the batch the student's mean is above the teacher's, 0.43 / 4 against 0.36 / 4: the
    # batch-wise reading would count all four.
    assert bound(student, teacher) != pytest.approx(0.43 / 4)


def test_no_loss_once_the_student_beats_the_teacher_by_the_margin():
    teacher = [[0.5, 0.5], [0.5, 0.5]]  # squared error 0.25
    # Squared errors 0.04, 0.09, 0.16, 0.25; better than the teacher by 0.21, 0.16, 0.09, 0.
    student = [[0.2, 0.3], [0.4, 0.5]]
    assert bound(student, teacher, margin=0.0) == 0  # as good is enough at a margin of 0
    assert bound(student, teacher, margin=0.1) == pytest.approx((0.16 + 0.25) / 4)
    assert bound(student, teacher, margin=0.2) == pytest.approx((0.09 + 0.16 + 0.25) / 4)
    assert bound(student, teacher, margin=0.22) == pytest.approx((0.04 + 0.09 + 0.16 + 0.25) / 4)


def test_the_other_sign_asks_for_a_loss_only_where_the_student_is_worse():
    teacher = [[0.3, 0.3], [0.3, 0.3]]  # 0.09
    # Worse by 0.07, 0.16 and 0.27, and better by 0.08.
    student = [[0.4, 0.5], [0.6, 0.1]]
    margin = signed_margin(0.1, "lee")
    assert margin == -0.1
    assert bound(student, teacher, margin) == pytest.approx((0.25 + 0.36) / 4)
    assert signed_margin(0.1, "chen") == 0.1
    everything = (0.16 + 0.25 + 0.36 + 0.01) / 4
    assert bound(student, teacher, signed_margin(0.1, "chen")) == pytest.approx(everything)


def test_unknown_values_do_not_count():
    target = [[0.0, NAN], [NAN, 0.0]]
    assert bound([[0.5, 9.0], [9.0, 0.1]], [[0.3, 0.3], [0.3, 0.3]], 0.0, target) == pytest.approx(
        0.25 / 2
    )


def test_nothing_known_is_zero_with_a_gradient_of_zero():
    student = torch.randn(3, 2, requires_grad=True)
    value = teacher_bound(student, torch.zeros(3, 2), torch.full((3, 2), NAN))
    value.backward()
    assert float(value.detach()) == 0
    assert student.grad.abs().max() == 0


def test_the_gradient_is_twice_the_error_where_the_bound_holds():
    student = double([[0.5, 0.1]]).requires_grad_()
    teacher_bound(student, double([[0.3, 0.3]]), double([[0.0, 0.0]])).backward()
    assert student.grad.tolist() == [[2 * 0.5 / 2, 0.0]]


@pytest.mark.parametrize("margin", [-0.05, 0.0, 0.05])
def test_the_gradient_is_that_of_finite_differences(margin):
    teacher, target = torch.tanh(logits(1, k=2)), torch.tanh(logits(2, k=2))
    target[1, 0] = NAN
    student = torch.tanh(logits(0, k=2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: teacher_bound(r, teacher, target, margin), (student,))


def test_equation_3():
    student, teacher = double([[0.5, 0.1]]), double([[0.3, 0.3]])
    got = bounded_regression(
        double(0.7), student, teacher, double([[0.0, 0.0]]), margin=0.0, weight=0.4
    )
    assert float(got) == pytest.approx(0.7 + 0.4 * 0.25 / 2)

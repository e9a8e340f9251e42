"""Losses between the dense outputs of a student and its teacher. No gradient reaches the teacher."""

from __future__ import annotations

from torch import Tensor

from limbeck.losses.modulated import soft_target_rows
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape


def binary_class_distillation(
    student_logits: Tensor, teacher_logits: Tensor, beta: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return BCKD's binary classification distillation loss, summed over the classes; arXiv 2308.14286.

    Per class the binary cross entropy of the student's score with the teacher's, times ``|p_t - p_s| ** beta``. That
    weight is part of the student's gradient. The loss and its gradient are 0 exactly where the scores are equal.

    Args:
        student_logits: (...,K).
        teacher_logits: (...,K).
        beta: Exponent of the difference, positive.

    Returns:
        The loss (...), float32 or better, and the largest ``|p_t - p_s|`` of the classes (...) without gradient, by
        which BCKD weighs its localisation loss.

    Raises:
        ValueError: The shapes differ or beta is not positive.
    """
    require_same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    return soft_target_rows(student_logits, teacher_logits, beta)


def class_kl_rows(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0, dim: int = -1) -> Tensor:
    """Return the divergence of the student's softmax from the teacher's at temperature T, times T^2; arXiv 1503.02531.

    Args:
        student_logits: (...,K).
        teacher_logits: (...,K).
        temperature: Divides the logits of both.
        dim: Where the classes are; 1 for maps (B,K,H,W).

    Returns:
        (...) summed over the classes, float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    student = (at_least_float32(student_logits) / temperature).log_softmax(dim=dim)
    teacher = (at_least_float32(teacher_logits.detach()) / temperature).log_softmax(dim=dim)
    return (teacher.exp() * (teacher - student)).sum(dim=dim) * temperature**2


def localisation_kl_rows(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 10.0) -> Tensor:
    """Return LD's divergence of two distributions of the distance to one box side; arXiv 2102.12252.

    The Kullback-Leibler divergence of the student from the teacher at a temperature T, MEAN over the bins, times T^2.

    Args:
        student_logits: (...,R+1).
        teacher_logits: (...,R+1).
        temperature: Divides the logits of both.

    Returns:
        (...) float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    return class_kl_rows(student_logits, teacher_logits, temperature) / student_logits.shape[-1]

"""The losses of itKD between maps, codes and head outputs (arXiv 2205.15531)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.losses.centre import EPS
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape


def mean_difference(a: Tensor, b: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of what two maps hold in N cells.

    Args:
        a: (N,C).
        b: (N,C).
        weights: (N,) which cells count; None for all. Where none does, the loss is 0.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(a=a, b=b)
    cells: Tensor = torch.linalg.vector_norm(at_least_float32(a) - at_least_float32(b), 1, dim=1)
    if weights is None:
        return cells.mean() / a.shape[1]
    total = weights.sum() * a.shape[1]
    return (cells * weights).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)


def object_difference(a: Tensor, b: Tensor, places: int, over: Literal["slots", "objects"] = "slots") -> Tensor:
    """Return the mean squared difference of what two maps hold at the objects.

    Args:
        a: (N,C) values at the N objects of a batch.
        b: (N,C).
        places: B M, the places for objects of the whole batch.
        over: The mean is over all places, as in the released code, where one without an object adds 0, or over the
            objects.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(a=a, b=b)
    total = (at_least_float32(a) - at_least_float32(b)).square().sum()
    count = places if over == "slots" else max(len(a), 1)
    return total / (count * a.shape[1])


def fused_difference(student: Tensor, teacher: Tensor, count: Tensor) -> Tensor:
    """Return the summed absolute difference of fused head outputs (B,C,M), divided by n + 1e-4.

    Args:
        student: Of the student.
        teacher: Of the teacher.
        count: Scalar n, the objects of the batch.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(student=student, teacher=teacher)
    return (at_least_float32(student) - at_least_float32(teacher)).abs().sum() / (count + EPS)

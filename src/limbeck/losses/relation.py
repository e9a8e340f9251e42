"""Losses between relations: what matters is the order and the spread of the scores, not their values."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape

PEARSON_EPS = 1e-8
"""Added to the product of the two lengths, as the released code of DIST does."""


def pearson_distance(
    student: Tensor, teacher: Tensor, dim: int | tuple[int, ...], weights: Tensor | None = None
) -> Tensor:
    """Return 1 minus Pearson's correlation along some dimensions; arXiv 2205.10536. The teacher gets no gradient.

    Args:
        student: Any shape.
        teacher: The same shape, without gradient.
        dim: The dimensions of the samples.
        weights: Weights of the samples, 0 for those that do not count; must broadcast to the shape of the two.

    Returns:
        The other dimensions, float32 or better; 1 where one side does not vary.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(student=student, teacher=teacher)
    mine, its = at_least_float32(student), at_least_float32(teacher.detach())
    share = torch.ones_like(its) if weights is None else weights.expand_as(its)
    total = share.sum(dim=dim, keepdim=True).clamp(min=torch.finfo(its.dtype).tiny)
    mine, its = ((side - (share * side).sum(dim=dim, keepdim=True) / total) * share.sqrt() for side in (mine, its))
    lengths: Tensor = torch.linalg.vector_norm(mine, dim=dim) * torch.linalg.vector_norm(its, dim=dim)
    return 1 - (mine * its).sum(dim=dim) / (lengths + PEARSON_EPS)

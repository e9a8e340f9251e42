"""Batch norm and ReLU of rows of which some stand for many, forward and backward in as few passes as can be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

Sums = tuple[Tensor, Tensor]


def padded_norm_relu(norm: nn.BatchNorm1d, rows: Tensor, padding: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows (K,C) and the padding (P,C) after batch norm and ReLU.

    Args:
        norm: Weights and statistics. In training the statistics are those of the rows and of as many copies of each
            padding as ``times`` says.
        rows: (K,C).
        padding: (P,C).
        times: (P,) int64.
    """
    if not norm.training:
        return norm(rows).relu_(), norm(padding).relu_()
    normed, padding, mean, variance = _PaddedNorm.apply(rows, padding, times, norm.weight, norm.bias, norm.eps)
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        total = len(rows) + times.sum()
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        unbiased = variance * total / (total - 1).clamp(min=1)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
        norm.num_batches_tracked += 1
    return normed, padding


class _PaddedNorm(torch.autograd.Function):
    """Autograd alone would go through the rows three times as often, and the rows are what takes the time."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, padding: Tensor, times: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return both after the ReLU, (K,C) and (P,C), the mean and the variance, (C,)."""
        copies = times.to(rows.dtype)
        total = (copies.sum() + len(rows)).clamp(min=1)  # a batch may be empty
        mean = (rows.sum(dim=0) + copies @ padding) / total
        centred, centred_padding = rows - mean, padding - mean
        variance = (centred.square().sum(dim=0) + copies @ centred_padding.square()) / total
        inverse = (variance + eps).rsqrt()
        found = [torch.addcmul(bias, side, inverse * weight).relu_() for side in (centred, centred_padding)]
        ctx.save_for_backward(centred, centred_padding, *found, copies, inverse, weight, total)
        ctx.mark_non_differentiable(mean, variance)
        return found[0], found[1], mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of rows, padding, weight and bias."""
        centred, centred_padding, out, out_padding, copies, inverse, weight, total = ctx.saved_tensors
        rows, padding = (
            torch.ops.aten.threshold_backward(gradient, after, 0)
            for gradient, after in zip(gradients[:2], (out, out_padding), strict=True)
        )
        of_bias = rows.sum(dim=0) + padding.sum(dim=0)
        of_weight = ((rows * centred).sum(dim=0) + (padding * centred_padding).sum(dim=0)) * inverse
        scale = inverse * weight
        shift, slope = -scale * of_bias / total, -scale * inverse * of_weight / total
        of_rows = torch.addcmul(shift, rows, scale).addcmul_(centred, slope)
        of_padding = torch.addcmul(copies[:, None] * torch.addcmul(shift, centred_padding, slope), padding, scale)
        return of_rows, of_padding, None, of_weight, of_bias, None

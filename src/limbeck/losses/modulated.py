"""Binary cross entropy times a power of the error, the common core of focal, quality focal and BCKD's class loss.

With p = sigmoid(z) and a target y in [0, 1] every class of every row contributes

    |p - y|^power * (-y log p - (1 - y) log(1 - p)).

The factor is differentiated too. With e = |p - y| the derivative with respect to z is

    sign(p - y) * e^(power - 1) * (power * p (1 - p) * bce + e^2),

and 0 where p = y. Dense heads have millions of such entries, so the derivative is written out: the backward pass keeps
one tensor of the size of the logits instead of six. The work goes in slices of rows that stay in the processor's cache.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from limbeck.ops.precision import at_least_float32

SLICE_ELEMENTS = {"cpu": 1 << 17}
"""Logits per slice by device type; a CPU slice and its temporaries fit into the second-level cache."""
DEFAULT_SLICE_ELEMENTS = 1 << 22


def soft_target_rows(logits: Tensor, target_logits: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the sum over the classes (...) for the targets ``sigmoid(target_logits)``, and the largest |p - y| (...).

    The largest error of a row costs almost nothing here and carries no gradient.

    Args:
        logits: (...,K).
        target_logits: (...,K), without gradient.
        power: Exponent of the error.

    Raises:
        ValueError: The power is not positive.
    """
    _require_positive(power)
    num_classes = logits.shape[-1]
    rows, largest = _SoftTargets.apply(
        logits.reshape(-1, num_classes), target_logits.detach().reshape(-1, num_classes), power
    )
    return rows.view(logits.shape[:-1]), largest.view(logits.shape[:-1])


def label_rows(
    logits: Tensor, labels: Tensor, quality: Tensor, power: float, weights: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """Return the sum over the classes (...) for targets that are 0 everywhere but at the label of a row.

    Args:
        logits: (...,K).
        labels: (...) int64, class of the row; K or a negative number for background.
        quality: (...) target at the label, without gradient.
        power: Exponent of the error.
        weights: Factor of the entries at the labels, and of all others.

    Raises:
        ValueError: The power is not positive.
    """
    _require_positive(power)
    rows: Tensor = _LabelTargets.apply(
        logits.reshape(-1, logits.shape[-1]), labels.flatten(), quality.detach().flatten(), power, weights
    )
    return rows.view(labels.shape)


def _require_positive(power: float) -> None:
    if power <= 0:
        raise ValueError(f"the power of the error must be positive, not {power}")


def _value_slope_error(logits: Tensor, target: Tensor, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the value, its derivative with respect to the logits and |p - y|, element by element."""
    score = logits.sigmoid()
    bce = logits.abs().neg_().exp_().log1p_().add_(logits.clamp(min=0)).addcmul_(target, logits, value=-1)
    error = score - target
    size = error.abs()
    factor = size.clamp(min=torch.finfo(size.dtype).tiny).pow_(power - 1)
    slope = error.square().addcmul_(score.addcmul_(score, score, value=-1), bce, value=power)
    slope.mul_(factor).mul_(error.sign_())
    return bce.mul_(factor).mul_(size), slope, size


def _rows_slope_error(logits: Tensor, target_logits: Tensor | None, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows (N,), their derivative (N,K) and the largest |p - y| (N,).

    Without target logits all targets are 0.
    """
    dtype = at_least_float32(logits[:0]).dtype
    rows, slope = torch.empty_like(logits[:, 0], dtype=dtype), torch.empty_like(logits, dtype=dtype)
    largest, zero = torch.empty_like(rows), rows.new_zeros(())
    step = max(SLICE_ELEMENTS.get(logits.device.type, DEFAULT_SLICE_ELEMENTS) // logits.shape[1], 1)
    for start in range(0, logits.shape[0], step):
        part = slice(start, start + step)
        target = zero if target_logits is None else target_logits[part].to(dtype).sigmoid()
        value, slope[part], error = _value_slope_error(logits[part].to(dtype), target, power)
        torch.sum(value, dim=1, out=rows[part])
        torch.amax(error, dim=1, out=largest[part])
    return rows, slope, largest


class _SoftTargets(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, target_logits: Tensor, power: float) -> tuple[Tensor, Tensor]:
        rows, slope, largest = _rows_slope_error(logits, target_logits, power)
        ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(largest)
        return rows, largest

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad_rows: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad_rows[:, None], None, None


class _LabelTargets(Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, logits: Tensor, labels: Tensor, quality: Tensor, power: float, weights: tuple[float, float]
    ) -> Tensor:
        rows, slope, _ = _rows_slope_error(logits, None, power)
        at_label, elsewhere = weights
        rows *= elsewhere
        slope *= elsewhere
        index = ((labels >= 0) & (labels < logits.shape[1])).nonzero().squeeze(1)
        entries = index, labels[index]
        chosen = logits[entries].to(rows.dtype)
        value, label_slope, _ = _value_slope_error(chosen, quality[index].to(rows.dtype), power)
        without, _, _ = _value_slope_error(chosen, chosen.new_zeros(()), power)
        rows[index] += at_label * value - elsewhere * without
        slope[entries] = at_label * label_slope
        ctx.save_for_backward(slope)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad_rows: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad_rows[:, None], None, None, None, None

"""Decoupled knowledge distillation (DKD): KL split at the label of a row into two parts that are weighted apart.

With logits z at a temperature, softmax p, label t and the distribution p^ of the other classes among themselves:

    TCKD = p_t^T log(p_t^T / p_t^S) + (1 - p_t^T) log((1 - p_t^T) / (1 - p_t^S))
    NCKD = sum_{k != t} p^_k^T log(p^_k^T / p^_k^S)
    KL   = TCKD + (1 - p_t^T) NCKD

(arXiv 2203.08679). Let u be z_t minus the log-sum-exp of the other logits; then p_t = sigmoid(u), so that TCKD is a
binary divergence of u and nothing is ever the logarithm of a probability. The derivatives of alpha TCKD + beta NCKD are
alpha (p_t^S - p_t^T) at the label and (beta - alpha (p_t^S - p_t^T)) p^_k^S - beta p^_k^T elsewhere.

Segmenters have a row per pixel. The derivative is written out: one tensor of the size of the logits is kept, and the
work goes in slices of pixels that stay in the processor's cache.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from limbeck.losses.modulated import DEFAULT_SLICE_ELEMENTS, SLICE_ELEMENTS
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape

SMALLEST_EXPONENT = -80.0
"""exp() of less is as good as 0 beside the 1 it is added to, and slow where it is too small for a normal float."""


def dkd_rows(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    alpha: Tensor | float = 1.0,
    beta: Tensor | float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """Return ``T^2 (alpha TCKD + beta NCKD)`` of every row or pixel; arXiv 2203.08679, eq. 7.

    The weights get gradients, so that they may be learned. With two classes NCKD is always 0.

    Args:
        student_logits: (N,K), or (B,K,H,W) for maps.
        teacher_logits: The same shape, without gradient.
        labels: (N) or (B,H,W) integers; the row of a label outside of 0..K-1 gives 0 and gets no gradient.
        alpha: Weight of TCKD: a number, or one per label.
        beta: Weight of NCKD: a number, one per label, or with the shape of the logits one for every class, which
            weighs the summands of NCKD; the entry of the label's own class does not count.
        temperature: Divides the logits of both.

    Returns:
        The shape of the labels, float32 or better.

    Raises:
        ValueError: Shapes do not fit, or there is only one class.
    """
    require_same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    if labels.shape != student_logits.shape[:1] + student_logits.shape[2:]:
        raise ValueError(f"labels {tuple(labels.shape)} must hold one class per row of {tuple(student_logits.shape)}")
    if student_logits.shape[1] < 2:
        raise ValueError("DKD needs two classes or more")
    rows: Tensor = _DkdRows.apply(
        _class_first(student_logits),
        _class_first(teacher_logits.detach()),
        _pixels(labels).long(),
        _weights(alpha, student_logits, labels),
        _weights(beta, student_logits, labels),
        temperature,
    )
    return rows.view(labels.shape)


def _class_first(rows: Tensor) -> Tensor:
    """View (N,K) as (1,K,N), and (B,K,H,W) as (B,K,HW)."""
    return rows.t()[None] if rows.ndim == 2 else rows.flatten(2)


def _pixels(rows: Tensor) -> Tensor:
    """View (N,) as (1,N), and (B,H,W) as (B,HW)."""
    return rows[None] if rows.ndim == 1 else rows.flatten(1)


def _weights(weights: Tensor | float, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the weights per row (B,N), or per class and row (B,K,N)."""
    if isinstance(weights, Tensor) and weights.ndim == logits.ndim:
        require_same_shape(weights=weights, logits=logits)
        return _class_first(weights)
    dtype = at_least_float32(logits[:0]).dtype
    return _pixels(torch.as_tensor(weights, dtype=dtype, device=logits.device).expand(labels.shape))


def _softened(logits: Tensor, temperature: float, dtype: torch.dtype) -> Tensor:
    """Return logits (K,P) over the temperature in ``dtype``, with the pixels of a class side by side."""
    rows = (logits if logits.stride(1) == 1 else logits.contiguous()).to(dtype)
    return rows if temperature == 1 else rows / temperature


def _without_label(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the softmax without the label's class (K,P), the margin of its logit (P,) and the log-sum-exp (P,).

    The margin is u of the head of this file, the log-sum-exp that of the other classes.
    """
    at_label = logits.gather(0, labels)[0]
    others = logits.scatter(0, labels, -torch.inf)
    top = others.amax(dim=0)
    others.sub_(top).clamp_(min=SMALLEST_EXPONENT).exp_()
    total = others.sum(dim=0)
    others.mul_(total.reciprocal())
    lse = top.add_(total.log_())
    return others, at_label.sub_(lse), lse


def _binary_divergence(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return the divergence of sigmoid(student) from sigmoid(teacher) and its derivative, the difference of the two."""
    mine, its = (u.abs().neg_().clamp_(min=SMALLEST_EXPONENT).exp_().log1p_() for u in (student, teacher))
    remainder = mine.sub_(its)
    score = teacher.sigmoid()
    at_label = (teacher.clamp(max=0) - student.clamp(max=0)).add_(remainder)
    elsewhere = (student.clamp(min=0) - teacher.clamp(min=0)).add_(remainder)
    return torch.lerp(elsewhere, at_label, score), student.sigmoid().sub_(score)


def _rows(
    student: Tensor, teacher: Tensor, labels: Tensor, alpha: Tensor, beta: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return alpha TCKD + beta NCKD (P,), TCKD (P,) and NCKD like ``beta``.

    Args:
        student: (K,P).
        teacher: (K,P).
        labels: (1,P), 0..K-1.
        alpha: (P,).
        beta: (P,) or (K,P).
        slope: (K,P), where the derivative by the student's logits goes.
    """
    ahead = teacher - student
    mine, my_margin, my_lse = _without_label(student, labels)
    its, its_margin, its_lse = _without_label(teacher, labels)
    tckd, difference = _binary_divergence(my_margin, its_margin)
    summands = ahead.sub_(its_lse.sub_(my_lse)).mul_(its)
    weighted, pull = its.mul_(beta), alpha * difference
    if beta.ndim == 2:
        nckd, rows, mass = summands, (beta * summands).sum(dim=0), weighted.sum(dim=0)
    else:
        nckd, mass = summands.sum(dim=0), beta
        rows = beta * nckd
    mine.mul_(mass - pull).scatter_(0, labels, pull[None])
    torch.sub(mine, weighted, out=slope)
    return rows.addcmul_(alpha, tckd), tckd, nckd


class _DkdRows(Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        student: Tensor,
        teacher: Tensor,
        labels: Tensor,
        alpha: Tensor,
        beta: Tensor,
        temperature: float,
    ) -> Tensor:
        dtype, classes = at_least_float32(student[:0]).dtype, student.shape[1]
        valid = (labels >= 0) & (labels < classes)
        labels, slope = labels.where(valid, 0)[:, None], torch.empty_like(student)
        rows, tckd = (torch.empty(valid.shape, dtype=dtype, device=student.device) for _ in range(2))
        nckd = torch.empty(beta.shape, dtype=dtype, device=student.device)
        step = max(SLICE_ELEMENTS.get(student.device.type, DEFAULT_SLICE_ELEMENTS) // classes, 1)
        parts = [(b, ..., slice(n, n + step)) for b in range(valid.shape[0]) for n in range(0, valid.shape[1], step)]
        for part in parts:
            counts = valid[part] * temperature
            mine, its = (_softened(z[part], temperature, dtype) for z in (student, teacher))
            rows[part], tckd[part], nckd[part] = _rows(
                mine, its, labels[part], alpha[part] * counts, beta[part] * counts, slope[part]
            )
        rows *= temperature
        scale = temperature**2 * valid
        ctx.save_for_backward(slope, tckd.mul_(scale), nckd.mul_(scale if nckd.ndim == 2 else scale[:, None]))
        return rows

    @staticmethod
    @once_differentiable
    def backward(
        ctx: BackwardCFunction, grad_rows: Tensor
    ) -> tuple[Tensor, None, None, Tensor | None, Tensor | None, None]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        (slope, tckd, nckd), needed = saved, tuple(ctx.needs_input_grad)
        by_class = grad_rows[:, None]
        return (
            slope * by_class.to(slope.dtype),
            None,
            None,
            grad_rows * tckd if needed[3] else None,
            (by_class if nckd.ndim == 3 else grad_rows) * nckd if needed[4] else None,
            None,
        )

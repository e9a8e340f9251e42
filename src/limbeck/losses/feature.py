"""Losses between the feature maps of a student and its teacher. No gradient reaches the teacher."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable
from torch.nn import functional

from limbeck.losses.divergence import class_kl_rows
from limbeck.losses.modulated import DEFAULT_SLICE_ELEMENTS, SLICE_ELEMENTS
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape

STD_EPS = 1e-6
"""Added to the standard deviation of a channel, as PKD does."""


def squared_difference_rows(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of every image, FitNets' hint loss up to a factor; arXiv 1412.6550, eq. 3.

    The sum runs in float32 or better. Maps are large, so the derivative is written out: the backward pass keeps one
    tensor of the type and size of the student's map, and no wider copy of a whole map is made.

    Args:
        student: (B,...), for example maps (B,C,H,W).
        teacher: (B,...).

    Returns:
        (B,) float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(student=student, teacher=teacher)
    rows: Tensor = _SquaredDifference.apply(student, teacher.detach())
    return rows


def standardise_channels(maps: Tensor) -> Tensor:
    """Return maps with mean 0 and standard deviation 1 per channel over images and cells, as in PKD; arXiv 2207.02039.

    The deviation has the divisor n - 1, and a channel that is the same everywhere becomes 0.

    Args:
        maps: (B,C,...).

    Returns:
        The same shape, float32 or better.
    """
    wide = at_least_float32(maps)
    dims = [0, *range(2, maps.ndim)]
    values = maps.numel() // max(maps.shape[1], 1)
    std, mean = torch.std_mean(wide, dim=dims, correction=min(values - 1, 1), keepdim=True)
    return (wide - mean) / (std + STD_EPS)


def standardise_cells(maps: Tensor, eps: float = 1e-5) -> Tensor:
    """Return maps with mean 0 and variance 1 over the cells of every image and channel: instance norm without weights.

    Args:
        maps: (B,C,...).
        eps: Added to the variance, which has the divisor n.

    Returns:
        The same shape, float32 or better.
    """
    wide = at_least_float32(maps)
    variance, mean = torch.var_mean(wide, dim=list(range(2, maps.ndim)), correction=0, keepdim=True)
    return (wide - mean) * (variance + eps).rsqrt()


def channel_kl_rows(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the channel-wise divergence of every image, CWD; arXiv 2011.13256.

    Per channel the softmax over the cells at temperature T; the divergence of the student's from the teacher's times
    T^2, mean over the channels.

    Args:
        student: (B,C,H,W).
        teacher: (B,C,H,W).
        temperature: Divides the maps of both.

    Returns:
        (B,) float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    return class_kl_rows(student.flatten(2), teacher.flatten(2), temperature).mean(dim=1)


def attention_rows(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared distance of the attention maps of every image, attention transfer; arXiv 1612.03928, eq. 2.

    An attention map is the mean over the channels of the squared values, as a vector of the cells scaled to length 1.
    Numbers of channels may differ. The sum over the cells is 2 (1 - the cosine of the two), whatever their number.

    Args:
        student: (B,C,H,W).
        teacher: (B,C',H,W).

    Returns:
        (B,) float32 or better.

    Raises:
        ValueError: The maps differ in batch or size.
    """
    mine, its = _attention(student), _attention(teacher.detach())
    require_same_shape(student=mine, teacher=its)
    return (_unit(mine) - _unit(its)).square().sum(dim=1)


def _attention(maps: Tensor) -> Tensor:
    return at_least_float32(maps).square().mean(dim=1)


def _unit(attention: Tensor) -> Tensor:
    return functional.normalize(attention.flatten(1), dim=1)


def to_common_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average two maps down to the smaller height and the smaller width of the two; equal sizes pass unchanged.

    A student cannot be asked for detail that is finer than its cells, and a comparison of fewer cells is cheaper.

    Args:
        student: (B,C,H,W).
        teacher: (B,C',H',W').
    """
    rows, columns = (min(sizes) for sizes in zip(student.shape[2:], teacher.shape[2:], strict=True))
    return _averaged(student, (rows, columns)), _averaged(teacher, (rows, columns))


def _averaged(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size_hw else functional.adaptive_avg_pool2d(maps, size_hw)


def _values_per_image(maps: Tensor) -> int:
    return max(math.prod(maps.shape[1:]), 1)


class _SquaredDifference(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, student: Tensor, teacher: Tensor) -> Tensor:
        values = _values_per_image(student)
        images = max(SLICE_ELEMENTS.get(student.device.type, DEFAULT_SLICE_ELEMENTS) // values, 1)
        axes = list(range(1, student.ndim))
        difference = torch.empty_like(student)
        rows = student.new_zeros(student.shape[0], dtype=at_least_float32(student[:0]).dtype)
        for start in range(0, student.shape[0], images):
            part = slice(start, start + images)
            wide = at_least_float32(student[part]) - at_least_float32(teacher[part])
            difference[part] = wide
            rows[part] = wide.square_().sum(dim=axes) / values
        ctx.save_for_backward(difference)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad_rows: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        scale = (grad_rows * (2 / _values_per_image(difference))).to(difference.dtype)
        return difference * scale.view(-1, *[1] * (difference.ndim - 1)), None

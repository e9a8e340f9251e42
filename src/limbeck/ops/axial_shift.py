"""The axial shift of AS-MLP (arXiv 2107.08391): groups of channels move along one axis by different distances."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable
from torch.nn import functional

ROWS, COLUMNS = 2, 3
"""Axes along which maps (B,C,H,W) are shifted."""


def axial_shift(maps: Tensor, shift: int, axis: int) -> Tensor:
    """Move the k-th chunk of channels by k - shift // 2 cells along an axis; what comes in from outside is 0.

    A chunk has ceil(C / shift) channels; the last one may have fewer, and with few channels there are fewer chunks.

    Args:
        maps: (B,C,H,W).
        shift: Number of chunks, odd.
        axis: `ROWS` or `COLUMNS`.

    Returns:
        (B,C,H,W), contiguous.
    """
    if torch.compiler.is_exporting():  # writing into slices would become a scatter there
        return _padded(maps, shift, axis)
    shifted: Tensor = _AxialShift.apply(maps, shift, axis)
    return shifted


def _chunks(channels: int, shift: int) -> Iterator[tuple[int, int, int]]:
    """Yield first channel, number of channels and distance of every chunk."""
    size = -(-channels // shift)
    for k, start in enumerate(range(0, channels, size)):
        yield start, min(size, channels - start), k - shift // 2


def _padded(maps: Tensor, shift: int, axis: int, sign: int = 1) -> Tensor:
    moved = []
    for start, size, steps in _chunks(maps.shape[1], shift):
        chunk, distance = maps.narrow(1, start, size), sign * steps
        outside = abs(distance) >= maps.shape[axis]
        padding = (distance, -distance) if axis == COLUMNS else (0, 0, distance, -distance)
        moved.append(torch.zeros_like(chunk) if outside else functional.pad(chunk, padding))
    return torch.cat(moved, dim=1)


def _moved(maps: Tensor, shift: int, axis: int, sign: int) -> Tensor:
    """Return every chunk moved by its distance times ``sign``: one pass over the memory, without a padded copy.

    A chunk is moved as one piece of memory, so that cells leave their map and come out in the next one; there they are
    set to 0. All chunks but the first and the last are one copy: from one to the next the distance grows by a step.
    """
    lead, length = shift // 2, maps.shape[axis]
    if length <= lead:  # a chunk would reach beyond its neighbours
        return _padded(maps, shift, axis, sign)
    source = maps.contiguous()
    target, base = torch.empty_like(source), source.storage_offset()
    images, channels, rows, columns = source.shape
    plane, step = rows * columns, sign * (columns if axis == ROWS else 1)
    chunks = list(_chunks(channels, shift))
    for start, size, distance in {chunks[0], chunks[-1]}:
        begin, offset = start * plane, distance * step
        shape, strides = (images, size * plane - abs(offset)), (channels * plane, 1)
        moved = source.as_strided(shape, strides, base + begin + max(-offset, 0))
        target.as_strided(shape, strides, begin + max(offset, 0)).copy_(moved)
    size = chunks[0][1]
    if len(chunks) > 2:
        numbers = size * plane
        between = (images, len(chunks) - 2, numbers)
        moved = source.as_strided(between, (channels * plane, numbers - step, 1), base + numbers + (lead - 1) * step)
        target.as_strided(between, (channels * plane, numbers, 1), numbers).copy_(moved)
    for cell in range(lead):
        last, first = (-1 - cell, cell) if sign > 0 else (cell, -1 - cell)
        target[:, : (lead - cell) * size].select(axis, last).zero_()
        target[:, (lead + 1 + cell) * size :].select(axis, first).zero_()
    return target


class _AxialShift(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, maps: Tensor, shift: int, axis: int) -> Tensor:
        ctx.shift, ctx.axis = shift, axis  # type: ignore[attr-defined]
        return _moved(maps, shift, axis, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, None, None]:
        return _moved(grad, ctx.shift, ctx.axis, -1), None, None  # type: ignore[attr-defined]

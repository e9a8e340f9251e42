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


def _padded(maps: Tensor, shift: int, axis: int) -> Tensor:
    moved = []
    for start, size, distance in _chunks(maps.shape[1], shift):
        chunk = maps.narrow(1, start, size)
        outside = abs(distance) >= maps.shape[axis]
        padding = (distance, -distance) if axis == COLUMNS else (0, 0, distance, -distance)
        moved.append(torch.zeros_like(chunk) if outside else functional.pad(chunk, padding))
    return torch.cat(moved, dim=1)


def _moved(maps: Tensor, shift: int, axis: int, sign: int) -> Tensor:
    """Return every chunk moved by its distance times ``sign``: one pass over the memory, without a padded copy."""
    source = maps.contiguous()
    target, length = torch.empty_like(source), source.shape[axis]
    for start, size, distance in _chunks(source.shape[1], shift):
        into, chunk, far = target.narrow(1, start, size), source.narrow(1, start, size), sign * distance
        kept = max(length - abs(far), 0)
        first, second = (length - kept, 0) if far > 0 else (0, length - kept)
        into.narrow(axis, first, kept).copy_(chunk.narrow(axis, second, kept))
        if far:
            into.narrow(axis, 0 if far > 0 else kept, length - kept).zero_()
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

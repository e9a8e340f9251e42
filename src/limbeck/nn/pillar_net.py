"""The pillar feature net of CenterPoint: a few numbers for each pillar from the points in it (arXiv 1812.05784)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.nn.padded_norm import padded_norm_relu
from limbeck.ops.pillars import PillarGrid, Pillars
from limbeck.ops.precision import without_autocast

EPS, MOMENTUM = 1e-3, 0.01
"""Of every batch norm up to the head (the released code)."""
STEP = 4
"""How much further each step looks into the pillars, see `_max_in_steps`."""


class PillarNet(nn.Module):
    """Two layers of linear, batch norm, ReLU and the maximum over the points of a pillar.

    The field pads every pillar with zero points up to ``max_points``, and its released code lets them take part in the
    statistics of the batch norms and in the maximum. All padding points of a pillar are equal, so one of them with
    their number as its weight gives the same numbers.

    Args:
        values: Numbers of a point, x, y, z first.
        grid: The grid of the pillars.
        max_points: Points that a pillar is padded to.
        channels: Output channels of the two layers; the first one's are half its own and half the pillar's maximum.
        momentum: Of the batch norms' statistics.
    """

    def __init__(
        self,
        values: int,
        grid: PillarGrid,
        max_points: int,
        channels: tuple[int, int] = (64, 64),
        momentum: float = MOMENTUM,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.max_points = max_points
        self.first = _Layer(values + 5, channels[0] // 2, max_points, momentum)
        self.second = _Layer(channels[0], channels[1], max_points, momentum)

    def forward(self, pillars: Pillars) -> Tensor:
        """Return the features (P,C) of the pillars, in float32 or better: metres do not fit 16 bits."""
        with without_autocast(pillars.points):
            rows = self.decorate(pillars)
            padding = rows.new_zeros(pillars.counts.shape[0], rows.shape[1])
            missing = self.max_points - pillars.counts
            rows, padding, peaks = self.first(rows, padding, None, pillars, missing)
            found: Tensor = self.second(rows, padding, peaks, pillars, missing)[2]
            return found

    def decorate(self, pillars: Pillars) -> Tensor:
        """Return (K,F+5): the values of the points, their offset from the pillar's mean (3) and centre (2)."""
        points, pillar = pillars.points, pillars.pillar
        means = _pillar_sums(points[:, :3], pillars) / pillars.counts[:, None].to(points.dtype)
        nx, ny = self.grid.size_xy
        cell_xy = torch.stack([pillars.cells % nx, pillars.cells // nx % ny], dim=1).to(points.dtype)
        size, corner = points.new_tensor(self.grid.pillar_xy), points.new_tensor(self.grid.range_xyz[:2])
        centres = cell_xy * size + (size / 2 + corner)
        return torch.cat(
            [points, points[:, :3] - means.index_select(0, pillar), points[:, :2] - centres.index_select(0, pillar)],
            dim=1,
        )


class _Layer(nn.Module):
    """Linear, batch norm, ReLU, and the maximum over each pillar."""

    def __init__(self, inputs: int, outputs: int, max_points: int, momentum: float) -> None:
        super().__init__()
        self.max_points = max_points
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=EPS, momentum=momentum)

    def forward(
        self, rows: Tensor, padding: Tensor, common: Tensor | None, pillars: Pillars, missing: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the points (K,C), the padding (P,C) and the maximum of each pillar (P,C).

        Args:
            rows: (K,A) of the points.
            padding: (P,A) of the padding of each pillar.
            common: (P,B) what the points of a pillar and its padding have in common, None if nothing.
            pillars: Which points belong together.
            missing: (P,) the padding points of each pillar.
        """
        rows, padding = self._linear(rows, padding, common, pillars)
        rows, padding = padded_norm_relu(self.norm, rows, padding, missing)
        peaks = _pillar_max(rows, pillars, self.max_points)
        return rows, padding, torch.where(missing[:, None] > 0, torch.maximum(peaks, padding), peaks)

    def _linear(self, rows: Tensor, padding: Tensor, common: Tensor | None, pillars: Pillars) -> tuple[Tensor, Tensor]:
        """Apply the linear layer, once per pillar to what is common to it."""
        if common is None:
            return self.linear(rows), self.linear(padding)
        own, shared = self.linear.weight.split([rows.shape[1], common.shape[1]], dim=1)
        common = functional.linear(common, shared)
        of_points = torch.addmm(common.index_select(0, pillars.pillar), rows, own.T)
        return of_points, torch.addmm(common, padding, own.T)


def _pillar_sums(values: Tensor, pillars: Pillars) -> Tensor:
    """Return the sums (P,C) of the values (K,C) of the points of each pillar."""
    if torch.compiler.is_exporting():  # by running sums: see `_max_in_steps` why not by a scatter
        ends = pillars.counts.cumsum(0)
        running = functional.pad(values.double().cumsum(0), (0, 0, 1, 0))
        return (running.index_select(0, ends) - running.index_select(0, ends - pillars.counts)).to(values.dtype)
    return values.new_zeros(pillars.counts.shape[0], values.shape[1]).index_add_(0, pillars.pillar, values)


def _pillar_max(rows: Tensor, pillars: Pillars, most: int) -> Tensor:
    """Return the maximum (P,C) of the rows (K,C) of each pillar.

    Args:
        rows: One per point.
        pillars: Which points belong together.
        most: No pillar has more points.
    """
    if torch.compiler.is_exporting():
        return _max_in_steps(rows, pillars, most)
    peaks: Tensor = _SegmentMax.apply(rows, pillars.pillar, pillars.counts)
    return peaks


class _SegmentMax(torch.autograd.Function):
    """The maximum of each pillar, whose gradient is shared by the rows that are equal.

    torch's own gradient of `segment_reduce` does so where it is positive only; else each of them gets all of it.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, pillar: Tensor, counts: Tensor) -> Tensor:
        """Return the maximum (P,C) of rows (K,C) that belong to pillars (K,), ``counts`` (P,) of them to each."""
        peaks = torch.segment_reduce(rows, "max", lengths=counts, unsafe=True)
        ctx.save_for_backward(rows, peaks, pillar, counts)
        return peaks

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the rows."""
        rows, peaks, pillar, counts = ctx.saved_tensors
        below = peaks.index_select(0, pillar).sub_(rows).sign_()  # 0 or 1; a comparison takes longer
        equal = counts[:, None] - torch.zeros_like(gradient).index_add_(0, pillar, below)
        shares = (gradient / equal).index_select(0, pillar)
        return shares.addcmul_(below, shares, value=-1), None, None


def _max_in_steps(rows: Tensor, pillars: Pillars, most: int) -> Tensor:
    """Take the maximum over the first 4 points of each pillar, the next 12 of those that have more, and so on.

    ONNX has no operator over segments. Its scatters with a reduction would do, but ONNX Runtime's `ScatterND` loses
    updates where two threads meet at one row, and its `ScatterElements` is slow. So the points of a pillar are gathered
    side by side, at most four times as many as there are, however unevenly they are spread over the pillars.
    """
    last = pillars.counts.cumsum(0) - 1
    first = last - pillars.counts + 1
    peaks, seen = _max_of_next(rows, first, last, min(STEP, most)), STEP
    while seen < most:
        deep = (pillars.counts > seen).nonzero()[:, 0]
        ahead = min((STEP - 1) * seen, most - seen)
        found = _max_of_next(rows, first.index_select(0, deep) + seen, last.index_select(0, deep), ahead)
        peaks = peaks.index_copy(0, deep, torch.maximum(peaks.index_select(0, deep), found))
        seen *= STEP
    return peaks


def _max_of_next(rows: Tensor, first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return the maximum (N,C) of ``count`` rows from ``first`` (N,) on, of fewer where ``last`` (N,) comes before."""
    places = torch.minimum(first[:, None] + torch.arange(count, device=rows.device), last[:, None])
    return functional.embedding(places, rows).amax(dim=1)

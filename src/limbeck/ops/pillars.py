"""Pillars: points sorted by the cells of a grid on the ground, without a loop and without padding.

The field's usual form is a tensor (pillars, points, values) padded with zeros. Here the points of a batch lie one after
the other, those of a pillar together, so that memory grows with the points alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ConfigError

MAX_CELLS = 2**24
"""Cells of one grid: their numbers are whole in float32."""
MAX_BATCH_CELLS = 2**31 - 1
_ROUNDING = 1e-6
"""A range this near to a whole number of pillars, in pillars, has that many: 51.2 / 0.2 is not 256 in binary."""


@dataclass(frozen=True, slots=True)
class PillarGrid:
    """A grid of pillars on the ground.

    Attributes:
        range_xyz: Least x, y, z and largest x, y, z in metres; points outside are left out.
        pillar_xy: Size of a pillar along x and y in metres.

    Raises:
        ConfigError: The range is empty, no whole number of pillars, or has too many of them.
    """

    range_xyz: tuple[float, float, float, float, float, float]
    pillar_xy: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.range_xyz[:3], self.range_xyz[3:]
        problems = [
            f"range: {axis} goes from {least} to {largest}"
            for axis, least, largest in zip("xyz", low, high, strict=True)
            if not least < largest
        ]
        for axis, least, largest, size in zip("xy", low, high, self.pillar_xy, strict=False):
            cells = (largest - least) / size if size > 0 else 0.0
            if not problems and (round(cells) < 1 or not math.isclose(cells, round(cells), rel_tol=_ROUNDING)):
                problems.append(f"range: {axis} from {least} to {largest} is no whole number of pillars of {size} m")
        if not problems and math.prod(self.size_xy) > MAX_CELLS:
            problems.append(f"range: {self.size_xy[0]} x {self.size_xy[1]} pillars are more than {MAX_CELLS}")
        if problems:
            raise ConfigError("There is no such grid of pillars:", problems)

    @property
    def size_xy(self) -> tuple[int, int]:
        """Cells along x and y."""
        (x0, y0, _, x1, y1, _), (step_x, step_y) = self.range_xyz, self.pillar_xy
        return round((x1 - x0) / step_x), round((y1 - y0) / step_y)


@dataclass(slots=True)
class Pillars:
    """The points of a batch of clouds, sorted by pillar.

    Attributes:
        points: (K,F) the points that are kept, those of a pillar together, in the order they came in.
        pillar: (K,) int64, place of the pillar of each point.
        counts: (P,) int64, points of each pillar, at least 1.
        cells: (P,) int64, rising: cell of each pillar, ``(sample * ny + row) * nx + column``.
    """

    points: Tensor
    pillar: Tensor
    counts: Tensor
    cells: Tensor


def group_points(points: Tensor, counts: Tensor, grid: PillarGrid, max_points: int | None = None) -> Pillars:
    """Sort the points of a batch into pillars; points outside the range of the grid are left out.

    Args:
        points: (P,F) of all samples, one after the other: x, y, z in metres first.
        counts: (B,) int64, points of each sample.
        grid: The grid.
        max_points: So many points of a pillar are kept, the first ones; None keeps all.

    Raises:
        ConfigError: The grid has more cells than can be numbered.
    """
    (x0, y0, z0, _, _, z1), (nx, ny) = grid.range_xyz, grid.size_xy
    outside = len(counts) * nx * ny
    if outside > MAX_BATCH_CELLS:
        problem = f"{len(counts)} grids of {nx} x {ny} pillars are more than {MAX_BATCH_CELLS} cells"
        raise ConfigError("The batch is too large:", [problem])
    if points.device.type == "cpu" and points.dtype == torch.float32 and not torch.compiler.is_compiling():
        from limbeck.ops.pillars_in_one_pass import place_points  # imports Numba

        most = len(points) if max_points is None else max_points
        return Pillars(*place_points(points, counts, (x0, y0, z0, z1), grid.pillar_xy, (nx, ny), most))
    x, y, z = points[:, :3].T.contiguous()
    column, row = ((x - x0) / grid.pillar_xy[0]).floor(), ((y - y0) / grid.pillar_xy[1]).floor()
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny) & (z >= z0) & (z < z1)
    cell = torch.where(inside, row * nx + column, 0).int()
    if len(counts) > 1:
        cell += torch.arange(len(counts), dtype=torch.int32, device=points.device).repeat_interleave(counts) * (nx * ny)
    cell = torch.where(inside, cell, outside)
    cells, order = cell.sort(stable=True)
    kept = int(inside.sum())  # those outside come last
    cells, order = cells[:kept], order[:kept]
    used, sizes = torch.unique_consecutive(cells, return_counts=True)
    if max_points is not None and kept and int(sizes.max()) > max_points:
        order, sizes = _first_ones(order, sizes, max_points)
    pillar = torch.repeat_interleave(sizes, output_size=len(order))
    return Pillars(points.index_select(0, order), pillar, sizes, used.long())


def _first_ones(order: Tensor, sizes: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return the order (K,) of points with the first ones of each pillar alone, and how many there are now, (P,)."""
    surplus = (sizes - most).clamp(min=0)
    full = surplus.nonzero()[:, 0]
    many = surplus[full]
    owner = torch.repeat_interleave(many)
    begin = sizes.cumsum(0)[full] - many - (many.cumsum(0) - many)
    kept = torch.ones_like(order, dtype=torch.bool)
    kept[torch.arange(len(owner), device=order.device) + begin[owner]] = False
    return order[kept], sizes - surplus


def scatter(features: Tensor, cells: Tensor, batch_size: int, size_xy: tuple[int, int]) -> Tensor:
    """Return maps (B,C,ny,nx) with the features (P,C) of the pillars in their cells (P,), and 0 elsewhere."""
    nx, ny = size_xy
    canvas = features.new_zeros(batch_size * ny * nx, features.shape[1])
    canvas[cells] = features
    return canvas.view(batch_size, ny, nx, -1).permute(0, 3, 1, 2)

"""The points of one cloud sorted by pillar, with numpy alone: just what `limbeck.ops.pillars.group_points` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INDEX_BITS = 32


@dataclass(frozen=True, slots=True)
class Grid:
    """How points are sorted.

    Attributes:
        range_xyz: Least x, y, z and largest x, y, z in metres; points outside are left out.
        pillar_xy: Size of a pillar along x and y in metres.
        max_points: So many points of a pillar are kept, the first ones.
    """

    range_xyz: tuple[float, float, float, float, float, float]
    pillar_xy: tuple[float, float]
    max_points: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Grid:
        """Take the settings from the description of a bundle.

        Raises:
            KeyError: One is missing.
            TypeError: One is of another kind.
            ValueError: There are more or fewer numbers than there must be.
        """
        x0, y0, z0, x1, y1, z1 = map(float, settings["range"])
        step_x, step_y = map(float, settings["pillar"])
        return cls((x0, y0, z0, x1, y1, z1), (step_x, step_y), int(settings["max_points"]))

    @property
    def size_xy(self) -> tuple[int, int]:
        """Pillars along x and y."""
        (x0, y0, _, x1, y1, _), (step_x, step_y) = self.range_xyz, self.pillar_xy
        return round((x1 - x0) / step_x), round((y1 - y0) / step_y)


@dataclass(frozen=True, slots=True, eq=False)
class Pillars:
    """The inputs of an exported network.

    Attributes:
        points: (K,F) float32, the points that are kept, those of a pillar together, in the order they came in.
        pillar: (K,) int64, place of the pillar of each point.
        counts: (P,) int64, points of each pillar, at least 1.
        cells: (P,) int64, rising: cell of each pillar, ``row * nx + column``.
    """

    points: NDArray[np.float32]
    pillar: NDArray[np.int64]
    counts: NDArray[np.int64]
    cells: NDArray[np.int64]


def group_points(points: NDArray[np.float32], grid: Grid) -> Pillars:
    """Sort the points (P,F) of a cloud into pillars.

    All arithmetic is in float32, as PyTorch's is, so that a point on a border falls on the same side of it.
    """
    x0, y0, z0, _, _, z1 = map(np.float32, grid.range_xyz)
    step_x, step_y = map(np.float32, grid.pillar_xy)
    nx, ny = grid.size_xy
    x, y, z = np.ascontiguousarray(points[:, :3].T)
    column, row = np.floor((x - x0) / step_x), np.floor((y - y0) / step_y)
    inside = np.flatnonzero((column >= 0) & (column < nx) & (row >= 0) & (row < ny) & (z >= z0) & (z < z1))
    cell = (row[inside] * nx + column[inside]).astype(np.int64)
    # One key for cell and order of arrival: numpy sorts numbers ten times as fast as it finds a stable order of them.
    keys = np.sort(cell << _INDEX_BITS | inside)
    order, cell = keys & (1 << _INDEX_BITS) - 1, keys >> _INDEX_BITS
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    counts = np.diff(first, append=len(cell))
    if len(counts) and counts.max() > grid.max_points:
        rank = np.arange(len(order)) - np.repeat(first, counts)
        order, counts = order[rank < grid.max_points], np.minimum(counts, grid.max_points)
    pillar = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return Pillars(points[order], pillar, counts.astype(np.int64, copy=False), cell[first])

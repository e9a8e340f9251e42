"""The fast way to pillars on a CPU: the points are counted and put in their places, and nothing is sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.ops.compiled import compiled


def place_points(
    points: Tensor, counts: Tensor, low: tuple[float, ...], step: tuple[float, ...], size: tuple[int, int], most: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return points, pillar, counts and cells as `limbeck.ops.pillars.Pillars` has them.

    Args:
        points: (P,F) float32 of all samples on the CPU, x, y, z first.
        counts: (B,) int64, points of each sample.
        low: Least x, y, z and largest z of the grid.
        step: Size of a pillar along x and y.
        size: Cells along x and y.
        most: So many points of a pillar are kept.
    """
    total = len(points)
    placed = torch.empty_like(points)
    sizes, cells = torch.empty(2, total + 1, dtype=torch.int64)  # the cell behind the last pillar is written, too
    outputs = (placed.numpy(), sizes.numpy(), cells.numpy())
    borders, sides = (np.array(values, np.float32) for values in (low, step))
    kept, used = _place(points.numpy(), counts.numpy(), borders, sides, *size, most, *outputs)
    sizes = sizes[:used]
    return placed[:kept], torch.repeat_interleave(sizes, output_size=kept), sizes, cells[:used]


@compiled
def _place(
    points: NDArray[Any],
    counts: NDArray[Any],
    borders: NDArray[Any],
    sides: NDArray[Any],
    nx: int,
    ny: int,
    most: int,
    placed: NDArray[Any],
    sizes: NDArray[Any],
    cells: NDArray[Any],
) -> tuple[int, int]:
    """Write the three outputs; returns how many points and how many pillars there are. All arithmetic is in float32."""
    total, values = points.shape
    cell_of = np.empty(total, np.int32)
    number = np.empty(nx * ny, np.int32)
    start, kept, used = 0, 0, 0
    for sample in range(len(counts)):
        end = start + counts[sample]
        number[:] = 0
        for point in range(start, end):
            cell_of[point] = -1
            column = np.floor((points[point, 0] - borders[0]) / sides[0])
            row = np.floor((points[point, 1] - borders[1]) / sides[1])
            z = points[point, 2]
            if column >= 0 and column < nx and row >= 0 and row < ny and z >= borders[2] and z < borders[3]:
                cell = int(row) * nx + int(column)
                if number[cell] < most:
                    number[cell] += 1
                    cell_of[point] = cell
        for cell in range(nx * ny):
            count = number[cell]
            sizes[used], cells[used] = count, sample * nx * ny + cell  # stays if it has a point: no branch to guess
            number[cell] = kept  # from here on where its next point goes
            kept += count
            used += count > 0
        for point in range(start, end):
            cell = cell_of[point]
            if cell >= 0:
                target = number[cell]
                number[cell] = target + 1
                for value in range(values):
                    placed[target, value] = points[point, value]
        start = end
    return kept, used

"""The fast way to normals on a CPU, without a gradient: one pass over the map.

In PyTorch each of a dozen operations is a pass of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.ops.compiled import compiled
from limbeck.ops.inverse_depth import Intrinsics


def normals_in_one_pass(measured: Tensor, camera: Intrinsics, is_depth: bool, up: bool) -> tuple[Tensor, Tensor]:
    """Return what `normals_from_depth` or `normals_from_disparity` does.

    Args:
        measured: (...,H,W), float32 or float64, on the CPU.
        camera: The camera of this map.
        is_depth: A depth, else a disparity.
        up: Whether the normals point up, else towards the camera.
    """
    height, width = measured.shape[-2:]
    maps = measured.detach().reshape(measured.shape[:-2].numel(), height, width).contiguous()
    normals = maps.new_empty(len(maps), 3, height, width)
    valid = torch.empty_like(maps, dtype=torch.bool)
    u, v = (offset.flatten().numpy() for offset in camera.offsets(maps))
    fx, fy = u.dtype.type(camera.fx), u.dtype.type(camera.fy)
    for arrays in zip(maps.numpy(), normals.numpy(), valid.numpy(), strict=True):
        _write_normals(*arrays, fx, fy, u, v, is_depth, up)
    return normals.reshape(*measured.shape[:-2], 3, height, width), valid.reshape(measured.shape)


@compiled
def _span(before: Any, centre: Any, after: Any) -> Any:
    """Return what `limbeck.ops.inverse_depth.span` does, of three numbers."""
    both = after - before
    if both == both:
        return both
    one = centre - before
    if one != one:
        one = after - centre
    return one + one


@compiled
def _read_row(measured: NDArray[Any], row: int, is_depth: bool, inverse: NDArray[Any]) -> None:
    """Write D of a row between the ends of (W+2,); NaN what was not measured, and all of a row below the map."""
    height, width = measured.shape
    if row >= height:
        inverse[:] = np.nan
        return
    for column in range(width):
        value = measured[row, column]
        inverse[column + 1] = np.reciprocal(value) if is_depth else value
        if not (value > 0 and value < np.inf):
            inverse[column + 1] = np.nan


@compiled
def _write_normals(
    measured: NDArray[Any],
    normals: NDArray[Any],
    valid: NDArray[np.bool_],
    fx: Any,
    fy: Any,
    u: NDArray[Any],
    v: NDArray[Any],
    is_depth: bool,
    up: bool,
) -> None:
    """Write the normals (3,H,W) of a map (H,W), and (H,W) where there are any.

    All numbers have the precision of the map; a wider one among them would widen the arithmetic.
    """
    height, width = measured.shape
    inverse = np.empty((3, width + 2), measured.dtype)  # D of three rows, with NaN at both ends
    inverse[:] = np.nan
    _read_row(measured, 0, is_depth, inverse[0])
    for row in range(height):
        _read_row(measured, row + 1, is_depth, inverse[(row + 1) % 3])
        above, here, below = inverse[(row - 1) % 3], inverse[row % 3], inverse[(row + 1) % 3]
        for column in range(width):
            centre = here[column + 1]
            along_row = _span(here[column], centre, here[column + 2])
            along_column = _span(above[column + 1], centre, below[column + 1])
            x, y = -fx * along_row, -fy * along_column
            z = u[column] * along_row + v[row] * along_column - (centre + centre)
            squared = x * x + y * y + z * z
            valid[row, column] = squared > 0 and squared < np.inf
            if valid[row, column]:
                scale = math.sqrt(squared) / squared
                if up and y > 0:
                    scale = -scale
                normals[0, row, column] = x * scale
                normals[1, row, column] = y * scale
                normals[2, row, column] = z * scale
            else:
                normals[0, row, column] = 0
                normals[1, row, column] = 0
                normals[2, row, column] = -1

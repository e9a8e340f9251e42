"""Surface normals by the formulas of two releases, for comparison: those of `normals` are more exact.

No gradient passes through these.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.ops.inverse_depth import Intrinsics, only_measured, spans
from limbeck.ops.normals import unit_or_forward
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_maps

NEIGHBOURS = [(row, column) for row in (0, 1, 2) for column in (0, 1, 2) if (row, column) != (1, 1)]


@torch.no_grad()
def sne_normals(depth: Tensor, camera: Intrinsics, blank_above_horizon: bool = False) -> tuple[Tensor, Tensor]:
    """Return the normals of SNE-RoadSeg (hlwang1124/SNE-RoadSeg, models/sne_model.py), which point up: n_y <= 0.

    With (a, b) = (fx dD/du, fy dD/dv) and the steps (dX, dY, dZ) from each of the eight neighbours i to the pixel,

        n = the direction of sum_i unit(-a, -b, (a dX + b dY) / dZ),

    over the neighbours where the term is defined. The release comes to the same by angles; it divides Y by fx, not by
    fy. Where no term is defined, as on a wall that the camera faces, n is (0, 0, -1). Holes and the border are treated
    as in `normals_from_depth`; in the release they spoil the pixels beside them.

    Args:
        depth: (...,H,W) along the optical axis. What is not positive and finite was not measured. For a disparity hand
            over its reciprocal.
        camera: The camera of this map.
        blank_above_horizon: Take no normal in the rows v <= cy, as SNE-RoadSeg does; the copy of it in OFF-Net
            (chaytonmin/Off-Road-Freespace-Detection) takes them all.

    Returns:
        Normals (...,3,H,W) as x, y, z, (0, 0, -1) where there is none, and (...,H,W) bool: where there is one.

    Raises:
        ValueError: The depth is no map of floats.
    """
    require_maps(depth=depth)
    depth = only_measured(at_least_float32(depth))
    columns, rows = spans(depth.reciprocal())
    a, b = camera.fx * columns, camera.fy * rows
    valid = (a + b + depth).isfinite()
    u, v = camera.offsets(depth)
    points = torch.stack([depth * u / camera.fx, depth * v / camera.fy, depth], dim=-3)
    across, z = torch.zeros_like(depth), torch.zeros_like(depth)
    for neighbour in _neighbours(points):
        dx, dy, dz = (points - neighbour).unbind(dim=-3)
        its_z = (a * dx + b * dy) / dz
        factor = (a.square() + b.square() + its_z.square()).rsqrt().nan_to_num(0, posinf=0)
        across += factor
        z += (its_z * factor).nan_to_num(0)
    total = torch.stack([-a * across, -b * across, z], dim=-3)
    if blank_above_horizon:
        valid = valid & (v > 0)
    total = torch.where(total[..., 1:2, :, :] > 0, -total, total)
    return unit_or_forward(total, valid & total.any(dim=-3)), valid


@torch.no_grad()
def d2nt_normals(depth: Tensor, camera: Intrinsics) -> tuple[Tensor, Tensor]:
    """Return the normals of the basic form of D2NT (fengyi233/depth-to-normal-translator, d2nt/core.py).

        n ~ (fx Z_u, fy Z_v, -(Z + (u + 1 - cx) Z_u + (v + 1 - cy) Z_v))

    with central differences on the map mirrored at its border pixels; its pixels are counted from 1. Not exact on
    planes.

    Args:
        depth: As in `sne_normals`, with at least two rows and two columns.
        camera: The camera of this map.

    Returns:
        As `sne_normals`, facing the camera; there is none beside a hole.

    Raises:
        ValueError: The depth is no map of floats.
    """
    require_maps(depth=depth)
    depth = only_measured(at_least_float32(depth))
    height, width = depth.shape[-2:]
    padded = functional.pad(depth.reshape(-1, 1, height, width), (1, 1, 1, 1), mode="reflect")
    padded = padded.reshape(*depth.shape[:-2], height + 2, width + 2)
    z_u = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    z_v = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    u, v = camera.offsets(depth)
    along = torch.stack([camera.fx * z_u, camera.fy * z_v, -(depth + (u + 1) * z_u + (v + 1) * z_v)], dim=-3)
    valid = along.isfinite().all(dim=-3)
    return unit_or_forward(along, valid), valid


def _neighbours(maps: Tensor) -> list[Tensor]:
    """Return the eight maps of the neighbours of maps (...,H,W), NaN outside."""
    height, width = maps.shape[-2:]
    padded = functional.pad(maps, (1, 1, 1, 1), value=torch.nan)
    return [padded[..., row : row + height, column : column + width] for row, column in NEIGHBOURS]

"""Surface normals from a depth or disparity map by the form that is exact on planes; to mirror and to resize normals.

On a plane D = 1/Z is affine in u and v, and the normal is along

    (fx D_u, fy D_v, D - (u - cx) D_u - (v - cy) D_v).

A positive factor on D changes nothing, so a disparity d = fx b / Z stands for D as it is, and the baseline b is not
needed. The dot product of this vector and the ray through the pixel is D > 0: its negative faces the camera everywhere.

D_u and D_v are central differences. Where one of two opposite neighbours was not measured, or lies outside the map, the
difference to the other one is taken; where both are missing, there is no normal. Without one the vector is (0, 0, -1).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.ops.inverse_depth import Intrinsics, only_measured, spans
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_maps

Orientation = Literal["towards_camera", "up"]
"""``towards_camera``: n . P < 0. ``up``: n_y <= 0, so that the normal of a level road is (0, -1, 0)."""
MIN_LENGTH = 1e-6
"""A mean of unit vectors that is shorter has no direction."""


def normals_from_depth(
    depth: Tensor, camera: Intrinsics, orientation: Orientation = "towards_camera"
) -> tuple[Tensor, Tensor]:
    """Return the unit normals of the surface in a depth map.

    Differentiable with respect to the depth. On a CPU and without a gradient the work is done in one pass; the answer
    is the same but for rounding.

    Args:
        depth: (...,H,W) along the optical axis, in any unit of length. What is not positive and finite was not
            measured. 16-bit floats are widened to float32.
        camera: The camera of this map.
        orientation: Which way the normals point.

    Returns:
        Normals (...,3,H,W) as x, y, z, and (...,H,W) bool: where there is one.

    Raises:
        ValueError: The depth is no map of floats.
    """
    require_maps(depth=depth)
    return _normals(at_least_float32(depth), camera, orientation, is_depth=True)


def normals_from_disparity(
    disparity: Tensor, camera: Intrinsics, orientation: Orientation = "towards_camera"
) -> tuple[Tensor, Tensor]:
    """Return the unit normals of the surface in a map of disparity, or of any positive multiple of 1/Z.

    Args:
        disparity: (...,H,W). What is not positive and finite was not measured.
        camera: As in `normals_from_depth`.
        orientation: As in `normals_from_depth`.

    Returns:
        As `normals_from_depth`.

    Raises:
        ValueError: The disparity is no map of floats.
    """
    require_maps(disparity=disparity)
    return _normals(at_least_float32(disparity), camera, orientation, is_depth=False)


def compile_normals() -> None:
    """Compile what the functions above run on a CPU, so that processes that are forked from this one have it."""
    normals_from_depth(torch.ones(1, 1), Intrinsics(1.0, 1.0, 0.0, 0.0))


def flip_normals(normals: Tensor) -> Tensor:
    """Mirror normals (...,3,H,W) left to right: the columns change places and x changes its sign.

    Raises:
        ValueError: These are no normals.
    """
    require_maps(channels=3, normals=normals)
    return normals.flip(-1) * normals.new_tensor([-1.0, 1.0, 1.0])[:, None, None]


def resize_normals(normals: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bring normals to another size: bilinear, antialiased where that shrinks them, and of unit length again.

    Args:
        normals: (...,3,H,W). Vectors of 0 do not count.
        size_hw: New rows and columns.

    Returns:
        (...,3,*size_hw), float32 or better; (0, 0, -1) where nothing counts or where the normals cancel each other out.

    Raises:
        ValueError: These are no normals.
    """
    require_maps(channels=3, normals=normals)
    stack = at_least_float32(normals).reshape(-1, *normals.shape[-3:])
    means = functional.interpolate(stack, size_hw, mode="bilinear", antialias=True)
    directed = means.square().sum(dim=-3) > MIN_LENGTH**2
    return unit_or_forward(means, directed).reshape(*normals.shape[:-2], *size_hw)


def unit_or_forward(vectors: Tensor, valid: Tensor) -> Tensor:
    """Bring vectors (...,3,H,W) to unit length; (0, 0, -1) where they are not valid, and no gradient there."""
    forward = vectors.new_tensor([0.0, 0.0, -1.0])[:, None, None]
    vectors = vectors.where(valid.unsqueeze(-3), forward)
    return vectors * vectors.square().sum(dim=-3, keepdim=True).rsqrt()


def _normals(measured: Tensor, camera: Intrinsics, orientation: Orientation, is_depth: bool) -> tuple[Tensor, Tensor]:
    up = orientation == "up"
    if _fits_one_pass(measured):
        from limbeck.ops.normals_in_one_pass import (
            normals_in_one_pass,
        )  # imports Numba, which takes a tenth of a second

        return normals_in_one_pass(measured, camera, is_depth, up)
    values = only_measured(measured)
    normals, valid = _towards_camera(values.reciprocal() if is_depth else values, camera)
    if up:
        normals = torch.where(normals[..., 1:2, :, :] > 0, -normals, normals)
    return normals, valid


def _fits_one_pass(measured: Tensor) -> bool:
    with_gradient = torch.is_grad_enabled() and measured.requires_grad
    eager = measured.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    return eager and not with_gradient


def _towards_camera(inverse: Tensor, camera: Intrinsics) -> tuple[Tensor, Tensor]:
    """Return the normals and where there are any for D (...,H,W), NaN where it was not measured."""
    columns, rows = spans(inverse)
    u, v = camera.offsets(inverse)
    along = torch.stack([-camera.fx * columns, -camera.fy * rows, u * columns + v * rows - 2 * inverse], dim=-3)
    squared = along.detach().square().sum(dim=-3)
    valid = (squared > 0) & (squared < torch.inf)
    return unit_or_forward(along, valid), valid

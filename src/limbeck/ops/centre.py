"""Objects as points on a map (CenterPoint, arXiv 2006.11275): their peaks, and the coding of their boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.ops.boxes3d import wrap_angle
from limbeck.ops.precision import at_least_float32


def gaussian_radius(height: Tensor, width: Tensor, overlap: float | Tensor = 0.1) -> Tensor:
    """Return within which radius (...) a box that is moved still overlaps itself by ``overlap``, in the same unit.

    The roots are divided by 2 and not by 2a, as in the released code of CornerNet, from which all of the field has it.

    Args:
        height: (...) sides of the boxes in cells.
        width: (...) the other sides.
        overlap: Least intersection over union.
    """
    b, c = height + width, height * width * (1 - overlap) / (1 + overlap)
    both_out = (b + (b.square() - 4 * c).sqrt()) / 2
    b, c = 2 * (height + width), (1 - overlap) * height * width
    both_in = (b + (b.square() - 16 * c).sqrt()) / 2
    a, b, c = 4 * overlap, -2 * overlap * (height + width), (overlap - 1) * height * width
    one_in = (b + (b.square() - 4 * a * c).sqrt()) / 2
    return torch.minimum(torch.minimum(both_out, both_in), one_in)


def draw_peaks(shape: tuple[int, ...], maps: Tensor, cells_xy: Tensor, radii: Tensor) -> Tensor:
    """Return maps with a Gaussian peak of height 1 for every object; where peaks meet, the higher value stays.

    A peak is exp(-d^2 / 2 s^2) with s = (2 r + 1) / 6 for cells up to r away along each axis, cut at the border.

    Args:
        shape: (...,H,W) of the maps.
        maps: (M,) int64, the map of each object, counted through the leading axes.
        cells_xy: (M,2) int64, column and row of its peak, inside the map.
        radii: (M,) int64, r in cells.

    Returns:
        ``shape``, float64; values below the machine epsilon are 0.
    """
    height, width = shape[-2:]
    drawn = torch.zeros(shape, dtype=torch.float64, device=cells_xy.device)
    sides = 2 * radii + 1
    areas = sides.square()
    owner = torch.repeat_interleave(areas)
    place = torch.arange(len(owner), device=owner.device) - (areas.cumsum(0) - areas)[owner]
    dx, dy = place % sides[owner] - radii[owner], place // sides[owner] - radii[owner]
    x, y = cells_xy[owner, 0] + dx, cells_xy[owner, 1] + dy
    values = (-18 * (dx.square() + dy.square()).double() / sides[owner].square()).exp()
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (values >= torch.finfo(torch.float64).eps)
    flat = (maps[owner] * height + y) * width + x
    drawn.view(-1).scatter_reduce_(0, flat[seen], values[seen], "amax")
    return drawn


def cells_of(maps: Tensor) -> Tensor:
    """Return the cells of maps (B,C,H,W), counted through the maps row by row, as (B H W,C).

    It is a view if the maps lie channels last, as those of a model in training do.
    """
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Return what maps (B,C,H,W) hold at cells (B,M), counted row by row in each map, as (B,M,C)."""
    found = cells_of(maps).index_select(0, in_batch(index, maps).flatten())
    return found.view(*index.shape, -1)


def in_batch(index: Tensor, maps: Tensor) -> Tensor:
    """Return cells (B,M), counted in each of the maps (B,C,H,W), as `cells_of` counts them, (B,M)."""
    return index + torch.arange(len(index), device=index.device)[:, None] * (maps.shape[2] * maps.shape[3])


def encode_boxes(boxes: Tensor, centres_xy: Tensor) -> Tensor:
    """Return the codes (M,8) of boxes (M,7): offset in the cell (2), z, log sizes (3), sine and cosine of the yaw.

    Args:
        boxes: See `limbeck.ops.boxes3d`.
        centres_xy: (M,2) their centres in cells from the corner of the map; cells are cut towards zero.
    """
    yaw = wrap_angle(boxes[:, 6:7])
    return torch.cat([centres_xy - centres_xy.trunc(), boxes[:, 2:3], boxes[:, 3:6].log(), yaw.sin(), yaw.cos()], dim=1)


def decode_boxes(
    codes: Tensor, cells: Tensor, width: int, cell_xy: tuple[float, float], corner_xy: tuple[float, float]
) -> Tensor:
    """Return the boxes (...,7) that codes (...,8), as `encode_boxes` makes them, stand for.

    Args:
        codes: The codes.
        cells: (...) int64, their cells, counted row by row.
        width: Cells in a row.
        cell_xy: Size of a cell in metres.
        corner_xy: Least x and y of the map in metres.
    """
    codes = at_least_float32(codes)
    x = (cells % width + codes[..., 0]) * cell_xy[0] + corner_xy[0]
    y = (cells // width + codes[..., 1]) * cell_xy[1] + corner_xy[1]
    yaw = torch.atan2(codes[..., 6], codes[..., 7])
    return torch.cat([torch.stack([x, y], -1), codes[..., 2:3], codes[..., 3:6].exp(), yaw[..., None]], dim=-1)

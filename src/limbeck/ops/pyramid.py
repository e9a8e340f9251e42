"""The grid of priors over a feature pyramid, and the flattening that puts all levels into one axis.

Flat order, everywhere in limbeck: level, row, column, anchor of the cell. N is the number of locations over all levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PriorGrid:
    """The prior boxes of every cell. Two models can be compared location by location only if their grids are equal.

    A prior of scale s and aspect ratio r (height / width) on a level of stride t has the area (s t)^2 and is centred at
    ((column + offset) * t, (row + offset) * t).

    Attributes:
        strides: Pixels per cell, per level.
        scales: Prior sides in units of the stride.
        ratios: Height over width.
        offset: Where in its cell a prior is centred, in units of the stride: 0 is the upper left corner, as in the GFL,
            ATSS and BCKD configurations of mmdetection; 0.5 is the middle, as in FCOS.
    """

    strides: tuple[int, ...]
    scales: tuple[float, ...] = (8.0,)
    ratios: tuple[float, ...] = (1.0,)
    offset: float = 0.0

    @property
    def per_cell(self) -> int:
        """Priors per cell."""
        return len(self.scales) * len(self.ratios)

    def boxes_xyxy(
        self, sizes_hw: Sequence[tuple[int, int]], device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return all priors (N,4) in pixels for the level sizes (rows, columns) given, in flat order."""
        levels = [self._level(stride, size, device, dtype) for stride, size in zip(self.strides, sizes_hw, strict=True)]
        return torch.cat(levels)

    def _level(
        self, stride: int, size_hw: tuple[int, int], device: torch.device | None, dtype: torch.dtype | None
    ) -> Tensor:
        scales = torch.tensor(self.scales, device=device, dtype=dtype)
        ratios = torch.tensor(self.ratios, device=device, dtype=dtype)
        half_h = (stride * scales[None, :] * ratios.sqrt()[:, None]).flatten() / 2
        half_w = (stride * scales[None, :] / ratios.sqrt()[:, None]).flatten() / 2
        cell = torch.stack([-half_w, -half_h, half_w, half_h], dim=1)
        y = (torch.arange(size_hw[0], device=device, dtype=cell.dtype) + self.offset) * stride
        x = (torch.arange(size_hw[1], device=device, dtype=cell.dtype) + self.offset) * stride
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([xx, yy, xx, yy], dim=-1)
        return (centres[:, :, None, :] + cell).reshape(-1, 4)


def flatten_levels(maps: Sequence[Tensor], per_cell: int = 1) -> Tensor:
    """Flatten maps of (B, per_cell * C, H_l, W_l) into one (B, N, C) in flat order."""
    flat = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, m.shape[1] // per_cell) for m in maps]
    return torch.cat(flat, dim=1)


def sum_by_level(rows: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """Sum rows (B,N) over the images and over the locations of each level; returns (L,)."""
    return torch.stack([level.sum() for level in rows.split(list(level_sizes), dim=1)])


def sum_chosen_by_level(rows: Tensor, chosen: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """Sum one value per chosen location (P,) over the images and over each level; ``chosen`` is (B,N) bool.

    Returns:
        (L,).
    """
    return sum_by_level(rows.new_zeros(chosen.shape).masked_scatter(chosen, rows), level_sizes)


def spread_levels(values: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """Repeat one value per level (L,) over the locations of the level; returns (N,)."""
    return values.repeat_interleave(torch.tensor(level_sizes, device=values.device))

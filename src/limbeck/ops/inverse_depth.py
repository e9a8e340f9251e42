"""The inverse depth D = 1/Z that a pinhole camera sees, and its differences, with holes.

P = (X, Y, Z), X = Z (u - cx) / fx, Y = Z (v - cy) / fy, with columns u and rows v counted from 0; x is to the right, y
down, z forward. NaN stands for what was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole camera, in pixels of the map.

    Attributes:
        fx: Focal length along x.
        fy: Focal length along y.
        cx: Column of the principal point.
        cy: Row of the principal point.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def offsets(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return u - cx (W,) and v - cy (H,1) for a map (...,H,W), on its device and in its precision."""
        rows, columns = (torch.arange(size, device=like.device, dtype=like.dtype) for size in like.shape[-2:])
        return columns - self.cx, rows[:, None] - self.cy


def only_measured(values: Tensor) -> Tensor:
    """Replace what is not positive and finite by NaN; no gradient reaches it."""
    return values.where((values > 0) & (values < torch.inf), torch.nan)


def span(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    """Return the change from ``before`` to ``after``; where one of them is NaN, twice the change to the other one."""
    both, to_centre, from_centre = after - before, 2 * (centre - before), 2 * (after - centre)
    one = from_centre.where(to_centre.isnan(), to_centre)
    return one.where(both.isnan(), both)


def spans(inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change of D (...,H,W) over two columns and over two rows, see `span`; outside the map it is NaN."""
    padded = functional.pad(inverse, (1, 1, 1, 1), value=torch.nan)
    columns = span(padded[..., 1:-1, :-2], inverse, padded[..., 1:-1, 2:])
    return columns, span(padded[..., :-2, 1:-1], inverse, padded[..., 2:, 1:-1])

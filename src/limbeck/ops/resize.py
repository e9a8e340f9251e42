"""Maps of one size as maps of another."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resize(maps: Tensor, size_hw: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Return maps (B,C,h,w) as (B,C,H,W) by bilinear interpolation; those of that size already as they are.

    Args:
        maps: (B,C,h,w).
        size_hw: H and W.
        align_corners: Let the centres of the corner cells fall on one another, instead of the outer borders.
    """
    if maps.shape[-2:] == size_hw:
        return maps
    return functional.interpolate(maps, size=size_hw, mode="bilinear", align_corners=align_corners)

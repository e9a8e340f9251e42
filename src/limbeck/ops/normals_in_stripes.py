"""The fast way to normals on a CPU, without a gradient: in place, in stripes of rows that stay in the cache.

Where something is missing, masks are floats and gaps are NaN: PyTorch is several times slower at writing and reading
bools.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.ops.inverse_depth import Intrinsics

STRIPE_PIXELS = 100_000
"""Most pixels of a stripe, per thread: its five maps of float32 take 2 MB."""
ORDINARY = (1e-9, 1e9)
"""Where all of a map lies between these, nothing is missing and no square overflows."""

Sides = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def normals_in_stripes(measured: Tensor, camera: Intrinsics, is_depth: bool) -> tuple[Tensor, Tensor]:
    """Return what `normals_from_depth` or `normals_from_disparity` does, facing the camera.

    Args:
        measured: (...,H,W), float32 or float64, with at least two rows and two columns.
        camera: The camera of this map.
        is_depth: A depth, else a disparity.
    """
    height, width = measured.shape[-2:]
    maps = measured.detach().reshape(-1, height, width)
    normals = maps.new_empty(len(maps), 3, height, width)
    valid = torch.ones_like(maps, dtype=torch.bool)
    stripes = math.ceil(height * width / (STRIPE_PIXELS * torch.get_num_threads()))
    rows = math.ceil(height / stripes)
    stripe = _Stripe(camera, maps, rows, is_depth)
    with torch.no_grad():
        for image in range(len(maps)):
            for begin in range(0, height, rows):
                top = min(begin, height - rows)  # the last one may repeat rows: all have one height
                stripe.read(maps[image], top)
                stripe.write(normals[image, :, top : top + rows], valid[image, top : top + rows], top)
    return normals.reshape(*measured.shape[:-2], 3, height, width), valid.reshape(measured.shape)


class _Stripe:
    """D of some rows with a margin of one pixel all around, and what it takes to write their normals."""

    def __init__(self, camera: Intrinsics, maps: Tensor, rows: int, is_depth: bool) -> None:
        self.is_depth = is_depth
        self.rows = rows
        self.whole = True
        d = maps.new_empty(rows + 2, maps.shape[-1] + 2)
        self.inverse, self.centre, self.sides = d, d[1:-1, 1:-1], _sides(d)
        self.columns = ((d[:, 2], d[:, 1], d[:, 0]), (d[:, -3], d[:, -2], d[:, -1]))
        self.top, self.bottom = (d[2], d[1], d[0]), (d[-3], d[-2], d[-1])
        self.scale = maps.new_empty(rows, maps.shape[-1])
        self.u, self.v = (offset / 2 for offset in camera.offsets(maps))
        self.y_factor, self.z_factor = camera.fy / camera.fx, -2 / camera.fx
        self.nothing = maps.new_zeros(())

    def read(self, measured: Tensor, top: int) -> None:
        """Read the rows of a map (H,W) from ``top`` on."""
        first, last = top == 0, top + self.rows == len(measured)
        source = measured[top - (not first) : top + self.rows + (not last)]
        low, high = source.aminmax()
        self.whole = low.item() > ORDINARY[0] and high.item() < ORDINARY[1]
        if not self.whole:
            self.inverse.fill_(torch.nan)
            source = torch.threshold(source.nan_to_num(torch.nan, torch.nan, torch.nan), 0, torch.nan)
        inside = self.inverse[int(first) : len(source) + first, 1:-1]
        if self.is_depth:
            torch.reciprocal(source, out=inside)
        else:
            inside.copy_(source)
        if self.whole:
            self._continue(first, last)

    def _continue(self, first: bool, last: bool) -> None:
        """Continue D beyond the border in a straight line: a span across it is then twice the step on this side."""
        for inner, border, beyond in (*self.columns, *([self.top] if first else []), *([self.bottom] if last else [])):
            torch.lerp(inner, border, 2.0, out=beyond)

    def write(self, normals: Tensor, valid: Tensor, top: int) -> None:
        """Write the normals (3,h,W) of the rows from ``top`` on, and (h,W) where there is none.

        With the spans of D turned round, x = -2 D_u and y = -2 D_v, and z = D - (u - cx) D_u - (v - cy) D_v, the normal
        is along (x, y fy / fx, -z 2 / fx).
        """
        x, y, z = normals
        for span, (before, after) in zip((x, y), self.sides, strict=True):
            torch.sub(before, after, out=span)
        if not self.whole:
            _mend_spans(self.inverse, x, y)
        torch.addcmul(self.centre, x, self.u, out=z).addcmul_(y, self.v[top : top + self.rows])
        scale = torch.mul(x, x, out=self.scale)
        scale.addcmul_(y, y, value=self.y_factor**2).addcmul_(z, z, value=self.z_factor**2)
        if self.whole:
            scale.rsqrt_()
        else:
            _careful_rsqrt(scale, valid)
        x.mul_(scale)
        torch.addcmul(self.nothing, y, scale, value=self.y_factor, out=y)
        torch.addcmul(self.nothing, z, scale, value=self.z_factor, out=z)
        if not self.whole:
            for component, without in zip((x, y, z), (0, 0, -1), strict=True):
                component.nan_to_num_(without)


def _sides(d: Tensor) -> Sides:
    """Return the pixels left and right, and above and below, of those inside the margin."""
    return (d[1:-1, :-2], d[1:-1, 2:]), (d[:-2, 1:-1], d[2:, 1:-1])


def _mend_spans(d: Tensor, x: Tensor, y: Tensor) -> None:
    """Write the spans of D turned round: twice the step to one neighbour where the other is NaN, NaN where both are.

    With k = 1 where a neighbour is known, else 0, and 0 for the missing ones, this is (before - after - (k_before -
    k_after) centre) over the mean of k_before and k_after.
    """
    known, filled = torch.eq(d, d, out=torch.empty_like(d)), d.nan_to_num(0)
    for span, (before, after), (has_before, has_after) in zip((x, y), _sides(filled), _sides(known), strict=True):
        torch.sub(before, after, out=span).addcmul_(filled[1:-1, 1:-1], has_before - has_after, value=-1)
        span.div_(torch.lerp(has_before, has_after, 0.5))


def _careful_rsqrt(squared: Tensor, valid: Tensor) -> None:
    """Take 1 / sqrt in place, NaN unless the square is positive and finite, and write where it is not NaN."""
    torch.threshold(squared, 0, torch.nan, out=squared).rsqrt_()
    torch.threshold(squared, 0, torch.nan, out=squared)
    valid.copy_(torch.eq(squared, squared, out=torch.empty_like(squared)))

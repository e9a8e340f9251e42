"""Masks and X maps follow the picture: one placement for all, and no value that nobody measured or labelled.

Labels, depth and disparity are taken from the nearest pixel, as there is nothing between an object and what lies behind
it. Normals, temperatures and the like are resized as the picture is, with the pixels that were measured alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.augment import Placement
from limbeck.data.mask_config import XConfig
from limbeck.data.mask_records import MaskCode
from limbeck.data.masks import to_labels
from limbeck.data.x_maps import NO_NORMAL
from limbeck.imaging import Fit, nearest_pixels
from limbeck.ops.normals import flip_normals, resize_normals

MIN_MEASURED = 0.5
"""A pixel of a resized map has a value if at least this share of what it covers was measured; a normal needs any."""


def plain_placement(fit: Fit) -> Placement:
    """Return the placement of the whole image as it lies in evaluation."""
    return Placement((0, 0, *fit.image_wh), (0, 0, *fit.placed_wh), fit.canvas_wh, flip=False, reduction=1)


def zoom_of(placement: Placement, fit: Fit) -> float:
    """Return how many times as large an object is shown as it is in ``fit``."""
    left, top, right, bottom = placement.source_xyxy
    x1, y1, x2, y2 = placement.target_xyxy
    shown = (x2 - x1) * (y2 - y1) / ((right - left) * (bottom - top))
    return math.sqrt(shown / (fit.scale_xy[0] * fit.scale_xy[1]))


def render_mask(pixels: NDArray[Any], code: MaskCode, path: Path, placement: Placement) -> Tensor:
    """Return the labels of a view, (H,W) uint8; outside the picture they are ignored.

    Args:
        pixels: What the mask holds, (H,W) or (H,W,3).
        code: What its levels stand for.
        path: The mask, for the sentence.
        placement: What goes where.

    Raises:
        DataError: A level stands for nothing.
    """
    rows, columns = _nearest(placement)
    labels = torch.from_numpy(to_labels(pixels[rows][:, columns], code, path))
    canvas = _on_canvas(labels[None], (IGNORED_LABEL,), placement)[0]
    return canvas.flip(1) if placement.flip else canvas


def render_x(values: Tensor, valid: Tensor, config: XConfig, placement: Placement, zoom: float) -> Tensor:
    """Return the X map of a view, (C,H,W) float32.

    An object that is shown twice as large is half as far away and has twice the disparity.

    Args:
        values: (C,H,W) from `limbeck.data.x_maps.read_x`.
        valid: (H,W) bool: where there is a value.
        config: What the map holds.
        placement: What goes where.
        zoom: How many times as large the picture is shown as in evaluation.
    """
    rectangle, size_hw = _source(placement), _size_hw(placement)
    if config.is_normals:
        canvas = _on_canvas(_resized_normals(values[rectangle], valid[rectangle[1:]], size_hw), NO_NORMAL, placement)
        return flip_normals(canvas) if placement.flip else canvas
    if config.holds in ("depth", "disparity"):
        rows, columns = (torch.from_numpy(index) for index in _nearest(placement))
        part = values[:, rows][:, :, columns]
        part = part / zoom if config.holds == "depth" else part * zoom
    else:
        part = _resized(values[rectangle], valid[rectangle[1:]], size_hw)
    canvas = _on_canvas(part, (0.0,), placement)
    return canvas.flip(2) if placement.flip else canvas


def _source(placement: Placement) -> tuple[slice, slice, slice]:
    """Return the part of a map (C,H,W) that is shown."""
    left, top, right, bottom = placement.source_xyxy
    return slice(None), slice(top, bottom), slice(left, right)


def _size_hw(placement: Placement) -> tuple[int, int]:
    """Return height and width of the part of the canvas that is filled."""
    x1, y1, x2, y2 = placement.target_xyxy
    return y2 - y1, x2 - x1


def _nearest(placement: Placement) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of the map that the placement's pixels lie in."""
    left, top, right, bottom = placement.source_xyxy
    height, width = _size_hw(placement)
    return top + nearest_pixels(height, bottom - top), left + nearest_pixels(width, right - left)


def _resized(values: Tensor, valid: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize (C,h,w) as the picture is, by what was measured (h,w) alone; 0 where too little of a pixel was."""
    if values.shape[1:] == size_hw:
        return values
    known = valid.to(values.dtype)
    stacked = interpolate(torch.cat([values * known, known[None]])[None], size_hw, mode="bilinear", antialias=True)[0]
    share = stacked[-1]
    return (stacked[:-1] / share.clamp(min=MIN_MEASURED)).where(share >= MIN_MEASURED, 0.0)


def _resized_normals(normals: Tensor, valid: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return normals if normals.shape[1:] == size_hw else resize_normals(normals * valid, size_hw)


def _on_canvas(part: Tensor, padding: Sequence[float], placement: Placement) -> Tensor:
    """Put (C,h,w) on its place on a canvas that is filled with ``padding``, one value per channel."""
    left, top, right, bottom = placement.target_xyxy
    width, height = placement.canvas_wh
    if part.shape[1:] == (height, width):
        return part
    canvas = part.new_tensor(padding)[:, None, None].repeat(1, height, width)
    canvas[:, top:bottom, left:right] = part
    return canvas

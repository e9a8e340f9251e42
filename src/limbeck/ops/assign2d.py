"""Which prior answers for which object, for one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from limbeck.ops.boxes2d import area, centres, paired_iou, pairwise_iou
from limbeck.ops.precision import at_least_float32
from limbeck.ops.pyramid import spread_levels

BACKGROUND = -1
"""Assigned to priors that answer for no object."""
IGNORED = -2
"""Assigned to priors that are neither object nor background."""
INSIDE_MARGIN = 0.01
"""A prior's centre must lie more than this many pixels inside the object (ATSS)."""
RANGE_IN_STRIDES = 8
"""Boundary between the regression ranges of a level and the next coarser one (FCOS): 64 pixels for stride 8."""


def atss(priors_xyxy: Tensor, level_sizes: Sequence[int], gt_boxes_xyxy: Tensor, topk: int = 9) -> Tensor:
    """Assign priors by adaptive training sample selection, ATSS (arXiv 1912.02424).

    Per object and level the ``topk`` priors of nearest centre are candidates. A candidate is positive if its IoU
    reaches the mean plus the unbiased standard deviation of the IoUs of all the object's candidates, and its centre
    lies inside the object. A prior that is positive for several objects goes to the one of largest IoU.

    Args:
        priors_xyxy: (N,4) in pixels, level after level.
        level_sizes: Priors per level; they add up to N.
        gt_boxes_xyxy: (M,4) in pixels; M may be 0.
        topk: Candidates per object and level.

    Returns:
        (N,) int64: index of the object, or -1 for background.
    """
    priors, objects = at_least_float32(priors_xyxy), at_least_float32(gt_boxes_xyxy)
    if objects.shape[0] == 0:
        return torch.full((priors.shape[0],), BACKGROUND, device=priors.device)
    candidates, iou, threshold = _candidates(priors, level_sizes, objects, topk)
    positive = (iou >= threshold) & _inside(centres(priors)[candidates], objects[:, None])
    quality = iou.new_full((objects.shape[0], priors.shape[0]), -1)
    quality.scatter_(1, candidates, iou.masked_fill(~positive, -1))
    best, index = quality.max(dim=0)
    return index.masked_fill(best < 0, BACKGROUND)


def valuable_region(
    priors_xyxy: Tensor, level_sizes: Sequence[int], gt_boxes_xyxy: Tensor, topk: int = 9, lower: float = 0.25
) -> Tensor:
    """Return LD's valuable localisation region, (N,) float: the IoU of a prior inside the region, 0 outside.

    A prior is inside if its distance-IoU with an object is below the threshold of `atss`, but at least ``lower`` times
    it (arXiv 2102.12252). See `atss` for the other arguments.
    """
    priors, objects = at_least_float32(priors_xyxy), at_least_float32(gt_boxes_xyxy)
    if objects.shape[0] == 0:
        return priors.new_zeros(priors.shape[0])
    _, _, threshold = _candidates(priors, level_sizes, objects, topk)
    distance_iou = paired_iou(priors[None], objects[:, None], "diou")
    inside = (distance_iou >= lower * threshold) & (distance_iou < threshold)
    return pairwise_iou(objects, priors).masked_fill(~inside, 0).amax(dim=0)


def _candidates(
    priors: Tensor, level_sizes: Sequence[int], objects: Tensor, topk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the candidates of every object (M,C), their IoU (M,C) and the object's threshold (M,1)."""
    candidates = _nearest_priors(centres(priors), level_sizes, centres(objects), topk)
    iou = paired_iou(priors[candidates], objects[:, None])
    deviation = iou.std(dim=1, correction=min(1, iou.shape[1] - 1))
    return candidates, iou, (iou.mean(dim=1) + deviation)[:, None]


def _nearest_priors(points: Tensor, level_sizes: Sequence[int], targets: Tensor, topk: int) -> Tensor:
    """Return (M, candidates) the indices of the ``topk`` points nearest to each target, per level."""
    nearest, start = [], 0
    for level in points.split(list(level_sizes)):
        squared = (targets[:, None, 0] - level[:, 0]).square() + (targets[:, None, 1] - level[:, 1]).square()
        nearest.append(squared.topk(min(topk, level.shape[0]), dim=1, largest=False, sorted=False).indices + start)
        start += level.shape[0]
    return torch.cat(nearest, dim=1)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return (...) bool: the point (...,2) lies more than `INSIDE_MARGIN` inside the box (...,4)."""
    margins = torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], dim=-1)
    return margins.amin(dim=-1) > INSIDE_MARGIN


def max_iou(priors_xyxy: Tensor, gt_boxes_xyxy: Tensor, positive: float = 0.5, negative: float = 0.4) -> Tensor:
    """Assign every prior to the object it overlaps most, as RetinaNet does (arXiv 1708.02002).

    The best priors of an object stay with it however small their IoU; among several such objects the larger IoU
    decides.

    Args:
        priors_xyxy: (N,4) in pixels.
        gt_boxes_xyxy: (M,4) in pixels; M may be 0.
        positive: IoU from which a prior is positive.
        negative: IoU below which a prior is background.

    Returns:
        (N,) int64: index of the object, -1 for background, -2 for the IoUs in between.
    """
    if gt_boxes_xyxy.shape[0] == 0:
        return torch.full((priors_xyxy.shape[0],), BACKGROUND, device=priors_xyxy.device)
    iou = pairwise_iou(gt_boxes_xyxy, priors_xyxy)
    best, index = iou.max(dim=0)
    index[best < positive] = IGNORED
    index[best < negative] = BACKGROUND
    object_best = iou.amax(dim=1, keepdim=True)
    kept, kept_index = iou.masked_fill((iou < object_best) | (iou <= 0), -1).max(dim=0)
    return torch.where(kept > 0, kept_index, index)


def regression_ranges(strides: Sequence[int]) -> list[tuple[float, float]]:
    """Return the distances in pixels for which each level answers: (0, 64), (64, 128) ... for strides 8, 16 ... (FCOS).

    The finest level has no lower limit and the coarsest no upper one.
    """
    return list(pairwise([0.0, *(RANGE_IN_STRIDES * float(stride) for stride in strides[:-1]), math.inf]))


def fcos(
    points_xy: Tensor,
    level_sizes: Sequence[int],
    strides: Sequence[int],
    gt_boxes_xyxy: Tensor,
    sampling_radius: float = 1.5,
) -> Tensor:
    """Assign points by centre sampling and regression range, FCOS (arXiv 1904.01355, 2006.09214).

    A point is positive for an object if it lies inside it, less than ``sampling_radius`` strides from its centre along
    both axes, and if the largest distance to its sides is within the range of the point's level, limits included. A
    point that is positive for several objects goes to the one of smallest area.

    Args:
        points_xy: (N,2) in pixels, level after level.
        level_sizes: Points per level; they add up to N.
        strides: Pixels per cell, per level.
        gt_boxes_xyxy: (M,4) in pixels; M may be 0.
        sampling_radius: Half the side of the square around an object's centre in which points are positive, in strides.

    Returns:
        (N,) int64: index of the object, or -1 for background.
    """
    points, objects = at_least_float32(points_xy), at_least_float32(gt_boxes_xyxy)
    if objects.shape[0] == 0:
        return torch.full((points.shape[0],), BACKGROUND, device=points.device)
    x, y = points.unbind(dim=1)
    x1, y1, x2, y2 = objects[:, :, None].unbind(dim=1)
    sides = torch.stack([x - x1, y - y1, x2 - x, y2 - y])
    nearest, farthest = sides.aminmax(dim=0)
    off_centre = (sides[:2] - sides[2:]).abs().amax(dim=0) / 2
    lower, upper = (spread_levels(limit, level_sizes) for limit in points.new_tensor(regression_ranges(strides)).T)
    radius = spread_levels(points.new_tensor(strides) * sampling_radius, level_sizes)
    positive = (nearest > 0) & (off_centre < radius) & (farthest >= lower) & (farthest <= upper)
    smallest, index = area(objects)[:, None].where(positive, math.inf).min(dim=0)
    return index.masked_fill(smallest.isinf(), BACKGROUND)

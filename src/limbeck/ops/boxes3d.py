"""Boxes in space that are turned about the vertical axis: corners, exact overlap, points inside, suppression.

A box is x, y, z of its centre (z in the middle of the height), length along the heading, width, height in metres, and
the yaw in radians, counter-clockwise about z from the x axis. Overlap is computed in float64 whatever is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck import rectangles


def bev(boxes: Tensor) -> Tensor:
    """Return the rectangles (...,5) of boxes (...,7) seen from above: x, y, length, width, yaw; float64."""
    return boxes[..., rectangles.BEV].double()


def wrap_angle(radians: Tensor) -> Tensor:
    """Return angles (...) as ones from -pi up to, not including, pi."""
    return torch.remainder(radians + math.pi, 2 * math.pi) - math.pi


def corners_bev(boxes: Tensor) -> Tensor:
    """Return the corners (...,4,2) of boxes (...,7) seen from above, counter-clockwise from the one ahead on the left.

    >>> corners_bev(torch.tensor([[0.0, 0, 0, 4, 2, 1, 0]])).tolist()
    [[[2.0, 1.0], [-2.0, 1.0], [-2.0, -1.0], [2.0, -1.0]]]
    """
    corners: Tensor = rectangles.corners(torch, boxes[..., rectangles.BEV])
    return corners


def bev_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the area (N,M) in square metres that boxes (N,7) and (M,7) have in common seen from above, float64."""
    areas: Tensor = rectangles.overlap_areas(torch, bev(a), bev(b))
    return areas


def bev_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (N,M) of boxes (N,7) and (M,7) seen from above, float64.

    >>> square, turned = torch.tensor([[0.0, 0, 0, 2, 2, 1, 0]]), torch.tensor([[0.0, 0, 0, 2, 2, 1, math.pi / 4]])
    >>> round(bev_iou(square, turned).item(), 4)
    0.7071
    """
    ious: Tensor = rectangles.bev_ious(torch, bev(a), bev(b))
    return ious


def iou_3d(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (N,M) of the volumes of boxes (N,7) and (M,7), float64."""
    shared = bev_overlap(a, b) * _overlap_in_height(a[:, None], b[None])
    return _over_union(shared, _volume(a)[:, None], _volume(b)[None])


def paired_bev_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of boxes (...,7) seen from above, pair by pair, float64."""
    shared: Tensor = rectangles.overlap_area(torch, bev(a), bev(b))
    return _over_union(shared, *((box[..., 3] * box[..., 4]).double() for box in (a, b)))


def paired_iou_3d(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of the volumes of boxes (...,7), pair by pair, float64."""
    shared: Tensor = rectangles.overlap_area(torch, bev(a), bev(b)) * _overlap_in_height(a, b)
    return _over_union(shared, _volume(a), _volume(b))


def _over_union(shared: Tensor, a: Tensor, b: Tensor) -> Tensor:
    union = a + b - shared
    return torch.where(union > 0, shared / torch.where(union > 0, union, 1.0), 0.0)


def _volume(boxes: Tensor) -> Tensor:
    return boxes[..., 3:6].double().prod(-1)


def _overlap_in_height(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.double(), b.double()
    top = torch.minimum(a[..., 2] + a[..., 5] / 2, b[..., 2] + b[..., 5] / 2)
    return (top - torch.maximum(a[..., 2] - a[..., 5] / 2, b[..., 2] - b[..., 5] / 2)).clamp(min=0)


def points_in_boxes(points: Tensor, boxes: Tensor, margin: float = 0.0) -> Tensor:
    """Return whether points lie in boxes, (P,M) bool; the faces belong to the box.

    Args:
        points: (P,3 or more): x, y, z first.
        boxes: (M,7).
        margin: Metres by which the boxes are larger on every side.
    """
    offset = points[:, None, :3] - boxes[None, :, :3]
    cos, sin = boxes[:, 6].cos(), boxes[:, 6].sin()
    ahead = cos * offset[..., 0] + sin * offset[..., 1]
    beside = cos * offset[..., 1] - sin * offset[..., 0]
    half = boxes[:, 3:6] / 2 + margin
    return (ahead.abs() <= half[:, 0]) & (beside.abs() <= half[:, 1]) & (offset[..., 2].abs() <= half[:, 2])


def rotated_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Return the places of the boxes that greedy non-maximum suppression leaves, best first, (K,) int64.

    Args:
        boxes: (N,7).
        scores: (N,).
        threshold: A box falls to a better one if their intersection over union seen from above is larger.
    """
    order = scores.argsort(descending=True, stable=True)
    rows = boxes[order]
    return order[rectangles.left_by_overlap(torch, bev(rows), threshold)]


def circle_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Return the places of the boxes that suppression by distance leaves, best first, (K,) int64.

    Args:
        boxes: (N,2 or more): x and y of the centre first.
        scores: (N,).
        threshold: A box falls to a better one if the squared distance of their centres, in square metres, is not
            larger (the release of CenterPoint).
    """
    order = scores.argsort(descending=True, stable=True)
    return order[rectangles.left_by_distance(torch, boxes[order, :2], threshold)]

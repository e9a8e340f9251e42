"""Axis-aligned boxes: overlap, and the two ways in which dense heads code them.

All boxes are xyxy with x2 >= x1 and y2 >= y1, in any one unit. 16-bit inputs are widened to float32.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_same_shape

IoUKind = Literal["iou", "giou", "diou"]

MAX_LOG_SIZE = math.log(1000 / 16)
"""Upper limit of the coded log size of a box, so that an untrained head cannot overflow (Faster R-CNN)."""


def area(boxes_xyxy: Tensor) -> Tensor:
    """Return the area (...) of boxes (...,4)."""
    boxes = at_least_float32(boxes_xyxy)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def centres(boxes_xyxy: Tensor) -> Tensor:
    """Return the centre points (...,2), as x and y, of boxes (...,4)."""
    boxes = at_least_float32(boxes_xyxy)
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def centred_in(boxes_xyxy: Tensor, regions_xyxy: Tensor) -> Tensor:
    """Return (N,) bool: boxes (N,4) whose centre lies in one of the regions (M,4)."""
    centre = centres(boxes_xyxy)[:, None, :]
    return ((centre >= regions_xyxy[:, :2]) & (centre <= regions_xyxy[:, 2:])).all(dim=2).any(dim=1)


def paired_iou(a: Tensor, b: Tensor, kind: IoUKind = "iou", eps: float = 1e-6, *, eps_added: bool = False) -> Tensor:
    """Return the overlap (...) of boxes ``a`` (...,4) and ``b`` (...,4), pair by pair; the shapes broadcast.

    Union, enclosing area and squared enclosing diagonal are clamped at ``eps`` from below, or increased by it.

    Args:
        a: Boxes.
        b: Boxes.
        kind: ``iou``: intersection over union, 0 to 1. ``giou``: minus the share of the enclosing box that neither
            covers (arXiv 1902.09630), -1 to 1. ``diou``: minus the squared distance of the centres over the squared
            diagonal of the enclosing box (arXiv 1911.08287), -1 to 1.
        eps: In squared units of the boxes.
        eps_added: Add ``eps`` instead of clamping at it, as the release of HSD does (arXiv 2307.00701).
    """
    a, b = at_least_float32(a), at_least_float32(b)
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    intersection = overlap[..., 0] * overlap[..., 1]
    union = _above(area(a) + area(b) - intersection, eps, eps_added)
    iou = intersection / union
    if kind == "iou":
        return iou
    enclosing = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    if kind == "giou":
        hull = _above(enclosing[..., 0] * enclosing[..., 1], eps, eps_added)
        return iou - (hull - union) / hull
    offset = centres(a) - centres(b)
    return iou - offset.square().sum(-1) / _above(enclosing.square().sum(-1), eps, eps_added)


def _above(area: Tensor, eps: float, eps_added: bool) -> Tensor:
    return area + eps if eps_added else area.clamp(min=eps)


def pairwise_iou(a: Tensor, b: Tensor, eps: float = 1e-6) -> Tensor:
    """Return the intersection over union (M,N) of every box of ``a`` (M,4) with every box of ``b`` (N,4)."""
    return paired_iou(a[:, None], b[None], eps=eps)


def integral(logits: Tensor) -> Tensor:
    """Return the expected bin (...) of distributions over the bins 0 to R, given as logits (...,R+1)."""
    probabilities = at_least_float32(logits).softmax(dim=-1)
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=probabilities.dtype)
    return (probabilities * bins).sum(dim=-1)


def decode_distances(centres_xy: Tensor, distances_ltrb: Tensor) -> Tensor:
    """Return the boxes (...,4) that lie ``distances_ltrb`` (...,4) left, above, right and below of points (...,2)."""
    centre, distance = at_least_float32(centres_xy), at_least_float32(distances_ltrb)
    return torch.cat([centre - distance[..., :2], centre + distance[..., 2:]], dim=-1)


def encode_distances(centres_xy: Tensor, boxes_xyxy: Tensor, max_distance: float) -> Tensor:
    """Return the distances left, top, right, bottom (...,4) from points (...,2) to the sides of boxes (...,4).

    Args:
        centres_xy: Points, in the unit of the boxes.
        boxes_xyxy: Boxes.
        max_distance: Distances are clamped to 0 and this; R - 0.1 for a head with bins 0 to R.
    """
    centre, boxes = at_least_float32(centres_xy), at_least_float32(boxes_xyxy)
    return torch.cat([centre - boxes[..., :2], boxes[..., 2:] - centre], dim=-1).clamp(0, max_distance)


def encode_deltas(boxes_xyxy: Tensor, priors_xyxy: Tensor) -> Tensor:
    """Code boxes (...,4) relative to priors (...,4) as dx, dy, dw, dh (...,4); Faster R-CNN, arXiv 1506.01497.

    The shift of the centre is in units of the prior's size, the size as the logarithm of its ratio. No box may be
    empty.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(boxes_xyxy=boxes_xyxy, priors_xyxy=priors_xyxy)
    boxes, priors = at_least_float32(boxes_xyxy), at_least_float32(priors_xyxy)
    size = priors[..., 2:] - priors[..., :2]
    shift = (centres(boxes) - centres(priors)) / size
    return torch.cat([shift, ((boxes[..., 2:] - boxes[..., :2]) / size).log()], dim=-1)


def decode_deltas(deltas: Tensor, priors_xyxy: Tensor) -> Tensor:
    """Return the boxes (...,4) coded by ``deltas`` (...,4) relative to priors that broadcast to them.

    The inverse of `encode_deltas`; dw and dh are clamped at `MAX_LOG_SIZE`.
    """
    deltas, priors = at_least_float32(deltas), at_least_float32(priors_xyxy)
    size = priors[..., 2:] - priors[..., :2]
    centre = centres(priors) + deltas[..., :2] * size
    half = deltas[..., 2:].clamp(max=MAX_LOG_SIZE).exp() * size / 2
    return torch.cat([centre - half, centre + half], dim=-1)

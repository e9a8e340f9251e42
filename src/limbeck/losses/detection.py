"""Supervised losses of dense detection heads and their targets, one value per row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.losses.modulated import label_rows
from limbeck.ops.boxes2d import encode_distances
from limbeck.ops.precision import at_least_float32
from limbeck.ops.shapes import require_rows


def focal_rows(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the focal loss, summed over the classes; arXiv 1708.02002.

    Args:
        logits: (...,K).
        labels: (...) int64; K or a negative number is background.
        alpha: Weight of the entries at the labels; all others get 1 - alpha.
        gamma: Exponent of the error, positive.

    Returns:
        (...) float32 or better.

    Raises:
        ValueError: The shapes do not fit or gamma is not positive.
    """
    require_rows(logits, labels=labels)
    quality = torch.ones_like(labels, dtype=torch.float32)
    return label_rows(logits, labels, quality, gamma, weights=(alpha, 1 - alpha))


def quality_focal_rows(logits: Tensor, labels: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """Return the quality focal loss, summed over the classes; arXiv 2006.04388.

    Args:
        logits: (...,K).
        labels: (...) int64; K or a negative number is background.
        quality: (...) target score at the label, 0 to 1, usually the IoU; it gets no gradient.
        beta: Exponent of the error, positive.

    Returns:
        (...) float32 or better.

    Raises:
        ValueError: The shapes do not fit or beta is not positive.
    """
    require_rows(logits, labels=labels, quality=quality)
    return label_rows(logits, labels, quality, beta)


def distribution_focal_rows(logits: Tensor, target: Tensor) -> Tensor:
    """Return the distribution focal loss: cross entropy with the two bins beside the target; arXiv 2006.04388.

    Args:
        logits: (...,R+1).
        target: (...) in bins, 0 <= target < R.

    Returns:
        (...) float32 or better.

    Raises:
        ValueError: The shapes do not fit.
    """
    require_rows(logits, target=target)
    log_probability = at_least_float32(logits).log_softmax(dim=-1)
    left = target.detach().floor()
    bins = torch.stack([left, left + 1], dim=-1).long()
    share = torch.stack([left + 1 - target, target - left], dim=-1)
    return -(share * log_probability.gather(-1, bins)).sum(dim=-1)


def centerness(points_xy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Return how central points lie in boxes, 1 in the middle and 0 at the border and outside; arXiv 1904.01355.

    With the distances l, t, r, b to the sides, sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)).

    Args:
        points_xy: (...,2), in the unit of the boxes.
        boxes_xyxy: (...,4).

    Returns:
        (...) float32 or better.

    Raises:
        ValueError: The shapes do not fit.
    """
    require_rows(boxes_xyxy, points=points_xy[..., 0])
    left, top, right, bottom = encode_distances(points_xy, boxes_xyxy, math.inf).unbind(dim=-1)
    near = torch.minimum(left, right) * torch.minimum(top, bottom)
    far = torch.maximum(left, right) * torch.maximum(top, bottom)
    return (near / far.clamp(min=torch.finfo(far.dtype).tiny)).sqrt()

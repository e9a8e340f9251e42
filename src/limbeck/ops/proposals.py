"""The two steps between the stages of a two-stage detector: which boxes to look at again, and what is seen there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from limbeck.ops.boxes2d import area
from limbeck.ops.detections import clip_to_canvas, nms_mask

CANONICAL_STRIDE = 16
"""A RoI of the canonical size is pooled from the level of this stride (arXiv 1612.03144)."""
TINY = 1e-8


def select_proposals(
    objectness_logits: Tensor,
    boxes_xyxy: Tensor,
    level_sizes: Sequence[int],
    canvas_hw: tuple[int, int],
    *,
    pre_nms: int,
    nms_iou: float,
    keep: int,
) -> tuple[Tensor, Tensor]:
    """Choose the boxes that the second stage looks at: the best of every level, without those that overlap better ones.

    Args:
        objectness_logits: (B,N), level after level.
        boxes_xyxy: (B,N,4) in pixels of the canvas; they are clipped to it, and what is empty then is no proposal.
        level_sizes: Locations per level; they add up to N.
        canvas_hw: Height and width of the canvas.
        pre_nms: Candidates per image and level that enter non-maximum suppression.
        nms_iou: A box is dropped when its IoU with a better kept one of its level is above this.
        keep: P, proposals kept per image over all levels (fewer if there are fewer candidates).

    Returns:
        Proposals (B,P,4), best first, and (B,P) bool: which of these places are used; the others hold empty boxes.
    """
    scores, boxes = [], []
    levels = zip(objectness_logits.split(list(level_sizes), 1), boxes_xyxy.split(list(level_sizes), 1), strict=True)
    for level_scores, level_boxes in levels:
        best, place = level_scores.topk(min(pre_nms, level_scores.shape[1]), dim=1)
        candidates = clip_to_canvas(level_boxes.gather(1, place[..., None].expand(-1, -1, 4)), canvas_hw)
        good = (candidates[..., 2:] > candidates[..., :2]).all(dim=2)
        kept = good & _level_mask(candidates, best, good, canvas_hw, nms_iou)
        scores.append(best.masked_fill(~kept, -math.inf))
        boxes.append(candidates)
    total = sum(level.shape[1] for level in scores)
    final, order = torch.cat(scores, dim=1).topk(min(keep, total), dim=1)
    used = final > -math.inf
    chosen = torch.cat(boxes, dim=1).gather(1, order[..., None].expand(-1, -1, 4))
    return chosen.masked_fill(~used[..., None], 0.0), used


def _level_mask(boxes: Tensor, scores: Tensor, good: Tensor, canvas_hw: tuple[int, int], nms_iou: float) -> Tensor:
    """Return (B,P) bool: boxes of one level that survive.

    The time of NMS grows with the square of the boxes in one call: the images go one by one, but in an exported graph,
    which does not know how many there are.
    """
    labels = torch.zeros_like(scores, dtype=torch.int64)
    if torch.compiler.is_exporting():
        return nms_mask(boxes, scores, labels, good, canvas_hw, nms_iou)
    images = zip(boxes.split(1), scores.split(1), labels.split(1), good.split(1), strict=True)
    return torch.cat([nms_mask(*image, canvas_hw, nms_iou) for image in images])


def pool_rois(
    maps: Sequence[Tensor], rois_xyxy: Tensor, strides: Sequence[int], *, size: int, canonical_size: float
) -> tuple[Tensor, Tensor]:
    """Cut every RoI out of the level that suits its size, by RoIAlign with half-pixel alignment (arXiv 1703.06870).

    A RoI of area a belongs to the stride 16 * 2^floor(log2(sqrt(a) / canonical_size)), or to the nearest there is.

    Args:
        maps: (B,C,H_l,W_l) per level, from fine to coarse.
        rois_xyxy: (B,P,4) in pixels of the canvas. An empty RoI sees zeros.
        strides: Pixels per cell, per level.
        size: S, cells along each side of what is cut out.
        canonical_size: Side in pixels of a square RoI that belongs to stride 16.

    Returns:
        (B P,C,S,S), level after level, and (B P,) the row there of every RoI, image after image. What is computed from
        the rows is much smaller and cheaper to put in order.
    """
    rois = rois_xyxy.flatten(0, 1)
    image = torch.arange(rois_xyxy.shape[0], device=rois.device, dtype=rois.dtype).repeat_interleave(rois_xyxy.shape[1])
    rows = torch.cat([image[:, None], rois], dim=1)
    octave = torch.log2(area(rois).sqrt() / canonical_size + TINY).floor() + math.log2(CANONICAL_STRIDE / strides[0])
    levels = torch.arange(len(maps), device=rois.device)[:, None]
    belongs = octave.clamp(0, len(maps) - 1) == levels
    pooled = [
        roi_align(values, rows[here.nonzero()[:, 0]], size, 1 / stride, 0, True)
        for values, here, stride in zip(maps, belongs, strides, strict=True)
    ]
    count = belongs.flatten().cumsum(dim=0).view_as(belongs)  # a stable argsort, which cannot be exported
    return torch.cat(pooled), (count * belongs).sum(dim=0) - 1

"""From dense scores to final boxes, on fixed shapes: the same code runs in evaluation and inside the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms


def select_detections(
    class_logits: Tensor,
    boxes_xyxy: Tensor,
    canvas_hw: tuple[int, int],
    *,
    centerness_logits: Tensor | None = None,
    score_threshold: float,
    nms_iou: float,
    pre_nms: int,
    max_detections: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best boxes of every image by greedy class-aware non-maximum suppression.

    The score of a box is that of its class; with ``centerness_logits`` it is the root of class score times centerness,
    as in the released FCOS and ATSS and in torchvision.

    All images go through one call of NMS: a class moves its boxes along x and an image along y, so that boxes of
    different classes or images never overlap (two axes, so that coordinates stay small enough for float32).

    Args:
        class_logits: (B,N,K).
        boxes_xyxy: (B,N,4) in pixels of the canvas.
        canvas_hw: Height and width of the canvas; boxes are clipped to it.
        centerness_logits: (B,N), or None.
        score_threshold: Lowest score of a detection.
        nms_iou: A box is dropped when its IoU with a better kept one of its class is above this.
        pre_nms: Candidates per image that enter NMS.
        max_detections: D, detections kept per image (fewer if there are fewer candidates).

    Returns:
        Boxes (B,D,4), scores (B,D) and labels (B,D), best first; unused places have score 0.
    """
    scores, boxes, labels = _candidates(class_logits, boxes_xyxy, centerness_logits, pre_nms)
    return keep_best(
        scores,
        boxes,
        labels,
        canvas_hw,
        score_threshold=score_threshold,
        nms_iou=nms_iou,
        max_detections=max_detections,
    )


def keep_best(
    scores: Tensor,
    boxes_xyxy: Tensor,
    labels: Tensor,
    canvas_hw: tuple[int, int],
    *,
    score_threshold: float,
    nms_iou: float,
    max_detections: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best of chosen candidates by greedy class-aware non-maximum suppression; see `select_detections`.

    Args:
        scores: (B,P) in [0, 1].
        boxes_xyxy: (B,P,4) in pixels of the canvas.
        labels: (B,P) int64.
        canvas_hw: Height and width of the canvas; boxes are clipped to it.
        score_threshold: Lowest score of a detection.
        nms_iou: A box is dropped when its IoU with a better kept one of its class is above this.
        max_detections: D, detections kept per image.
    """
    boxes = clip_to_canvas(boxes_xyxy, canvas_hw)
    good = scores >= score_threshold
    kept = nms_mask(boxes, scores, labels, good, canvas_hw, nms_iou)
    final, order = torch.where(kept & good, scores, 0.0).topk(min(max_detections, scores.shape[1]), dim=1)
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), final, labels.gather(1, order)


def clip_to_canvas(boxes_xyxy: Tensor, canvas_hw: tuple[int, int]) -> Tensor:
    """Return boxes (...,4) in pixels without what lies outside of the canvas."""
    limit = boxes_xyxy.new_tensor([canvas_hw[1], canvas_hw[0], canvas_hw[1], canvas_hw[0]])
    return torch.minimum(boxes_xyxy.clamp(min=0), limit)


def _candidates(
    class_logits: Tensor, boxes_xyxy: Tensor, centerness_logits: Tensor | None, pre_nms: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores (B,P), boxes (B,P,4) and labels (B,P) of the P best (location, class) pairs.

    The P best pairs lie on the P locations with the best single class, so that the locations are chosen first.
    """
    num_classes = class_logits.shape[2]
    rating = class_logits.amax(dim=2)
    if centerness_logits is not None:
        rating = _log_product(rating, centerness_logits)
    _, location = rating.topk(min(pre_nms, rating.shape[1]), dim=1)
    pairs = class_logits.gather(1, location[..., None].expand(-1, -1, num_classes))
    if centerness_logits is not None:
        pairs = _log_product(pairs, centerness_logits.gather(1, location)[..., None])
    best, pair = pairs.flatten(1).topk(min(pre_nms, pairs.shape[1] * num_classes), dim=1)
    scores = best.sigmoid() if centerness_logits is None else (best / 2).exp()
    location = location.gather(1, pair // num_classes)
    return scores, boxes_xyxy.gather(1, location[..., None].expand(-1, -1, 4)), pair % num_classes


def _log_product(class_logits: Tensor, centerness_logits: Tensor) -> Tensor:
    """Return the logarithm of class score times centerness; it still tells scores apart that round to 1."""
    return functional.logsigmoid(class_logits) + functional.logsigmoid(centerness_logits)


def nms_mask(
    boxes: Tensor, scores: Tensor, labels: Tensor, good: Tensor, canvas_hw: tuple[int, int], nms_iou: float
) -> Tensor:
    """Return (B,P) bool: which boxes survive non-maximum suppression among those of their image and label.

    Args:
        boxes: (B,P,4) in pixels, clipped to the canvas.
        scores: (B,P), any numbers that put the boxes in order.
        labels: (B,P) int64.
        good: (B,P) bool. Boxes that are not good share one far box, so that they cost nothing; one of them survives.
        canvas_hw: Height and width of the canvas.
        nms_iou: A box is dropped when its IoU with a better kept one is above this.
    """
    span = float(max(canvas_hw)) + 1.0
    images = torch.arange(boxes.shape[0], device=boxes.device)[:, None].expand_as(labels)
    shift = torch.stack([labels, images, labels, images], dim=-1).to(boxes.dtype) * span
    far = boxes.new_tensor([-2.0, -2.0, -1.0, -1.0]) * span
    apart = torch.where(good[..., None], boxes + shift, far)
    keep = nms(apart.flatten(0, 1), torch.where(good, scores, 0.0).flatten(), nms_iou)
    mask = torch.zeros_like(scores, dtype=torch.bool).flatten()
    return mask.index_fill(0, keep, True).view_as(good)

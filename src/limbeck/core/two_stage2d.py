"""What a two-stage 2D detector gives, and which of its anchors and RoIs answer for which object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from limbeck.core.outputs import Assignment, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.ops.assign2d import BACKGROUND, IGNORED
from limbeck.ops.boxes2d import centred_in, decode_deltas, pairwise_iou
from limbeck.ops.detections import keep_best

Matcher = Callable[[Tensor], Tensor]
"""From the IoU (M,R) of objects and rows to the object of every row (R,), -1 for background and -2 for neither."""


@dataclass(slots=True)
class Samples2D:
    """Rows, anchors or RoIs, that were drawn for training, and what each should have said.

    Attributes:
        labels: (B,R) int64: class of a row that answers for an object, K for all others.
        weights: (B,R) float: the object's weight (mostly 1), 1 for background, 0 for a row that was not drawn.
        boxes_xyxy: (B,R,4) box of the object in pixels, zeros for all other rows.
    """

    labels: Tensor
    weights: Tensor
    boxes_xyxy: Tensor


@dataclass(slots=True)
class TwoStageRaw2D(DetectorRaw2D):
    """Raw output of a two-stage detector; N runs over its anchors (see `ops.pyramid`), P over its RoIs.

    Attributes:
        class_logits: (B,P,K+1) softmax logits of the RoIs, the background last.
        box_deltas: (B,P,K,4) coded boxes per class, relative to the RoI.
        delta_weights: What the coded dx, dy, dw, dh are multiplied by.
        rois_xyxy: (B,P,4) in pixels of the network's input: the proposals, in training those drawn. No gradient.
        roi_used: (B,P) bool: places that hold a RoI.
        objectness_logits: (B,N) logits of an anchor showing any object.
        proposal_deltas: (B,N,4) coded boxes relative to the anchors, with weights 1.
        priors_xyxy: (N,4) anchors in pixels.
        level_sizes: Anchors per level; they add up to N.
        strides: Pixels per cell, per level.
        canvas_hw: Height and width of the network's input in pixels.
        sampled: In training what the RoIs should have said; None in evaluation.
    """

    box_deltas: Tensor
    delta_weights: tuple[float, float, float, float]
    rois_xyxy: Tensor
    roi_used: Tensor
    objectness_logits: Tensor
    proposal_deltas: Tensor
    priors_xyxy: Tensor
    level_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    canvas_hw: tuple[int, int]
    sampled: Samples2D | None

    def select(
        self, *, score_threshold: float, nms_iou: float, pre_nms: int, max_detections: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the final boxes, scores and labels; the candidates are the best (RoI, class) pairs of each image."""
        scores = self.class_logits.softmax(dim=2)[..., :-1] * self.roi_used[..., None]
        num_classes = scores.shape[2]
        best, pair = scores.flatten(1).topk(min(pre_nms, scores.shape[1] * num_classes), dim=1)
        deltas = self.box_deltas.flatten(1, 2).gather(1, pair[..., None].expand(-1, -1, 4))
        rois = self.rois_xyxy.gather(1, (pair // num_classes)[..., None].expand(-1, -1, 4))
        return keep_best(
            best,
            decode_deltas(deltas / deltas.new_tensor(self.delta_weights), rois),
            pair % num_classes,
            self.canvas_hw,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )


@dataclass(slots=True)
class TwoStageAssignment2D(Assignment):
    """Assignment of a two-stage detector; the normaliser is the number of RoIs that answer for an object.

    Attributes:
        anchors: The anchors drawn; label 0 is an object, 1 the background.
        rois: The RoIs drawn.
    """

    anchors: Samples2D
    rois: Samples2D


@dataclass(frozen=True, slots=True)
class Draw:
    """How the rows of an image are matched and drawn.

    Attributes:
        matcher: Which object a row answers for.
        rows: Rows drawn per image.
        foreground: Largest share of rows that answer for an object.
    """

    matcher: Matcher
    rows: int
    foreground: float

    def __call__(self, boxes_xyxy: Tensor, target: Boxes2D) -> tuple[Tensor, Tensor]:
        """Match boxes (R,4) of one image and draw some; returns the object of each (R,) and (R,) bool: drawn or not.

        Background that is centred in an ignore region is never drawn. The draw is by torch's global generator.
        """
        objects = target.objects().boxes_xyxy
        if len(objects) and len(boxes_xyxy):
            index = self.matcher(pairwise_iou(objects, boxes_xyxy))
        else:
            index = torch.full((len(boxes_xyxy),), BACKGROUND, device=boxes_xyxy.device)
        ignored = centred_in(boxes_xyxy, target.boxes_xyxy[target.ignore])
        index = torch.where(ignored & (index < 0), IGNORED, index)
        # The sampler takes objects from 1 on, 0 for the background and -1 for rows to leave out.
        foreground, background = BalancedPositiveNegativeSampler(self.rows, self.foreground)([index + 1])
        return index, (foreground[0] | background[0]).bool()


def sample_anchors(priors_xyxy: Tensor, batch: Batch[Boxes2D], draw: Draw) -> Samples2D:
    """Draw anchors (N,4) for every image of a batch; all N are returned, those not drawn with weight 0."""
    images = []
    for target in batch.targets:
        index, drawn = draw(priors_xyxy, target)
        objects = target.objects()
        same = replace(objects, labels=torch.zeros_like(objects.labels))
        images.append(_rows(priors_xyxy, index, drawn, same, num_classes=1))
    return _stack(images)


def sample_rois(
    rois_xyxy: Tensor, used: Tensor, batch: Batch[Boxes2D], draw: Draw, num_classes: int
) -> tuple[Tensor, Tensor, Samples2D]:
    """Draw RoIs for every image of a batch from its proposals and the boxes of its objects.

    Args:
        rois_xyxy: (B,P,4) proposals.
        used: (B,P) bool: places that hold one.
        batch: The batch with its labelled boxes.
        draw: How to match and draw; its ``rows`` are R.
        num_classes: K.

    Returns:
        RoIs (B,R,4), (B,R) bool: places that hold one, and what the RoIs should say.
    """
    chosen, counts, images = [], [], []
    for rois, valid, target in zip(rois_xyxy, used, batch.targets, strict=True):
        objects = target.objects()
        boxes = torch.cat([rois[valid], objects.boxes_xyxy.to(rois.dtype)])
        index, drawn = draw(boxes, target)
        boxes, index = boxes[drawn], index[drawn]
        rows = _rows(boxes, index, torch.ones_like(index, dtype=torch.bool), objects, num_classes)
        missing = draw.rows - len(boxes)
        counts.append(len(boxes))
        chosen.append(functional.pad(boxes, (0, 0, 0, missing)))
        images.append(
            Samples2D(
                functional.pad(rows.labels, (0, missing), value=num_classes),
                functional.pad(rows.weights, (0, missing)),
                functional.pad(rows.boxes_xyxy, (0, 0, 0, missing)),
            )
        )
    held = torch.arange(draw.rows, device=used.device) < torch.tensor(counts, device=used.device)[:, None]
    return torch.stack(chosen), held, _stack(images)


def _rows(boxes: Tensor, index: Tensor, drawn: Tensor, objects: Boxes2D, num_classes: int) -> Samples2D:
    """Return what the rows (R,) of one image should say."""
    positive = drawn & (index >= 0)
    labels = torch.full_like(index, num_classes)
    labels[positive] = objects.labels[index[positive]]
    targets = torch.zeros_like(boxes)
    targets[positive] = objects.boxes_xyxy[index[positive]].to(boxes.dtype)
    weights = drawn.to(boxes.dtype)
    if objects.weights is not None:
        weights[positive] *= objects.weights[index[positive]].to(weights.dtype)
    return Samples2D(labels, weights, targets)


def _stack(images: list[Samples2D]) -> Samples2D:
    return Samples2D(
        torch.stack([rows.labels for rows in images]),
        torch.stack([rows.weights for rows in images]),
        torch.stack([rows.boxes_xyxy for rows in images]),
    )

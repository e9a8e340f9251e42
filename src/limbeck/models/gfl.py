"""GFL: dense detection with box sides as distributions (Generalized Focal Loss, arXiv 2006.04388)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import DenseDetectorConfig, assign_batch, positive_scores
from limbeck.core.model import DenseSpec2D, Model
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import distribution_focal_rows, quality_focal_rows
from limbeck.losses.reduce import EPS32
from limbeck.nn.heads import DenseHead, Norm
from limbeck.nn.pyramid_net import PyramidNet
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import centres, decode_distances, encode_distances, integral, paired_iou
from limbeck.ops.precision import at_least_float32
from limbeck.ops.pyramid import PriorGrid, flatten_levels, sum_by_level

BOX_WEIGHT = 2.0
DISTRIBUTION_WEIGHT = 0.25
QUALITY_BETA = 2.0
TARGET_MARGIN = 0.1
"""Targets stay this far below the last bin, so that both neighbouring bins exist."""


class GFL(Model[Boxes2D, DenseRaw2D, DenseAssignment2D, Detections2D]):
    """GFL detector: one square prior per cell, ATSS assignment, quality focal loss, box sides as R+1 bins.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DenseDetectorConfig):
        """Settings; the defaults are those of the released GFL configuration."""

        model: Literal["gfl"] = "gfl"
        norm: Norm = "group"
        reg_max: int = Field(16, ge=1)
        prior_scale: float = Field(8.0, gt=0)
        topk: int = Field(9, ge=1)

    spec: DenseSpec2D

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.trunk = PyramidNet(config)
        self.dense_head = DenseHead(
            config.channels,
            len(classes),
            4 * (config.reg_max + 1),
            depth=config.tower_depth,
            norm=config.norm,
            depthwise=config.depthwise,
            level_scales=len(config.strides),
        )
        priors = PriorGrid(config.strides, scales=(config.prior_scale,))
        self.spec = self.trunk.spec(classes, priors, config.reg_max)

    def features(self, batch: Batch[Boxes2D]) -> list[Tensor]:
        """Return the pyramid, (B,C,H_l,W_l) per level."""
        levels: list[Tensor] = self.trunk(batch.images)
        return levels

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return the dense predictions for a pyramid."""
        class_maps, box_maps = self.dense_head(features)
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        return decode(features, class_maps, box_maps, self.spec.priors, canvas_hw)

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by ATSS."""
        return assign_batch(
            raw, batch, lambda r, boxes: atss(r.priors_xyxy, r.level_sizes, boxes, topk=self.config.topk)
        )

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of `gfl_losses`, summed over the levels."""
        return {name: levels.sum() for name, levels in gfl_losses(raw, assignment).items()}

    def predict(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the detections of every image, boxes in pixels of the original image."""
        return self.config.postprocess.detections(raw, batch)


def decode(
    features: list[Tensor],
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    grid: PriorGrid,
    canvas_hw: tuple[int, int],
) -> DenseRaw2D:
    """Flatten the maps of a GFL head and decode its boxes.

    Args:
        features: The pyramid, handed through.
        class_maps: (B,K,H_l,W_l) per level.
        box_maps: (B,4(R+1),H_l,W_l) per level, sides in the order left, top, right, bottom.
        grid: One prior per cell.
        canvas_hw: Height and width of the network's input in pixels.
    """
    sizes_hw = [(m.shape[2], m.shape[3]) for m in class_maps]
    class_logits = at_least_float32(flatten_levels(class_maps))
    box_logits = at_least_float32(flatten_levels(box_maps)).unflatten(2, (4, -1))
    priors = grid.boxes_xyxy(sizes_hw, device=class_logits.device, dtype=class_logits.dtype)
    raw = DenseRaw2D(
        features=features,
        class_logits=class_logits,
        boxes_xyxy=priors,
        box_logits=box_logits,
        priors_xyxy=priors,
        level_sizes=tuple(h * w for h, w in sizes_hw),
        strides=grid.strides,
        canvas_hw=canvas_hw,
    )
    raw.boxes_xyxy = decode_distances(centres(priors), integral(box_logits) * raw.location_strides[:, None])
    return raw


def gfl_losses(raw: DenseRaw2D, assignment: DenseAssignment2D) -> dict[str, Tensor]:
    """Return the supervised GFL terms per level, (L,) each.

    With N the normaliser, q_i the best score of a positive (detached) and W the sum of q_i over the batch:
    quality_focal = sum QFL / N, box = 2 sum q_i (1 - GIoU_i) / W and distribution_focal = 0.25 sum q_i DFL_i / (4 W),
    as in the released head (TinyTigerPan/BCKD, gfl_head.py).

    Args:
        raw: Raw output with ``box_logits``.
        assignment: Assignment of the batch.
    """
    if raw.box_logits is None:
        raise ValueError("the GFL losses need box_logits")
    num_classes, reg_max = raw.class_logits.shape[2], raw.box_logits.shape[3] - 1
    positive = assignment.positive(num_classes)
    stride = raw.location_strides.expand(positive.shape)[positive][:, None]
    predicted = raw.boxes_xyxy[positive] / stride
    target = assignment.boxes_xyxy[positive] / stride
    centre = centres(raw.priors_xyxy).expand(*positive.shape, 2)[positive] / stride
    score = positive_scores(raw.class_logits[positive])
    total_score = mean_over_processes(score.sum()) + 1e-6

    quality = torch.zeros_like(assignment.weights)
    quality[positive] = paired_iou(predicted.detach(), target)
    focal = quality_focal_rows(raw.class_logits, assignment.labels, quality, beta=QUALITY_BETA)
    sides = encode_distances(centre, target, reg_max - TARGET_MARGIN)
    distribution = distribution_focal_rows(raw.box_logits[positive], sides).sum(dim=1)

    def per_level(rows: Tensor) -> Tensor:
        return sum_by_level(torch.zeros_like(assignment.weights).masked_scatter(positive, rows), raw.level_sizes)

    return {
        "quality_focal": sum_by_level(focal * assignment.weights, raw.level_sizes) / (assignment.normaliser + EPS32),
        "box": BOX_WEIGHT * per_level(score * iou_rows(predicted, target, "giou")) / (1 + EPS32) / total_score,
        "distribution_focal": DISTRIBUTION_WEIGHT * per_level(score * distribution) / (4 + EPS32) / total_score,
    }

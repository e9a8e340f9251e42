"""GFL: dense detection with box sides as distributions (Generalized Focal Loss, arXiv 2006.04388)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import DenseDetectorConfig, assign_batch, positive_scores
from limbeck.core.dense_heads import DISTRIBUTION_WEIGHT, SIDES, box_channels, distribution_rows, raw_output
from limbeck.core.model import DenseSpec2D, Model
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import quality_focal_rows
from limbeck.losses.reduce import EPS32
from limbeck.nn.heads import DenseHead, Norm
from limbeck.nn.pyramid_net import PyramidNet
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import paired_iou
from limbeck.ops.pyramid import PriorGrid, sum_by_level

BOX_WEIGHT = 2.0
QUALITY_BETA = 2.0


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
            box_channels(config.reg_max),
            depth=config.tower_depth,
            norm=config.norm,
            depthwise=config.depthwise,
            towers=config.towers,
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
        maps = self.dense_head(features)
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        return raw_output(features, maps.classes, maps.boxes, self.spec.priors, canvas_hw)

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


def gfl_losses(raw: DenseRaw2D, assignment: DenseAssignment2D) -> dict[str, Tensor]:
    """Return the supervised GFL terms per level, (L,) each.

    With N the normaliser, q_i the best score of a positive (detached) and W the sum of q_i over the batch:
    quality_focal = sum QFL / N, box = 2 sum q_i (1 - GIoU_i) / W and distribution_focal = 0.25 sum q_i DFL_i / (4 W),
    as in the released head (TinyTigerPan/BCKD, gfl_head.py).

    Args:
        raw: Raw output with ``box_logits``.
        assignment: Assignment of the batch.
    """
    positive = assignment.positive(raw.class_logits.shape[2])
    stride = raw.location_strides.expand(positive.shape)[positive][:, None]
    predicted = raw.boxes_xyxy[positive] / stride
    target = assignment.boxes_xyxy[positive] / stride
    score = positive_scores(raw.class_logits[positive])
    total_score = mean_over_processes(score.sum()) + 1e-6

    quality = torch.zeros_like(assignment.weights)
    quality[positive] = paired_iou(predicted.detach(), target)
    focal = quality_focal_rows(raw.class_logits, assignment.labels, quality, beta=QUALITY_BETA)
    distribution = distribution_rows(raw, assignment)

    def per_level(rows: Tensor) -> Tensor:
        return sum_by_level(torch.zeros_like(assignment.weights).masked_scatter(positive, rows), raw.level_sizes)

    return {
        "quality_focal": sum_by_level(focal * assignment.weights, raw.level_sizes) / (assignment.normaliser + EPS32),
        "box": BOX_WEIGHT * per_level(score * iou_rows(predicted, target, "giou")) / (1 + EPS32) / total_score,
        "distribution_focal": DISTRIBUTION_WEIGHT * per_level(score * distribution) / (SIDES + EPS32) / total_score,
    }

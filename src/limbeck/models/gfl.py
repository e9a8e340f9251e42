"""GFL: dense detection with box sides as distributions (Generalized Focal Loss, arXiv 2006.04388)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.core.dense2d import positive_scores
from limbeck.core.dense_heads import DISTRIBUTION_WEIGHT, SIDES, distribution_rows
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import quality_focal_rows
from limbeck.losses.reduce import EPS32
from limbeck.nn.distribution_detector import DistributionDetector, DistributionDetectorConfig
from limbeck.nn.heads import Norm
from limbeck.ops.boxes2d import paired_iou
from limbeck.ops.pyramid import sum_by_level, sum_chosen_by_level

BOX_WEIGHT = 2.0
QUALITY_BETA = 2.0


class GFL(DistributionDetector):
    """GFL detector: one square prior per cell, ATSS assignment, quality focal loss, box sides as R+1 bins.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DistributionDetectorConfig):
        """Settings; the defaults are those of the released GFL configuration."""

        model: Literal["gfl"] = "gfl"
        norm: Norm = "group"

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__(config, classes, config.norm)

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of `gfl_losses`, summed over the levels."""
        return {name: levels.sum() for name, levels in gfl_losses(raw, assignment).items()}


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
        return sum_chosen_by_level(rows, positive, raw.level_sizes)

    return {
        "quality_focal": sum_by_level(focal * assignment.weights, raw.level_sizes) / (assignment.normaliser + EPS32),
        "box": BOX_WEIGHT * per_level(score * iou_rows(predicted, target, "giou")) / (1 + EPS32) / total_score,
        "distribution_focal": DISTRIBUTION_WEIGHT * per_level(score * distribution) / (SIDES + EPS32) / total_score,
    }

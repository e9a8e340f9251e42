"""The student of HSD FTI-FDet: a GFL detector with a light neck and a light head (arXiv 2307.00701)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from limbeck.core.backbone_name import BackboneName
from limbeck.core.dense2d import Neck, Towers, positive_scores
from limbeck.core.dense_heads import DISTRIBUTION_WEIGHT, SIDES, distribution_rows
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import quality_focal_rows
from limbeck.nn.distribution_detector import DistributionDetector, DistributionDetectorConfig
from limbeck.ops.boxes2d import paired_iou
from limbeck.ops.pyramid import sum_by_level, sum_chosen_by_level

BOX_WEIGHT = 2.0
GIOU_EPS = 1e-6
Classification = Literal["bce", "quality_focal"]


class HsdFtiFdet(DistributionDetector):
    """GFL with the heterogeneous knowledge neck (HKN) and head (HKH), and binary cross entropy for the classes.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DistributionDetectorConfig):
        """Settings; the defaults are those of the released configuration, but for ``pretrained``.

        With ``pretrained: true`` the stem is frozen as in the release, unless ``frozen_stem`` says otherwise.
        """

        model: Literal["hsd_fti_fdet"] = "hsd_fti_fdet"
        backbone: BackboneName = "resnet18"
        neck: Neck = "hkn"
        towers: Towers = "hkh"
        tower_depth: int = Field(3, ge=0)
        classification: Classification = "bce"

        @model_validator(mode="before")
        @classmethod
        def _pretrained_stems_are_frozen(cls, settings: Any) -> Any:
            if isinstance(settings, Mapping) and settings.get("pretrained") is True:
                return {"frozen_stem": True, **settings}
            return settings

    config: Config

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__(config, classes, norm="group")

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of `hsd_losses`, summed over the levels."""
        terms = hsd_losses(raw, assignment, self.config.classification)
        return {name: levels.sum() for name, levels in terms.items()}


def hsd_losses(
    raw: DenseRaw2D, assignment: DenseAssignment2D, classification: Classification = "bce"
) -> dict[str, Tensor]:
    """Return the supervised terms per level, (L,) each, as in the released head (MVME-HBUT/HSD-FTI-FDet).

    With N the normaliser, s_i the best score of a positive (detached) and W the sum of s_i over the batch:
    class = sum BCE / N over all locations, box = 2 sum s_i (1 - GIoU_i) / W and
    distribution_focal = 0.25 sum s_i DFL_i / (4 W). Unlike GFL's release this one adds nothing to scores and divisors,
    and adds `GIOU_EPS` to the areas in GIoU.

    Args:
        raw: Raw output with ``box_logits``.
        assignment: Assignment of the batch.
        classification: ``quality_focal`` puts the quality focal loss in the place of BCE.
    """
    positive = assignment.positive(raw.class_logits.shape[2])
    stride = raw.location_strides.expand(positive.shape)[positive][:, None]
    predicted, target = raw.boxes_xyxy[positive] / stride, assignment.boxes_xyxy[positive] / stride
    score = positive_scores(raw.class_logits[positive], offset=0)
    total = mean_over_processes(score.sum()).clamp(min=torch.finfo(score.dtype).tiny)

    def per_level(rows: Tensor) -> Tensor:
        return sum_chosen_by_level(rows, positive, raw.level_sizes)

    if classification == "bce":
        name, rows = "class", _bce_rows(raw.class_logits, assignment.labels)
    else:
        quality = torch.zeros_like(assignment.weights)
        quality[positive] = paired_iou(predicted.detach(), target)
        name, rows = "quality_focal", quality_focal_rows(raw.class_logits, assignment.labels, quality)
    overlap = iou_rows(predicted, target, "giou", GIOU_EPS, eps_added=True)
    return {
        name: sum_by_level(rows * assignment.weights, raw.level_sizes) / assignment.normaliser,
        "box": BOX_WEIGHT * per_level(score * overlap) / total,
        "distribution_focal": DISTRIBUTION_WEIGHT
        * per_level(score * distribution_rows(raw, assignment))
        / SIDES
        / total,
    }


def _bce_rows(class_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross entropy of the classes with the one-hot label, summed over the classes, (B,N)."""
    num_classes = class_logits.shape[2]
    target = functional.one_hot(labels, num_classes + 1)[..., :num_classes].to(class_logits.dtype)
    return functional.binary_cross_entropy_with_logits(class_logits, target, reduction="none").sum(dim=2)

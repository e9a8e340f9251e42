"""RetinaNet: dense detection with nine anchors per cell (arXiv 1708.02002)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import DenseDetectorConfig, assign_batch
from limbeck.core.dense_heads import DISTRIBUTION_WEIGHT, SIDES, box_channels, distribution_rows, raw_output
from limbeck.core.model import DenseSpec2D
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import focal_rows
from limbeck.nn.heads import DenseHead, Norm
from limbeck.nn.pyramid_detector import PyramidDetector
from limbeck.ops.assign2d import max_iou
from limbeck.ops.boxes2d import decode_deltas, encode_deltas
from limbeck.ops.pyramid import PriorGrid

OCTAVES = (4.0, 4.0 * 2 ** (1 / 3), 4.0 * 2 ** (2 / 3))
RATIOS = (0.5, 1.0, 2.0)


class RetinaNet(PyramidDetector[DenseRaw2D, DenseAssignment2D]):
    """RetinaNet detector: every anchor is a location of its own, so that N = 9 times the cells.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DenseDetectorConfig):
        """Settings; the defaults are the paper's."""

        model: Literal["retinanet"] = "retinanet"
        norm: Norm = "none"
        reg_max: int | None = Field(None, ge=1)
        box_loss: Literal["l1", "giou"] = "l1"

    config: Config
    spec: DenseSpec2D

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__(config)
        grid = PriorGrid(config.strides, scales=OCTAVES, ratios=RATIOS)
        self.dense_head = DenseHead(
            config.channels,
            grid.per_cell * len(classes),
            grid.per_cell * box_channels(config.reg_max),
            depth=config.tower_depth,
            norm=config.norm,
            depthwise=config.depthwise,
            towers=config.towers,
        )
        self.spec = self.trunk.dense_spec(classes, grid, config.reg_max)

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return the dense predictions for a pyramid."""
        maps = self.dense_head(features)
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        decoder = _decode if self.config.reg_max is None else None
        return raw_output(features, maps.classes, maps.boxes, self.spec.priors, canvas_hw, decoder=decoder)

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by IoU: positive from 0.5, background below 0.4, ignored in between."""
        return assign_batch(raw, batch, lambda r, boxes: max_iou(r.priors_xyxy, boxes))

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the focal loss of the classes and the losses of the boxes, divided by the normaliser."""
        focal = focal_rows(raw.class_logits, assignment.labels) * assignment.weights
        terms = {
            "focal": focal.sum() / assignment.normaliser,
            "box": self._box_rows(raw, assignment).sum() / assignment.normaliser,
        }
        if raw.box_logits is not None:
            distribution = distribution_rows(raw, assignment).sum()
            terms["distribution_focal"] = DISTRIBUTION_WEIGHT * distribution / SIDES / assignment.normaliser
        return terms

    def _box_rows(self, raw: DenseRaw2D, assignment: DenseAssignment2D) -> Tensor:
        """Return the box loss of every positive, (P,)."""
        positive = assignment.positive(raw.class_logits.shape[2])
        predicted, target = raw.boxes_xyxy[positive], assignment.boxes_xyxy[positive]
        if self.config.box_loss == "giou":
            return iou_rows(predicted, target, "giou")
        priors = raw.priors_xyxy.expand(*positive.shape, 4)[positive]
        return (encode_deltas(predicted, priors) - encode_deltas(target, priors)).abs().sum(dim=1)


def _decode(deltas: Tensor, priors_xyxy: Tensor, strides: Tensor) -> Tensor:
    return decode_deltas(deltas, priors_xyxy)

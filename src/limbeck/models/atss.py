"""ATSS: dense detection with one anchor per cell and adaptive assignment (arXiv 1912.02424)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import DenseDetectorConfig, assign_batch
from limbeck.core.dense_heads import box_channels, centerness_losses, raw_output
from limbeck.core.model import DenseSpec2D
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.nn.heads import DenseHead, Norm
from limbeck.nn.pyramid_detector import PyramidDetector
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import decode_deltas
from limbeck.ops.pyramid import PriorGrid

BOX_WEIGHT = 2.0
DELTA_SCALES = (0.1, 0.1, 0.2, 0.2)
"""Shift and log size of a box per unit of the head's output, so that all four are of like size."""


class ATSS(PyramidDetector[DenseRaw2D, DenseAssignment2D]):
    """ATSS detector: one square prior per cell, ATSS assignment, focal loss and a centerness branch.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DenseDetectorConfig):
        """Settings; the defaults are those of the released ATSS configuration."""

        model: Literal["atss"] = "atss"
        norm: Norm = "group"
        reg_max: int | None = Field(None, ge=1)
        prior_scale: float = Field(8.0, gt=0)
        topk: int = Field(9, ge=1)

    config: Config
    spec: DenseSpec2D

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__(config)
        self.dense_head = DenseHead(
            config.channels,
            len(classes),
            box_channels(config.reg_max),
            depth=config.tower_depth,
            norm=config.norm,
            depthwise=config.depthwise,
            towers=config.towers,
            level_scales=len(config.strides),
            centerness=True,
        )
        priors = PriorGrid(config.strides, scales=(config.prior_scale,))
        self.spec = self.trunk.dense_spec(classes, priors, config.reg_max)

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return the dense predictions for a pyramid."""
        maps = self.dense_head(features)
        return raw_output(
            features,
            maps.classes,
            maps.boxes,
            self.spec.priors,
            (batch.images.shape[2], batch.images.shape[3]),
            decoder=_decode if self.config.reg_max is None else None,
            centerness_maps=maps.centerness,
        )

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by ATSS."""
        return assign_batch(
            raw, batch, lambda r, boxes: atss(r.priors_xyxy, r.level_sizes, boxes, topk=self.config.topk)
        )

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of `limbeck.core.dense_heads.centerness_losses`."""
        return centerness_losses(raw, assignment, BOX_WEIGHT)


def _decode(deltas: Tensor, priors_xyxy: Tensor, strides: Tensor) -> Tensor:
    """Return the boxes of deltas in units of `DELTA_SCALES`."""
    return decode_deltas(deltas * deltas.new_tensor(DELTA_SCALES), priors_xyxy)

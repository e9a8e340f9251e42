"""What GFL and its kin share: one square prior per cell, ATSS assignment, box sides as distributions."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import DenseDetectorConfig, assign_batch
from limbeck.core.dense_heads import box_channels, raw_output
from limbeck.core.model import DenseSpec2D
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.nn.heads import DenseHead, Norm
from limbeck.nn.pyramid_detector import PyramidDetector
from limbeck.ops.assign2d import atss
from limbeck.ops.pyramid import PriorGrid


class DistributionDetectorConfig(DenseDetectorConfig):
    """Settings that these detectors share."""

    reg_max: int = Field(16, ge=1)
    prior_scale: float = Field(8.0, gt=0)
    topk: int = Field(9, ge=1)


class DistributionDetector(PyramidDetector[DenseRaw2D, DenseAssignment2D]):
    """A detector on a pyramid, all but its losses. Abstract.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
        norm: Norm in plain towers.
    """

    config: DistributionDetectorConfig
    spec: DenseSpec2D

    def __init__(self, config: DistributionDetectorConfig, classes: tuple[str, ...], norm: Norm) -> None:
        super().__init__(config)
        self.dense_head = DenseHead(
            config.channels,
            len(classes),
            box_channels(config.reg_max),
            depth=config.tower_depth,
            norm=norm,
            depthwise=config.depthwise,
            towers=config.towers,
            level_scales=len(config.strides),
        )
        priors = PriorGrid(config.strides, scales=(config.prior_scale,))
        self.spec = self.trunk.dense_spec(classes, priors, config.reg_max)

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

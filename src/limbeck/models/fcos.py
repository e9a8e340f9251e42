"""FCOS: dense detection from points, without anchors (arXiv 1904.01355, improved in 2006.09214)."""

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
from limbeck.ops.assign2d import fcos
from limbeck.ops.boxes2d import centres, decode_distances
from limbeck.ops.pyramid import PriorGrid

BOX_WEIGHT = 1.0


class FCOS(PyramidDetector[DenseRaw2D, DenseAssignment2D]):
    """FCOS detector: one point per cell, assigned by size and by nearness to the centre, with a centerness branch.

    FCOS has no anchors. Its priors are squares around the points; nothing but their centres is used here, and they let
    methods compare it with heads that have one square prior per cell.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(DenseDetectorConfig):
        """Settings; the defaults are those of the improved FCOS."""

        model: Literal["fcos"] = "fcos"
        norm: Norm = "group"
        reg_max: int | None = Field(None, ge=1)
        prior_scale: float = Field(8.0, gt=0)
        prior_offset: float = Field(0.5, ge=0, le=1)
        sampling_radius: float = Field(1.5, gt=0)

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
        priors = PriorGrid(config.strides, scales=(config.prior_scale,), offset=config.prior_offset)
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
        """Assign by regression range and centre sampling."""
        radius = self.config.sampling_radius
        return assign_batch(
            raw, batch, lambda r, boxes: fcos(centres(r.priors_xyxy), r.level_sizes, r.strides, boxes, radius)
        )

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of `limbeck.core.dense_heads.centerness_losses`."""
        return centerness_losses(raw, assignment, BOX_WEIGHT)


def _decode(distances_ltrb: Tensor, priors_xyxy: Tensor, strides: Tensor) -> Tensor:
    """Return the boxes of distances in strides; a negative one counts as 0, as in the release with its improvements."""
    return decode_distances(centres(priors_xyxy), distances_ltrb.relu() * strides)

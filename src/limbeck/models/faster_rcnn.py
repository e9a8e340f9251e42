"""Faster R-CNN: proposals, and a second look at each of them (arXiv 1506.01497, with FPN 1612.03144)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.rpn import RPNHead

from limbeck.core.dense2d import Postprocess, PyramidConfig
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.core.two_stage2d import (
    Draw,
    Samples2D,
    TwoStageAssignment2D,
    TwoStageRaw2D,
    sample_anchors,
    sample_rois,
)
from limbeck.nn.pyramid_detector import PyramidDetector
from limbeck.nn.pyramid_net import COARSEST_BACKBONE_STRIDE
from limbeck.nn.roi_head import RoiHead
from limbeck.ops.boxes2d import decode_deltas, encode_deltas
from limbeck.ops.precision import at_least_float32
from limbeck.ops.proposals import pool_rois, select_proposals
from limbeck.ops.pyramid import PriorGrid, flatten_levels


class Rpn(BaseModel):
    """Settings of the first stage, the region proposal network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prior_scale: float = Field(8.0, gt=0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    foreground_iou: float = Field(0.7, gt=0, le=1)
    background_iou: float = Field(0.3, ge=0, le=1)
    samples: int = Field(256, ge=1)
    foreground_share: float = Field(0.5, gt=0, le=1)
    train_pre_nms: int = Field(2000, ge=1)
    test_pre_nms: int = Field(1000, ge=1)
    nms_iou: float = Field(0.7, gt=0, le=1)
    proposals: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Rpn:
        if self.background_iou > self.foreground_iou:
            raise ValueError("background_iou must not be above foreground_iou")
        return self


class Roi(BaseModel):
    """Settings of the second stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pooled_size: int = Field(7, ge=1)
    canonical_size: float = Field(224.0, gt=0)
    hidden: int = Field(1024, ge=1)
    foreground_iou: float = Field(0.5, gt=0, le=1)
    samples: int = Field(512, ge=1)
    foreground_share: float = Field(0.25, gt=0, le=1)
    delta_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)


class FasterRCNN(PyramidDetector[TwoStageRaw2D, TwoStageAssignment2D]):
    """Faster R-CNN detector with FPN.

    The RPN works on all levels, the second stage on those that come from the backbone.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(PyramidConfig):
        """Settings; the defaults are those of detectron2's Faster R-CNN with FPN."""

        model: Literal["faster_rcnn"] = "faster_rcnn"
        strides: tuple[int, ...] = (4, 8, 16, 32, 64)
        rpn: Rpn = Rpn()
        roi: Roi = Roi()
        postprocess: Postprocess = Postprocess(nms_iou=0.5)

    config: Config

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__(config)
        self.grid = PriorGrid(config.strides, scales=(config.rpn.prior_scale,), ratios=config.rpn.ratios)
        self.roi_strides = tuple(stride for stride in config.strides if stride <= COARSEST_BACKBONE_STRIDE)
        self.rpn = RPNHead(config.channels, self.grid.per_cell)
        self.roi_head = RoiHead(config.channels * config.roi.pooled_size**2, config.roi.hidden, len(classes))
        self.spec = self.trunk.spec(classes)

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> TwoStageRaw2D:
        """Return what both stages say of a pyramid.

        In training the RoIs are drawn from the proposals and the objects of the batch, by torch's global generator; in
        evaluation they are the best proposals, and the objects are not looked at.
        """
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        objectness_maps, delta_maps = self.rpn(features)
        objectness = at_least_float32(flatten_levels(objectness_maps, self.grid.per_cell)).squeeze(2)
        deltas = at_least_float32(flatten_levels(delta_maps, self.grid.per_cell))
        sizes_hw = [(level.shape[2], level.shape[3]) for level in features]
        priors = self.grid.boxes_xyxy(sizes_hw, device=deltas.device, dtype=deltas.dtype)
        level_sizes = tuple(h * w * self.grid.per_cell for h, w in sizes_hw)
        rois, used = self._proposals(objectness.detach(), deltas.detach(), priors, level_sizes, canvas_hw)
        sampled: Samples2D | None = None
        if self.training:
            rois, used, sampled = sample_rois(rois, used, batch, self._roi_draw(), len(self.spec.classes))
        class_logits, box_deltas = self._second_look(features, rois)
        return TwoStageRaw2D(
            features=features,
            class_logits=class_logits,
            box_deltas=box_deltas,
            delta_weights=self.config.roi.delta_weights,
            rois_xyxy=rois,
            roi_used=used,
            objectness_logits=objectness,
            proposal_deltas=deltas,
            priors_xyxy=priors,
            level_sizes=level_sizes,
            strides=self.config.strides,
            canvas_hw=canvas_hw,
            sampled=sampled,
        )

    def _proposals(
        self,
        objectness: Tensor,
        deltas: Tensor,
        priors: Tensor,
        level_sizes: tuple[int, ...],
        canvas_hw: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        settings = self.config.rpn
        return select_proposals(
            objectness,
            decode_deltas(deltas, priors),
            level_sizes,
            canvas_hw,
            pre_nms=settings.train_pre_nms if self.training else settings.test_pre_nms,
            nms_iou=settings.nms_iou,
            keep=settings.proposals,
        )

    def _second_look(self, features: list[Tensor], rois_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (B,P,K+1) and coded boxes (B,P,K,4) of RoIs (B,P,4)."""
        settings, places = self.config.roi, rois_xyxy.shape[1]
        pooled, row = pool_rois(
            features[: len(self.roi_strides)],
            rois_xyxy,
            self.roi_strides,
            size=settings.pooled_size,
            canonical_size=settings.canonical_size,
        )
        class_logits, box_deltas = self.roi_head(pooled)
        return class_logits[row].unflatten(0, (-1, places)), box_deltas[row].unflatten(0, (-1, places))

    def _anchor_draw(self) -> Draw:
        settings = self.config.rpn
        matcher = Matcher(settings.foreground_iou, settings.background_iou, allow_low_quality_matches=True)
        return Draw(matcher, settings.samples, settings.foreground_share)

    def _roi_draw(self) -> Draw:
        settings = self.config.roi
        matcher = Matcher(settings.foreground_iou, settings.foreground_iou)
        return Draw(matcher, settings.samples, settings.foreground_share)

    def assign(self, raw: TwoStageRaw2D, batch: Batch[Boxes2D]) -> TwoStageAssignment2D:
        """Draw the anchors to train on; the RoIs were drawn by the head.

        An anchor is an object's from IoU 0.7, or if none overlaps that object more, and background below 0.3.

        Raises:
            ValueError: The raw output was made in evaluation mode, in which no RoIs are drawn.
        """
        if raw.sampled is None:
            raise ValueError("a two-stage detector draws its RoIs in training mode only: call train() before the model")
        foreground = (raw.sampled.labels < len(self.spec.classes)).sum().to(raw.class_logits.dtype)
        normaliser = mean_over_processes(foreground.clamp(min=1)).clamp(min=1)
        anchors = sample_anchors(raw.priors_xyxy, batch, self._anchor_draw())
        return TwoStageAssignment2D(normaliser, anchors, raw.sampled)

    def losses(self, raw: TwoStageRaw2D, assignment: TwoStageAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of both stages, in this process divided by its anchors and by its RoIs."""
        anchors, rois = assignment.anchors, assignment.rois
        num_anchors = self.config.rpn.samples * len(batch.targets)
        num_rois = raw.roi_used.sum().clamp(min=1)
        is_object = (anchors.labels == 0).to(raw.objectness_logits.dtype)
        objectness = functional.binary_cross_entropy_with_logits(raw.objectness_logits, is_object, reduction="none")
        classes = functional.cross_entropy(raw.class_logits.flatten(0, 1), rois.labels.flatten(), reduction="none")
        return {
            "rpn_objectness": (objectness * anchors.weights).sum() / num_anchors,
            "rpn_box": _anchor_rows(raw, anchors).sum() / num_anchors,
            "roi_class": (classes * rois.weights.flatten()).sum() / num_rois,
            "roi_box": _roi_rows(raw, rois).sum() / num_rois,
        }


def _anchor_rows(raw: TwoStageRaw2D, anchors: Samples2D) -> Tensor:
    """Return the weighted L1 loss of the coded box of every anchor that answers for an object, (F,)."""
    positive = anchors.labels == 0
    priors = raw.priors_xyxy.expand(*positive.shape, 4)[positive]
    difference = raw.proposal_deltas[positive] - encode_deltas(anchors.boxes_xyxy[positive], priors)
    return difference.abs().sum(dim=1) * anchors.weights[positive]


def _roi_rows(raw: TwoStageRaw2D, rois: Samples2D) -> Tensor:
    """Return the weighted L1 loss of the coded box, that of the object's class, of every RoI of an object, (F,)."""
    positive = rois.labels < raw.box_deltas.shape[2]
    labels = rois.labels[positive]
    predicted = raw.box_deltas[positive][torch.arange(len(labels), device=labels.device), labels]
    target = encode_deltas(rois.boxes_xyxy[positive], raw.rois_xyxy[positive])
    difference = predicted - target * target.new_tensor(raw.delta_weights)
    return difference.abs().sum(dim=1) * rois.weights[positive]

"""torchvision's RetinaNet as a limbeck model, so that its checkpoints can teach, be distilled and be exported."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.ops import box_iou

from limbeck.core.dense2d import assign_batch
from limbeck.core.model import DenseSpec2D, Model
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import focal_rows
from limbeck.nn.backbones import Normalise
from limbeck.nn.torchvision_detector import (
    CHANNELS,
    STRIDES,
    TorchvisionConfig,
    anchors_xyxy,
    detector_spec,
    resnet_fpn,
)
from limbeck.ops.assign2d import BACKGROUND
from limbeck.ops.boxes2d import decode_deltas, encode_deltas
from limbeck.ops.precision import at_least_float32
from limbeck.ops.pyramid import PriorGrid

GRID = PriorGrid(STRIDES, scales=(4.0, 4.0 * 2 ** (1 / 3), 4.0 * 2 ** (2 / 3)), ratios=(0.5, 1.0, 2.0))
"""The anchors of the paper, as limbeck's own RetinaNet has them; torchvision rounds their sides to whole pixels."""


class TorchvisionRetinaNet(Model[Boxes2D, DenseRaw2D, DenseAssignment2D, Detections2D]):
    """An unmodified ``torchvision.models.detection.RetinaNet`` behind limbeck's contract.

    Its transform is not used: limbeck fits the image onto the canvas, and the mean is subtracted here.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.

    Attributes:
        net: torchvision's detector; ``net.load_state_dict`` takes a torchvision checkpoint.

    Raises:
        CheckpointError: Pretrained weights were asked for and cannot be had.
    """

    class Config(TorchvisionConfig):
        """Settings; version 1 is ``retinanet_resnet50_fpn``, version 2 ``retinanet_resnet50_fpn_v2``."""

        model: Literal["torchvision_retinanet"] = "torchvision_retinanet"
        version: Literal[1, 2] = 1

    spec: DenseSpec2D

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        improved = config.version == 2
        norm_layer = partial(nn.GroupNorm, 32) if improved else None
        num_classes = len(classes) + config.first_label
        head = RetinaNetHead(CHANNELS, GRID.per_cell, num_classes, norm_layer=norm_layer)
        self.normalise = Normalise()
        self.net = RetinaNet(resnet_fpn(config, p6_from_c5=improved), num_classes, head=head)
        self.spec = detector_spec(classes, GRID)

    def features(self, batch: Batch[Boxes2D]) -> list[Tensor]:
        """Return the pyramid, (B,256,H_l,W_l) per level."""
        return list(self.net.backbone(self.normalise(batch.images)).values())

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return the dense predictions for a pyramid; the logit of a background label is left out."""
        out = self.net.head(features)
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        priors = anchors_xyxy(self.net.anchor_generator, features, canvas_hw)
        return DenseRaw2D(
            features=features,
            class_logits=at_least_float32(out["cls_logits"][..., self.config.first_label :]),
            boxes_xyxy=decode_deltas(out["bbox_regression"], priors),
            box_logits=None,
            priors_xyxy=priors,
            level_sizes=tuple(level.shape[2] * level.shape[3] * GRID.per_cell for level in features),
            strides=STRIDES,
            canvas_hw=canvas_hw,
        )

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by torchvision's own matcher: positive from IoU 0.5, background below 0.4, ignored in between.

        An object's best anchors are positive however small their IoU, but for the object that *they* overlap most.
        """
        return assign_batch(raw, batch, self._match)

    def _match(self, raw: DenseRaw2D, boxes_xyxy: Tensor) -> Tensor:
        """Return (N,): index into boxes (M,4), or -1 and -2, which mean the same in torchvision and limbeck."""
        if len(boxes_xyxy) == 0:
            return torch.full((len(raw.priors_xyxy),), BACKGROUND, device=raw.priors_xyxy.device)
        matches: Tensor = self.net.proposal_matcher(box_iou(boxes_xyxy, raw.priors_xyxy))
        return matches

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the focal loss of the classes and the loss of the boxes.

        As in torchvision each image is divided by its own number of positives, and the mean over the images is taken.
        """
        positive = assignment.positive(raw.class_logits.shape[2])
        share = 1 / (len(positive) * positive.sum(dim=1, keepdim=True).clamp(min=1))
        focal = focal_rows(raw.class_logits, assignment.labels) * assignment.weights
        return {
            "focal": (focal * share).sum(),
            "box": (self._box_rows(raw, assignment, positive) * share.expand_as(positive)[positive]).sum(),
        }

    def _box_rows(self, raw: DenseRaw2D, assignment: DenseAssignment2D, positive: Tensor) -> Tensor:
        """Return the box loss of every positive, (P,): of the coded offsets, in version 2 of the boxes."""
        predicted, target = raw.boxes_xyxy[positive], assignment.boxes_xyxy[positive]
        if self.config.version == 2:
            return iou_rows(predicted, target, "giou")
        priors = raw.priors_xyxy.expand(*positive.shape, 4)[positive]
        return (encode_deltas(predicted, priors) - encode_deltas(target, priors)).abs().sum(dim=1)

    def predict(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the detections of every image, boxes in pixels of the original image."""
        return self.config.postprocess.detections(raw, batch)

"""torchvision's FCOS as a limbeck model, so that its checkpoints can teach, be distilled and be exported."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.models.detection.fcos import FCOS

from limbeck.core.dense2d import assign_batch
from limbeck.core.model import DenseSpec2D, Model
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import centerness, focal_rows
from limbeck.nn.backbones import Normalise
from limbeck.nn.torchvision_detector import STRIDES, TorchvisionConfig, anchors_xyxy, detector_spec, resnet_fpn
from limbeck.ops.assign2d import fcos
from limbeck.ops.boxes2d import centres, decode_distances
from limbeck.ops.precision import at_least_float32
from limbeck.ops.pyramid import PriorGrid

GRID = PriorGrid(STRIDES, scales=(1.0,))
"""A square of the size of a cell around every point; the points are the upper left corners of the cells."""


class TorchvisionFCOS(Model[Boxes2D, DenseRaw2D, DenseAssignment2D, Detections2D]):
    """An unmodified ``torchvision.models.detection.FCOS`` behind limbeck's contract.

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
        """Settings; the detector is that of ``fcos_resnet50_fpn``."""

        model: Literal["torchvision_fcos"] = "torchvision_fcos"

    spec: DenseSpec2D

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise()
        self.net = FCOS(resnet_fpn(config), len(classes) + config.first_label)
        self.spec = detector_spec(classes, GRID)

    def features(self, batch: Batch[Boxes2D]) -> list[Tensor]:
        """Return the pyramid, (B,256,H_l,W_l) per level."""
        return list(self.net.backbone(self.normalise(batch.images)).values())

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return the dense predictions for a pyramid; the logit of a background label is left out."""
        out = self.net.head(features)
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        priors = anchors_xyxy(self.net.anchor_generator, features, canvas_hw)
        raw = DenseRaw2D(
            features=features,
            class_logits=at_least_float32(out["cls_logits"][..., self.config.first_label :]),
            boxes_xyxy=priors,
            box_logits=None,
            priors_xyxy=priors,
            level_sizes=tuple(level.shape[2] * level.shape[3] for level in features),
            strides=STRIDES,
            canvas_hw=canvas_hw,
            centerness_logits=at_least_float32(out["bbox_ctrness"].squeeze(2)),
        )
        distances = at_least_float32(out["bbox_regression"]) * raw.location_strides[:, None]
        raw.boxes_xyxy = decode_distances(centres(priors), distances)
        return raw

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by centre sampling within 1.5 strides and by the range of distances of each level."""
        points = centres(raw.priors_xyxy)
        return assign_batch(raw, batch, lambda r, boxes: fcos(points, r.level_sizes, r.strides, boxes))

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the terms of classes, boxes and centerness, each divided by the batch's number of positives.

        As in torchvision the GIoU loss is not weighted by the centerness.
        """
        assert raw.centerness_logits is not None
        positive = assignment.positive(raw.class_logits.shape[2])
        count = positive.sum().clamp(min=1)
        target = assignment.boxes_xyxy[positive]
        central = centerness(centres(raw.priors_xyxy).expand(*positive.shape, 2)[positive], target)
        rated = binary_cross_entropy_with_logits(raw.centerness_logits[positive], central, reduction="sum")
        return {
            "focal": (focal_rows(raw.class_logits, assignment.labels) * assignment.weights).sum() / count,
            "box": iou_rows(raw.boxes_xyxy[positive], target, "giou").sum() / count,
            "centerness": rated / count,
        }

    def predict(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the detections of every image, boxes in pixels of the original image."""
        return self.config.postprocess.detections(raw, batch)

"""What comes out of a model: raw output, assignment, detections.

The three are separate calls (the DETR split): raw output, then losses, then post-processing. A frozen teacher in eval
mode can thus give the dense logits that distillation needs. The classes are not frozen because precision plugins
rebuild them field by field; treat them as immutable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.core.samples import IGNORED_LABEL
from limbeck.ops.detections import select_detections


@dataclass(slots=True)
class RawOutput:
    """Dense predictions before any decision.

    Attributes:
        features: The maps the head worked on, (B,C,H_l,W_l) each, for feature distillation.
    """

    features: list[Tensor]


@dataclass(slots=True)
class DetectorRaw2D(RawOutput, ABC):
    """What any 2D detector gives: class logits, and a way from them to the final boxes. Abstract.

    Attributes:
        class_logits: (B,N,...) logits of the classes of each of its N boxes.
    """

    class_logits: Tensor

    @abstractmethod
    def select(
        self, *, score_threshold: float, nms_iou: float, pre_nms: int, max_detections: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (B,D,4) in canvas pixels, scores (B,D) and labels (B,D); unused places have score 0.

        The settings are those of `limbeck.core.dense2d.Postprocess`.
        """


@dataclass(slots=True)
class DenseRaw2D(DetectorRaw2D):
    """The one flattened view that every dense 2D head gives, so that a distillation loss works on all of them.

    N runs over the locations of all levels in the order level, row, column, anchor (see `ops.pyramid`).

    Attributes:
        class_logits: (B,N,K) independent sigmoid logits, of the class alone where the head also rates centerness.
        boxes_xyxy: (B,N,4) decoded boxes in pixels of the network's input.
        box_logits: (B,N,4,R+1) logits of the side distributions left, top, right, bottom; None for other heads.
        priors_xyxy: (N,4) prior boxes in pixels.
        level_sizes: Locations per level; they add up to N.
        strides: Pixels per cell, per level.
        canvas_hw: Height and width of the network's input in pixels.
        centerness_logits: (B,N) logits of how central a location is in its object; None for heads that do not say. The
            score of a detection is then sqrt(class score * centerness).
    """

    boxes_xyxy: Tensor
    box_logits: Tensor | None
    priors_xyxy: Tensor
    level_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    canvas_hw: tuple[int, int]
    centerness_logits: Tensor | None = None

    @property
    def location_strides(self) -> Tensor:
        """The stride of every location, (N,) float."""
        sizes = torch.tensor(self.level_sizes, device=self.priors_xyxy.device)
        return self.priors_xyxy.new_tensor(self.strides).repeat_interleave(sizes)

    def select(
        self, *, score_threshold: float, nms_iou: float, pre_nms: int, max_detections: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the final boxes, scores and labels by `select_detections`."""
        return select_detections(
            self.class_logits,
            self.boxes_xyxy,
            self.canvas_hw,
            centerness_logits=self.centerness_logits,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            pre_nms=pre_nms,
            max_detections=max_detections,
        )


@dataclass(slots=True)
class Assignment:
    """Which prediction answers for which object.

    Attributes:
        normaliser: Scalar; the number of positives of the batch, at least 1, averaged over the processes.
    """

    normaliser: Tensor


@dataclass(slots=True)
class DenseAssignment2D(Assignment):
    """Assignment of a dense 2D detector.

    Attributes:
        labels: (B,N) int64: class of a positive location, K (the number of classes) for background.
        weights: (B,N) float: the object's weight for positives (mostly 1), 1 for negatives, 0 for ignored locations.
        boxes_xyxy: (B,N,4) target box of a positive location in pixels, zeros elsewhere.
    """

    labels: Tensor
    weights: Tensor
    boxes_xyxy: Tensor

    def positive(self, num_classes: int) -> Tensor:
        """Return (B,N) bool: locations that answer for an object."""
        return self.labels < num_classes


@dataclass(slots=True)
class Detections2D:
    """Final detections of one image, best first.

    Attributes:
        boxes_xyxy: (D,4) float, pixels of the original image.
        scores: (D,) in [0, 1].
        labels: (D,) int64, index into the class list.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.boxes_xyxy.shape[0]


@dataclass(slots=True)
class SegmentationRaw(RawOutput):
    """What any semantic segmenter gives.

    Attributes:
        class_logits: (B,K,H,W) softmax logits at the size of the network's canvas.
    """

    class_logits: Tensor


@dataclass(slots=True)
class SegmentationAssignment(Assignment):
    """Assignment of a segmenter: every pixel answers for its own label.

    Attributes:
        normaliser: Scalar; the sum of the weights of the batch, averaged over the processes, and never 0.
        labels: (B,H,W) int64, index into the classes, or `IGNORED_LABEL`.
        weights: (B,H,W) float: the weight of the pixel's class (mostly 1), 0 for ignored pixels.
    """

    labels: Tensor
    weights: Tensor

    @property
    def valid(self) -> Tensor:
        """(B,H,W) bool: pixels that count."""
        return self.labels != IGNORED_LABEL


@dataclass(slots=True)
class Segmentation:
    """The final answer for one image, at the size of the original image.

    Attributes:
        labels: (H,W) uint8, index into the class list.
        confidence: (H,W) float32 in [0, 1], softmax probability of that class.
    """

    labels: Tensor
    confidence: Tensor


@dataclass(slots=True)
class Detections3D:
    """Final detections of one point cloud, best first, in the frame of the LiDAR.

    Attributes:
        boxes: (D,7) float, coded as in `limbeck.core.samples.Boxes3D`.
        scores: (D,) in [0, 1].
        labels: (D,) int64, index into the class list.
        velocities: (D,2) float, metres per second along x and y; None where the model does not say.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    velocities: Tensor | None = None

    def __len__(self) -> int:
        return self.boxes.shape[0]

"""What all dense 2D detectors share: settings, the assignment of a batch and the final detections."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from limbeck.core.backbone_name import BackboneName
from limbeck.core.model import DenseSpec2D, ModelConfig, ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D, DetectorRaw2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Batch, Boxes2D
from limbeck.errors import IncompatibleError
from limbeck.imaging import Fit
from limbeck.ops.assign2d import IGNORED
from limbeck.ops.boxes2d import centred_in

Neck = Literal["fpn", "hkn", "hkn_release", "mlp", "mlp_release"]
Towers = Literal["plain", "hkh"]


class Postprocess(BaseModel):
    """Settings of the last step, from dense scores to final boxes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score_threshold: float = Field(0.05, ge=0, lt=1)
    nms_iou: float = Field(0.6, gt=0, le=1)
    pre_nms: int = Field(1000, ge=1)
    max_detections: int = Field(100, ge=1)

    def select(self, raw: DetectorRaw2D) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (B,D,4) in canvas pixels, scores (B,D) and labels (B,D); unused places have score 0."""
        return raw.select(
            score_threshold=self.score_threshold,
            nms_iou=self.nms_iou,
            pre_nms=self.pre_nms,
            max_detections=self.max_detections,
        )

    def detections(self, raw: DetectorRaw2D, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the final detections of every image, boxes in pixels of the original image."""
        return [
            _to_image(boxes[score > 0], score[score > 0], label[score > 0], frame.fit)
            for boxes, score, label, frame in zip(*self.select(raw), batch.frames, strict=True)
        ]


class PyramidConfig(ModelConfig):
    """Settings of detectors that work on a feature pyramid."""

    backbone: BackboneName = "resnet50"
    pretrained: bool = False
    frozen_stem: bool = False
    neck: Neck = "fpn"
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    channels: int = Field(256, ge=8)
    depthwise: bool = False
    postprocess: Postprocess = Postprocess()

    @field_validator("strides")
    @classmethod
    def _strides_double(cls, strides: tuple[int, ...]) -> tuple[int, ...]:
        doubling = all(coarse == 2 * fine for fine, coarse in pairwise(strides))
        if not strides or strides[0] not in (4, 8, 16, 32) or not doubling:
            raise ValueError("strides must start at 4, 8, 16 or 32 and double from level to level, as in [8, 16, 32]")
        return strides


class DenseDetectorConfig(PyramidConfig):
    """Settings that all dense 2D detectors share."""

    towers: Towers = "plain"
    tower_depth: int = Field(4, ge=0)


def _to_image(boxes: Tensor, scores: Tensor, labels: Tensor, fit: Fit | None) -> Detections2D:
    if fit is not None:
        boxes = torch.from_numpy(fit.to_image(boxes.float().cpu().numpy())).to(boxes.device)
    return Detections2D(boxes, scores, labels)


def assign_batch(
    raw: DenseRaw2D, batch: Batch[Boxes2D], assigner: Callable[[DenseRaw2D, Tensor], Tensor]
) -> DenseAssignment2D:
    """Assign every image of a batch.

    Locations whose prior is centred in an ignore region, and those that the assigner leaves undecided, get weight 0
    unless they answer for an object. A location that does has the weight of its object.

    Args:
        raw: Raw output; only its priors and shapes are looked at.
        batch: The batch with its labelled boxes.
        assigner: Takes the raw output and the boxes (M,4) of one image and returns (N,): index of the object that a
            location answers for, -1 for background, `IGNORED`.
    """
    rows = [_assign_image(raw, target, assigner) for target in batch.targets]
    labels, weights, boxes = (torch.stack(parts) for parts in zip(*rows, strict=True))
    positives = (labels < raw.class_logits.shape[2]).sum(dim=1)
    count = positives.clamp(min=1).sum().to(raw.class_logits.dtype)
    return DenseAssignment2D(mean_over_processes(count).clamp(min=1), labels, weights, boxes)


def _assign_image(
    raw: DenseRaw2D, target: Boxes2D, assigner: Callable[[DenseRaw2D, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    num_classes, objects = raw.class_logits.shape[2], target.objects()
    boxes = objects.boxes_xyxy.to(raw.priors_xyxy.dtype)
    index = assigner(raw, boxes)
    positive = index >= 0
    labels = torch.full_like(index, num_classes)
    labels[positive] = objects.labels[index[positive]]
    ignored = ~positive & ((index == IGNORED) | centred_in(raw.priors_xyxy, target.boxes_xyxy[target.ignore]))
    target_boxes = torch.zeros_like(raw.priors_xyxy)
    target_boxes[positive] = boxes[index[positive]]
    weights = (~ignored).to(raw.priors_xyxy.dtype)
    if objects.weights is not None:
        weights[positive] *= objects.weights[index[positive]].to(weights.dtype)
    return labels, weights, target_boxes


def positive_scores(class_logits: Tensor, offset: float = 2e-4) -> Tensor:
    """Return the best class score of every row (P,K) plus an offset, detached: the weight of a positive in GFL and LD.

    The released BCKD fork adds 1e-4 twice; the golden numbers hold it. HSD adds nothing.
    """
    return class_logits.detach().sigmoid().amax(dim=1) + offset


def check_same_locations(method: str, student: ModelSpec, teacher: ModelSpec | None) -> None:
    """Refuse a teacher whose location i or class j is not the student's location i or class j.

    Raises:
        IncompatibleError: There is no teacher, or its task, classes or priors differ.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none was given.")
    if not isinstance(student, DenseSpec2D) or not isinstance(teacher, DenseSpec2D):
        raise IncompatibleError(f"The method '{method}' needs dense 2D detectors as teacher and as student.")
    if student.classes != teacher.classes:
        raise IncompatibleError(
            f"The method '{method}' needs the same classes in the same order; the teacher has {list(teacher.classes)} "
            f"and the student {list(student.classes)}."
        )
    if student.priors != teacher.priors:
        raise IncompatibleError(
            f"The method '{method}' compares location by location and needs equal priors; the teacher has "
            f"{teacher.priors} and the student {student.priors}.",
            hint="give both the same strides and the same head, or heads that are alike in prior_scale and offset "
            "(gfl, atss, hsd_fti_fdet, and fcos with prior_offset 0.0)",
        )


def check_same_bins(method: str, student: ModelSpec, teacher: ModelSpec | None) -> None:
    """Refuse heads whose side distributions are not over the same bins.

    Raises:
        IncompatibleError: They differ, or a head has none.
    """
    bins = [spec.reg_max for spec in (teacher, student) if isinstance(spec, DenseSpec2D)]
    if None in bins or bins[0] != bins[1]:
        raise IncompatibleError(
            f"The method '{method}' compares side distributions and needs the same reg_max in both heads; the teacher "
            f"has {bins[0]} and the student {bins[1]} (None means that the head has no distributions)."
        )


def check_same_outputs(method: str, student: DenseRaw2D, teacher: DenseRaw2D | None) -> DenseRaw2D:
    """Return the teacher's output if it has the student's locations and classes.

    Raises:
        IncompatibleError: It is missing or its shape differs, for example because it saw another image size.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none ran.")
    if student.level_sizes != teacher.level_sizes or student.class_logits.shape != teacher.class_logits.shape:
        raise IncompatibleError(
            f"The method '{method}' compares location by location; the teacher gave {tuple(teacher.class_logits.shape)}"
            f" class logits on levels of {teacher.level_sizes}, the student {tuple(student.class_logits.shape)} on "
            f"{student.level_sizes}."
        )
    return teacher


def side_logits(method: str, student: DenseRaw2D, teacher: DenseRaw2D) -> tuple[Tensor, Tensor]:
    """Return the logits of the side distributions (B,N,4,R+1) of both.

    Raises:
        IncompatibleError: A head gives none.
    """
    if student.box_logits is None or teacher.box_logits is None:
        raise IncompatibleError(f"The method '{method}' needs heads that give side distributions (box_logits).")
    return student.box_logits, teacher.box_logits

"""What all semantic segmenters share: settings, the assignment of a batch, the supervised loss, the final class map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.core.backbone_name import BackboneName
from limbeck.core.model import Model, ModelConfig, ModelSpec
from limbeck.core.outputs import Segmentation, SegmentationAssignment, SegmentationRaw
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import IGNORED_LABEL, Batch, Frame, SemanticMask
from limbeck.errors import IncompatibleError
from limbeck.ops.precision import at_least_float32


class SegmenterConfig(ModelConfig):
    """Settings that all segmenters share.

    Attributes:
        backbone: Any timm model with feature maps, or one of limbeck's own.
        pretrained: Start from timm's weights.
        rgb_norm: ``imagenet`` subtracts the mean and divides by the deviation of ImageNet, ``unit`` divides by 255.
        x: The modality that is read beside the image, by the name it has in the data; None for the image alone.
        x_channels: Channels of that modality: 3 for surface normals, else 1.
        x_norm: ``batch`` brings each channel of X to mean 0 and variance 1 by a batch norm without weights of its own,
            whose statistics travel with the model; ``none`` takes X as it is.
    """

    backbone: BackboneName = "resnet18"
    pretrained: bool = False
    rgb_norm: Literal["imagenet", "unit"] = "imagenet"
    x: str | None = None
    x_channels: Literal[1, 3] = 3
    x_norm: Literal["batch", "none"] = "batch"


class Segmenter(Model[SemanticMask, SegmentationRaw, SegmentationAssignment, Segmentation]):
    """A semantic segmenter. Abstract: a model says what `features` and `head` are."""

    def assign(self, raw: SegmentationRaw, batch: Batch[SemanticMask]) -> SegmentationAssignment:
        """Return the labels of all pixels and their weights."""
        return assign_pixels(batch)

    def losses(
        self, raw: SegmentationRaw, assignment: SegmentationAssignment, batch: Batch[SemanticMask]
    ) -> dict[str, Tensor]:
        """Return the term ``cross_entropy``: the weighted mean over the pixels that count."""
        return {"cross_entropy": pixel_cross_entropy(raw.class_logits, assignment)}

    def predict(self, raw: SegmentationRaw, batch: Batch[SemanticMask]) -> list[Segmentation]:
        """Return the class map of every image at the size of the original image."""
        labels, confidence = class_map(raw.class_logits)
        return [_to_image(*answer) for answer in zip(labels, confidence, batch.frames, strict=True)]


def assign_pixels(batch: Batch[SemanticMask]) -> SegmentationAssignment:
    """Stack the masks of a batch; a pixel weighs what its class weighs, an ignored one nothing."""
    labels = torch.stack([target.labels for target in batch.targets]).long()
    return _assignment(labels, torch.stack([_weights(target) for target in batch.targets]))


def _assignment(labels: Tensor, weights: Tensor) -> SegmentationAssignment:
    total = mean_over_processes(weights.sum())
    return SegmentationAssignment(total.clamp(min=torch.finfo(total.dtype).tiny), labels, weights)


def every_nth_pixel(maps: Tensor, stride: int, first: tuple[int, int]) -> Tensor:
    """Return (...,h,w) of every ``stride``-th pixel of maps (...,H,W), from row and column ``first`` on."""
    return maps[..., first[0] :: stride, first[1] :: stride].contiguous()


def assign_every_nth_pixel(
    assignment: SegmentationAssignment, stride: int, first: tuple[int, int]
) -> SegmentationAssignment:
    """Return the assignment of the pixels that `every_nth_pixel` leaves, with the normaliser of these alone."""
    return _assignment(*(every_nth_pixel(maps, stride, first) for maps in (assignment.labels, assignment.weights)))


def _weights(target: SemanticMask) -> Tensor:
    counts = target.labels != IGNORED_LABEL
    if target.class_weights is None:
        return counts.float()
    return target.class_weights[target.labels.long().where(counts, 0)] * counts


def pixel_cross_entropy(class_logits: Tensor, assignment: SegmentationAssignment) -> Tensor:
    """Return the cross entropy summed over the pixels by their weights, divided by the normaliser.

    Args:
        class_logits: (B,K,H,W).
        assignment: Assignment of the batch; without any pixel that counts the loss is 0.
    """
    rows = functional.cross_entropy(
        at_least_float32(class_logits), assignment.labels, ignore_index=IGNORED_LABEL, reduction="none"
    )
    return (rows * assignment.weights).sum() / assignment.normaliser


def class_map(class_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the likeliest class of every pixel, (B,H,W) uint8, and its softmax probability, (B,H,W) float32.

    Args:
        class_logits: (B,K,H,W).
    """
    confidence, labels = class_logits.float().softmax(dim=1).max(dim=1)
    return labels.to(torch.uint8), confidence


def _to_image(labels: Tensor, confidence: Tensor, frame: Frame) -> Segmentation:
    if frame.fit is None:
        return Segmentation(labels, confidence)
    fitted = (frame.fit.map_to_image(values.cpu().numpy()) for values in (labels, confidence))
    return Segmentation(*(torch.from_numpy(values) for values in fitted))


def check_same_pixels(method: str, student: ModelSpec, teacher: ModelSpec | None) -> None:
    """Refuse a teacher whose class k is not the student's class k.

    Raises:
        IncompatibleError: There is no teacher, its task or its classes differ, or there is one class only.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none was given.")
    if {student.task, teacher.task} != {"segmentation"}:
        raise IncompatibleError(
            f"The method '{method}' needs segmenters here; the teacher is for {teacher.task}, the student for "
            f"{student.task}."
        )
    if student.classes != teacher.classes:
        raise IncompatibleError(
            f"The method '{method}' needs the same classes in the same order; the teacher has {list(teacher.classes)} "
            f"and the student {list(student.classes)}."
        )
    if len(student.classes) < 2:
        raise IncompatibleError(
            f"The method '{method}' needs two classes or more; the softmax of {list(student.classes)} is always 1."
        )


def check_same_maps(method: str, student: SegmentationRaw, teacher: SegmentationRaw | None) -> SegmentationRaw:
    """Return the teacher's output if it has the student's pixels and classes.

    Raises:
        IncompatibleError: It is missing or its shape differs.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none ran.")
    if student.class_logits.shape != teacher.class_logits.shape:
        raise IncompatibleError(
            f"The method '{method}' compares pixel by pixel; the teacher gave logits of shape "
            f"{tuple(teacher.class_logits.shape)}, the student {tuple(student.class_logits.shape)}."
        )
    return teacher

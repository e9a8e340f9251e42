"""What goes into a model: a batch of inputs, its targets and where every sample came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from limbeck.imaging import Fit


@dataclass(slots=True)
class Boxes2D:
    """The labelled boxes of one image.

    Attributes:
        boxes_xyxy: (M,4) float, pixels of the network's input.
        labels: (M,) int64, index into the class list.
        ignore: (M,) bool, regions that are neither object nor background: crowds, ignore marks. Locations inside get
            weight 0 and detections inside count neither as hit nor as false alarm.
        weights: (M,) float, weight of the locations that answer for each object; None for 1 everywhere.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    ignore: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return self.boxes_xyxy.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Boxes2D:
        """Return a copy on ``device``."""
        return Boxes2D(
            self.boxes_xyxy.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
            self.ignore.to(device, non_blocking=non_blocking),
            None if self.weights is None else self.weights.to(device, non_blocking=non_blocking),
        )

    def objects(self) -> Boxes2D:
        """Return the boxes to be found, without the ignore regions."""
        keep = ~self.ignore
        weights = None if self.weights is None else self.weights[keep]
        return Boxes2D(self.boxes_xyxy[keep], self.labels[keep], self.ignore[keep], weights)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to learn to find."""
        return bool(self.ignore.all())


IGNORED_LABEL = 255
"""Label of the pixels of a mask that do not count: neither in a loss nor in a metric."""


@dataclass(slots=True)
class SemanticMask:
    """The labelled pixels of one image.

    Attributes:
        labels: (H,W) uint8 on the network's canvas: index into the class list, or `IGNORED_LABEL`.
        class_weights: (K,) float, weight of the pixels of each class in the loss; None for 1 everywhere.
    """

    labels: Tensor
    class_weights: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SemanticMask:
        """Return a copy on ``device``."""
        weights = self.class_weights
        return SemanticMask(
            self.labels.to(device, non_blocking=non_blocking),
            None if weights is None else weights.to(device, non_blocking=non_blocking),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to learn: no pixel counts."""
        return bool((self.labels == IGNORED_LABEL).all())


@dataclass(slots=True)
class Boxes3D:
    """The labelled boxes of one point cloud, in the frame of the LiDAR.

    Attributes:
        boxes: (M,7) float: x, y, z of the centre (z in the middle of the height), length along the heading, width,
            height in metres, and the yaw in radians, counter-clockwise about z from the x axis.
        labels: (M,) int64, index into the class list.
        ignore: (M,) bool, objects that are neither to be found nor background: too far away, too few points, or marked
            so. Detections that hit one count neither as hit nor as false alarm.
        velocities: (M,2) float, metres per second along x and y, NaN where not known; None where the data has none.
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    velocities: Tensor | None = None

    def __len__(self) -> int:
        return self.boxes.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Boxes3D:
        """Return a copy on ``device``."""
        return Boxes3D(
            self.boxes.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
            self.ignore.to(device, non_blocking=non_blocking),
            None if self.velocities is None else self.velocities.to(device, non_blocking=non_blocking),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to learn to find."""
        return bool(self.ignore.all())


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a sample came from.

    Attributes:
        id: Identifier in the data set (the COCO image id).
        path: The file of the main input: the image or the point cloud.
        fit: How the image lies on the network's canvas, before any augmentation; None for point clouds.
    """

    id: int | str
    path: Path
    fit: Fit | None = None


TargetT = TypeVar("TargetT", Boxes2D, SemanticMask, Boxes3D)


@dataclass(slots=True)
class Batch(Generic[TargetT]):
    """B samples. A model takes the whole batch and picks its inputs, because a teacher may see more than its student.

    Attributes:
        inputs: Tensors by modality: ``image`` is (B,3,H,W) uint8 RGB. Any further one (depth, disparity, thermal,
            surface normals) bears the name that the data settings give it and is (B,C,H,W) float32 in its physical
            unit, 0 where nothing was measured; a surface normal that is not known is (0, 0, -1). Point clouds are
            ``points`` (P,F) float32, those of all samples one after the other, x, y and z in metres first, and
            ``counts`` (B,) int64, how many of them belong to each sample.
        targets: One per sample.
        frames: One per sample.
    """

    inputs: dict[str, Tensor]
    targets: list[TargetT]
    frames: list[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def images(self) -> Tensor:
        """The RGB images, (B,3,H,W) uint8."""
        return self.inputs["image"]

    @property
    def points(self) -> Tensor:
        """The points of all samples, (P,F) float32."""
        return self.inputs["points"]

    @property
    def counts(self) -> Tensor:
        """How many of the points belong to each sample, (B,) int64."""
        return self.inputs["counts"]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch[TargetT]:
        """Return a copy on ``device``."""
        return replace(
            self,
            inputs={name: value.to(device, non_blocking=non_blocking) for name, value in self.inputs.items()},
            targets=[target.to(device, non_blocking=non_blocking) for target in self.targets],
        )

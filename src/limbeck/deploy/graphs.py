"""What is exported: for each task the graph from the network's input to the final answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limbeck.core.dense2d import Postprocess
from limbeck.core.detection3d import CentreDetector, candidates
from limbeck.core.model import InputSize, Model, Task
from limbeck.core.outputs import Detections2D, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D, Boxes3D, SemanticMask
from limbeck.core.segmentation import Segmenter, class_map
from limbeck.deploy.runtime.typical_cloud import typical_cloud
from limbeck.errors import ExportError
from limbeck.ops.pillars import Pillars, group_points

ModelT = TypeVar("ModelT", bound=nn.Module)
IMAGE_INPUT = "(B,3,H,W) uint8, RGB pixels of the canvas"
Detector2D = Model[Boxes2D, DetectorRaw2D, Any, Detections2D]


class ExportGraph(nn.Module, ABC):
    """A model with its post-processing: plain tensors in, plain tensors out. Abstract; one class per task.

    Attributes:
        inputs: What each input holds, by name.
        outputs: What each output holds, by name.
        axes: The name of the first axis of each input, which is free. Of images it is the batch.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]

    @property
    def axes(self) -> tuple[str, ...]:
        """The name of the first axis of each input, which is free."""
        return ("batch",) * len(self.inputs)

    @abstractmethod
    def example(self, size: InputSize, count: int = 1) -> tuple[Tensor, ...]:
        """Return inputs of noise, the same ones every time.

        Args:
            size: Size of the network's input.
            count: How many of them, where the first axis is the batch.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings that are built into the graph."""


class DetectionGraph2D(ExportGraph):
    """A 2D detector from the canvas to its final boxes.

    Args:
        model: A detector of any class; the `Postprocess` in its ``config.postprocess`` makes the final boxes.

    Raises:
        ExportError: The model has no such settings.
    """

    def __init__(self, model: Detector2D) -> None:
        super().__init__()
        self.inputs = {"image": IMAGE_INPUT}
        self.outputs = {
            "boxes": "(B,D,4) float32, x1 y1 x2 y2 in pixels of the canvas",
            "scores": "(B,D) float32, best first; 0 marks an unused place",
            "labels": "(B,D) int64, index into the classes",
        }
        postprocess = getattr(getattr(model, "config", None), "postprocess", None)
        if not isinstance(postprocess, Postprocess):
            raise ExportError(
                f"The model {type(model).__name__} cannot be exported as a 2D detector: its 'config' holds no "
                "'postprocess' of the class limbeck.core.dense2d.Postprocess."
            )
        self.model = model
        self.postprocess = postprocess

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, scores and labels, see `outputs`."""
        return self.postprocess.select(self.model(Batch[Boxes2D]({"image": image}, [], [])))

    def example(self, size: InputSize, count: int = 1) -> tuple[Tensor, ...]:
        """Return images of noise."""
        return (_noise(size, count),)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the post-processing."""
        return self.postprocess.model_dump()


class SegmentationGraph(ExportGraph):
    """A segmenter from the canvas to the class of every pixel.

    Args:
        model: A segmenter that reads RGB images, or these and one further map.
    """

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model
        self.maps = dict(model.spec.maps)
        self.inputs = {"image": IMAGE_INPUT} | {
            name: f"(B,{channels},H,W) float32, in the unit of the training" for name, channels in self.maps.items()
        }
        self.outputs = {
            "labels": "(B,H,W) uint8, index into the classes",
            "confidence": "(B,H,W) float32, softmax probability of that class",
        }

    def forward(self, image: Tensor, further: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return class and confidence of every pixel, see `outputs`."""
        inputs = {"image": image}
        if further is not None:
            inputs |= dict.fromkeys(self.maps, further)
        return class_map(self.model(Batch[SemanticMask](inputs, [], [])).class_logits)

    def example(self, size: InputSize, count: int = 1) -> tuple[Tensor, ...]:
        """Return images of noise, and as many maps of noise for each further input."""
        generator = torch.Generator().manual_seed(0)
        shapes = ((count, channels, size[1], size[0]) for channels in self.maps.values())
        return (_noise(size, count), *(torch.rand(shape, generator=generator) for shape in shapes))

    def settings(self) -> dict[str, Any]:
        """Return nothing: the class map is the likeliest class."""
        return {}


class DetectionGraph3D(ExportGraph):
    """A LiDAR detector from the points of one cloud, sorted by pillar, to the boxes among which is chosen.

    Sorting and choosing are not in the graph: the runtime does both in less time than ONNX's operators for them take.

    Args:
        model: The detector.
    """

    def __init__(self, model: CentreDetector) -> None:
        super().__init__()
        self.model = model
        values = ", ".join(["x", "y", "z", *(f"value {number}" for number in range(4, model.spec.point_features + 1))])
        self.inputs = {
            "points": f"(K,{model.spec.point_features}) float32, {values} of the points, those of a pillar together",
            "pillar": "(K,) int64, place of the pillar of each point",
            "counts": "(P,) int64, points of each pillar",
            "cells": "(P,) int64, cell of each pillar, row * nx + column, rising",
        }
        self.outputs = {
            "boxes": "(D,7) float32, x y z length width height in metres, yaw in radians; group by group, best first",
            "scores": "(D,) float32",
            "labels": "(D,) int64, index into the classes",
        }
        if any("vel" in group for group in model.spec.groups):
            self.outputs["velocities"] = "(D,2) float32, metres per second along x and y"

    @property
    def axes(self) -> tuple[str, ...]:
        """Points and pillars."""
        return ("points", "points", "pillars", "pillars")

    def forward(self, points: Tensor, pillar: Tensor, counts: Tensor, cells: Tensor) -> tuple[Tensor, ...]:
        """Return boxes, scores, labels and perhaps velocities, see `outputs`."""
        batch = Batch[Boxes3D]({}, [], [])
        raw = self.model.head([self.model.map_view(Pillars(points, pillar, counts, cells), 1)], batch)
        found = [
            candidates(maps, self.model.spec, number, self.model.postprocess.pre_nms)
            for number, maps in enumerate(raw.groups)
        ]
        return tuple(torch.cat([row[0] for row in rows]) for rows in zip(*found, strict=True))

    def example(self, size: InputSize, count: int = 1) -> tuple[Tensor, ...]:
        """Return the pillars of a typical cloud of as many points."""
        spec = self.model.spec
        points = torch.from_numpy(typical_cloud(size[0], spec.point_features, spec.grid.range_xyz))
        found = group_points(points, torch.tensor([size[0]]), spec.grid, spec.max_points)
        return found.points, found.pillar, found.counts, found.cells

    def settings(self) -> dict[str, Any]:
        """Return how points are sorted, how many boxes of each group come out, and how is chosen among them."""
        spec, postprocess = self.model.spec, self.model.postprocess
        cells = spec.map_hw[0] * spec.map_hw[1]
        return {
            "range": spec.grid.range_xyz,
            "pillar": spec.grid.pillar_xy,
            "max_points": spec.max_points,
            "group_boxes": [min(postprocess.pre_nms, cells)] * len(spec.groups),
            **postprocess.model_dump(exclude={"pre_nms"}),
        }


def _noise(size: InputSize, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size[1], size[0]), generator=generator, dtype=torch.uint8)


_GRAPHS: dict[Task, Callable[[Any], ExportGraph]] = {
    "detection2d": DetectionGraph2D,
    "segmentation": SegmentationGraph,
    "detection3d": DetectionGraph3D,
}


def export_graph(model: Model[Any, Any, Any, Any]) -> ExportGraph:
    """Return the graph of a model's task around a copy of the model, see `deployable`.

    Raises:
        ExportError: The model does not have what the graph of its task needs.
    """
    return _GRAPHS[model.spec.task](deployable(model)).eval()


def deployable(model: ModelT) -> ModelT:
    """Return a copy of a model as it is deployed: on the CPU, in eval mode, with contiguous fp32 weights."""
    return deepcopy(model).eval().to(device="cpu", dtype=torch.float32).to(memory_format=torch.contiguous_format)

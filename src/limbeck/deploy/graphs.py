"""What is exported: for each task the graph from the network's input to the final answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limbeck.core.dense2d import Postprocess
from limbeck.core.model import Model, Task
from limbeck.core.outputs import Detections2D, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D, SemanticMask
from limbeck.core.segmentation import Segmenter, class_map
from limbeck.errors import ExportError

ModelT = TypeVar("ModelT", bound=nn.Module)
IMAGE_INPUT = "(B,3,H,W) uint8, RGB pixels of the canvas"
Detector2D = Model[Boxes2D, DetectorRaw2D, Any, Detections2D]


class ExportGraph(nn.Module, ABC):
    """A model with its post-processing: plain tensors in, plain tensors out. Abstract; one class per task.

    Attributes:
        inputs: What each input holds, by name; the first axis of every input and output is the batch.
        outputs: What each output holds, by name.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]

    @abstractmethod
    def example(self, canvas_wh: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return a batch of two inputs for a network input of this width and height."""

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

    def example(self, canvas_wh: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return two black images."""
        return (_black(canvas_wh),)

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

    def example(self, canvas_wh: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return two black images, and two maps of zeros for each further input."""
        maps = (torch.zeros(2, channels, canvas_wh[1], canvas_wh[0]) for channels in self.maps.values())
        return (_black(canvas_wh), *maps)

    def settings(self) -> dict[str, Any]:
        """Return nothing: the class map is the likeliest class."""
        return {}


def _black(canvas_wh: tuple[int, int]) -> Tensor:
    return torch.zeros(2, 3, canvas_wh[1], canvas_wh[0], dtype=torch.uint8)


_GRAPHS: dict[Task, Callable[[Any], ExportGraph]] = {
    "detection2d": DetectionGraph2D,
    "segmentation": SegmentationGraph,
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

"""What is exported: for each task the graph from the network's input to the final answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from limbeck.core.dense2d import Postprocess
from limbeck.core.model import Model, Task
from limbeck.core.outputs import Detections2D, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.errors import ExportError

ModelT = TypeVar("ModelT", bound=nn.Module)
Detector2D = Model[Boxes2D, DetectorRaw2D, Any, Detections2D]


class ExportGraph(nn.Module, ABC):
    """A model with its post-processing: plain tensors in, plain tensors out. Abstract; one class per task.

    Attributes:
        inputs: What each input holds, by name; the first axis of every input and output is the batch.
        outputs: What each output holds, by name.
    """

    inputs: ClassVar[dict[str, str]]
    outputs: ClassVar[dict[str, str]]

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

    inputs: ClassVar[dict[str, str]] = {"image": "(B,3,H,W) uint8, RGB pixels of the canvas"}
    outputs: ClassVar[dict[str, str]] = {
        "boxes": "(B,D,4) float32, x1 y1 x2 y2 in pixels of the canvas",
        "scores": "(B,D) float32, best first; 0 marks an unused place",
        "labels": "(B,D) int64, index into the classes",
    }

    def __init__(self, model: Detector2D) -> None:
        super().__init__()
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
        return (torch.zeros(2, 3, canvas_wh[1], canvas_wh[0], dtype=torch.uint8),)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the post-processing."""
        return self.postprocess.model_dump()


_GRAPHS: dict[Task, Callable[[Model[Any, Any, Any, Any]], ExportGraph]] = {"detection2d": DetectionGraph2D}


def export_graph(model: Model[Any, Any, Any, Any]) -> ExportGraph:
    """Return the graph of a model's task around a copy of the model, see `deployable`.

    Raises:
        ExportError: The model does not have what the graph of its task needs.
    """
    return _GRAPHS[model.spec.task](deployable(model)).eval()


def deployable(model: ModelT) -> ModelT:
    """Return a copy of a model as it is deployed: on the CPU, in eval mode, with contiguous fp32 weights."""
    return deepcopy(model).eval().to(device="cpu", dtype=torch.float32).to(memory_format=torch.contiguous_format)

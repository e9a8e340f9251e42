"""Answers for images and point clouds by a weight file. Apart from `predictor`, which is importable without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.core.detection3d import CentreDetector
from limbeck.core.model import Model, Task
from limbeck.core.outputs import Detections2D, Detections3D, Segmentation
from limbeck.core.samples import Batch, Boxes2D, Boxes3D, Frame, SemanticMask
from limbeck.core.segmentation import Segmenter, class_map
from limbeck.data.cloud_points import read_points
from limbeck.deploy.runtime.class_map import Answer, ClassMap, Maps, Tiles, check_maps, map_image
from limbeck.deploy.runtime.clouds import CloudLike, open_cloud
from limbeck.deploy.runtime.detector import Detections, Detector
from limbeck.deploy.runtime.lidar_detector import CloudDetections, LidarDetector
from limbeck.deploy.runtime.segmenter import Segmenter as RuntimeSegmenter
from limbeck.errors import CheckpointError, DataError
from limbeck.imaging import fit_image, read_image
from limbeck.point_files.point_format import PointFormat
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.tasks.segmentation import SegmentationTask
from limbeck.training.precision import Precision, autocast, resolve_precision
from limbeck.weights import WeightsInfo, load_weights

TorchPredictor: TypeAlias = "TorchDetector | TorchSegmenter | TorchLidarDetector"


def open_weights(path: Path, precision: Precision = "auto") -> TorchPredictor:
    """Load a weight file.

    Args:
        path: The file.
        precision: ``auto`` computes in bfloat16 where the hardware does, which moves scores by about 0.01.

    Raises:
        CheckpointError: It is missing or broken.
    """
    model, info = load_weights(path)
    return _PREDICTORS[model.spec.task](model, info, precision)


class TorchDetector:
    """Finds objects in single image files by a weight file.

    Args:
        model: The model.
        info: What stands beside its weights.
        precision: As for `open_weights`.
    """

    task: ClassVar[Literal["detection2d"]] = "detection2d"

    def __init__(self, model: Model[Any, Any, Any, Any], info: WeightsInfo, precision: Precision = "auto") -> None:
        self._model = model.eval()
        self._info = info
        self._precision = resolve_precision(precision)

    @torch.no_grad()
    def detect(self, image: Path) -> Detections:
        """Return the detections of one image, boxes in its own pixels.

        Raises:
            DataError: The image cannot be read.
        """
        pixels, fit = fit_image(read_image(image), *self._info.canvas)
        inputs = {"image": torch.from_numpy(pixels).permute(2, 0, 1)[None]}
        batch = Batch[Boxes2D](inputs, [], [Frame(image.name, image, fit)])
        with autocast(self._precision, batch.images.device):
            (found,) = self._model.predict(self._model(batch), batch)
        labels = found.labels.numpy()
        names = tuple(self._info.classes[label] for label in labels)
        return Detections(found.boxes_xyxy.numpy(), found.scores.numpy(), labels, names)


class TorchSegmenter:
    """Gives every pixel of single image files a class by a weight file.

    Args:
        model: The model.
        info: What stands beside its weights.
        precision: As for `open_weights`.
    """

    task: ClassVar[Literal["segmentation"]] = "segmentation"

    def __init__(self, model: Segmenter, info: WeightsInfo, precision: Precision = "auto") -> None:
        self._model = model.eval()
        self._info = info
        self._precision = resolve_precision(precision)

    @property
    def maps(self) -> Mapping[str, int]:
        """Channels of each input beside the image, by name."""
        return self._model.spec.maps

    def segment(self, image: Path, maps: Maps | None = None, tiles: Tiles | None = None) -> ClassMap:
        """Return the class of every pixel of one image; see the runtime's `Segmenter.segment`.

        Raises:
            DataError: The image cannot be read, or the maps are not those of the model.
        """
        given = check_maps(maps, self.maps)
        answer = map_image(self._answer, read_image(image), given, *self._info.canvas, tiles)
        return ClassMap(*answer, self._info.classes)

    @torch.no_grad()
    def _answer(self, inputs: dict[str, NDArray[Any]]) -> Answer:
        batch = Batch[SemanticMask](
            {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in inputs.items()}, [], []
        )
        with autocast(self._precision, batch.images.device):
            raw = self._model(batch)
        labels, confidence = class_map(raw.class_logits)
        return labels.numpy(), confidence.numpy()


class TorchLidarDetector:
    """Finds objects in single point clouds by a weight file.

    Args:
        model: The model.
        info: What stands beside its weights.
        precision: As for `open_weights`.
    """

    task: ClassVar[Literal["detection3d"]] = "detection3d"

    def __init__(self, model: CentreDetector, info: WeightsInfo, precision: Precision = "auto") -> None:
        self._model = model.eval()
        self._info = info
        self._precision = resolve_precision(precision)

    @property
    def form(self) -> PointFormat:
        """What the points of a cloud consist of.

        Raises:
            CheckpointError: The weight file does not say it.
        """
        if self._info.points is None:
            raise CheckpointError("The weight file does not say what the points of a cloud consist of.")
        return self._info.points

    @torch.no_grad()
    def detect(self, cloud: CloudLike) -> CloudDetections:
        """Return the detections of one point cloud, none where there is no point; see the runtime's `LidarDetector`.

        Raises:
            DataError: The cloud cannot be read, has other values, or has points that are not finite.
        """
        points = torch.from_numpy(open_cloud(cloud, self.form))
        batch = Batch[Boxes3D]({"points": points, "counts": torch.tensor([len(points)])}, [], [])
        with autocast(self._precision, points.device):
            (found,) = self._model.predict(self._model(batch), batch)
        kept = slice(None) if len(points) else slice(0)
        labels = found.labels.numpy()[kept]
        names = tuple(self._info.classes[label] for label in labels)
        velocities = None if found.velocities is None else found.velocities.numpy()[kept]
        return CloudDetections(found.boxes.numpy()[kept], found.scores.numpy()[kept], labels, names, velocities)


_PREDICTORS: Mapping[Task, Callable[[Any, WeightsInfo, Precision], TorchPredictor]] = {
    "detection2d": TorchDetector,
    "segmentation": TorchSegmenter,
    "detection3d": TorchLidarDetector,
}


def answer_frame(
    predictor: Any, task: AnyTask, frame: Frame, tiles: Tiles | None = None
) -> Detections2D | Segmentation | Detections3D:
    """Return the answer of a model of any engine for one image or cloud of a task, in the classes of the task.

    Args:
        predictor: A model of the same task as the data.
        task: The data.
        frame: One of its validation images or clouds.
        tiles: Look at large images in tiles (segmentation).

    Raises:
        DataError: The file cannot be read, or the model knows a class that the data does not have.
    """
    return _ANSWERS[predictor.task](predictor, task, frame, tiles)


def _boxes(predictor: TorchDetector | Detector, task: AnyTask, frame: Frame, tiles: Tiles | None) -> Detections2D:
    found = predictor.detect(frame.path)
    boxes, scores = torch.from_numpy(found.boxes_xyxy), torch.from_numpy(found.scores)
    return Detections2D(boxes, scores, _labels(found.names, task.classes))


def _segmentation(
    predictor: TorchSegmenter | RuntimeSegmenter, task: SegmentationTask, frame: Frame, tiles: Tiles | None
) -> Segmentation:
    found = predictor.segment(frame.path, task.read_maps(frame, predictor.maps), tiles)
    index = _labels(found.classes, task.classes).numpy().astype(np.uint8)
    return Segmentation(torch.from_numpy(index[found.labels]), torch.from_numpy(found.confidence))


def _boxes_3d(
    predictor: TorchLidarDetector | LidarDetector, task: Detection3DTask, frame: Frame, tiles: Tiles | None
) -> Detections3D:
    found = predictor.detect(read_points(task.val.records[task.places[frame.id]], task.val))
    boxes, scores = torch.from_numpy(found.boxes), torch.from_numpy(found.scores)
    velocities = None if found.velocities is None else torch.from_numpy(found.velocities)
    return Detections3D(boxes, scores, _labels(found.names, task.classes), velocities)


def _labels(names: Sequence[str], classes: Sequence[str]) -> Tensor:
    """Return the place of each name among the classes, (N,) int64.

    Raises:
        DataError: One is not among them.
    """
    if unknown := sorted(set(names) - set(classes)):
        raise DataError("The model does not fit the data:", [f"the data has no class '{name}'" for name in unknown])
    return torch.tensor([classes.index(name) for name in names], dtype=torch.int64)


_ANSWERS: Mapping[Task, Callable[[Any, Any, Frame, Tiles | None], Detections2D | Segmentation | Detections3D]] = {
    "detection2d": _boxes,
    "segmentation": _segmentation,
    "detection3d": _boxes_3d,
}

"""Answers for image files by a weight file. Apart from `predictor`, which must be importable without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.core.model import Model
from limbeck.core.outputs import Detections2D, Segmentation
from limbeck.core.samples import Batch, Boxes2D, Frame, SemanticMask
from limbeck.core.segmentation import Segmenter, class_map
from limbeck.deploy.runtime.class_map import Answer, ClassMap, Maps, Tiles, check_maps, map_image
from limbeck.deploy.runtime.detector import Detections
from limbeck.errors import DataError
from limbeck.imaging import fit_image, read_image
from limbeck.training.precision import Precision, autocast, resolve_precision
from limbeck.weights import WeightsInfo, load_weights


def open_weights(path: Path, precision: Precision = "auto") -> TorchDetector | TorchSegmenter:
    """Load a weight file.

    Args:
        path: The file.
        precision: ``auto`` computes in bfloat16 where the hardware does, which moves scores by about 0.01.

    Raises:
        CheckpointError: It is missing or broken.
    """
    model, info = load_weights(path)
    if isinstance(model, Segmenter):
        return TorchSegmenter(model, info, precision)
    return TorchDetector(model, info, precision)


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
        pixels, fit = fit_image(read_image(image), self._info.size, self._info.resize)
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
        answer = map_image(self._answer, read_image(image), given, self._info.size, self._info.resize, tiles)
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


def as_boxes(found: Detections, classes: Sequence[str]) -> Detections2D:
    """Return the detections of one image with labels that are indices into other classes, found by their names.

    Raises:
        DataError: A class is not among them.
    """
    _check_classes(set(found.names), classes)
    labels = torch.tensor([classes.index(name) for name in found.names], dtype=torch.int64)
    return Detections2D(torch.from_numpy(found.boxes_xyxy), torch.from_numpy(found.scores), labels)


def as_segmentation(found: ClassMap, classes: Sequence[str]) -> Segmentation:
    """Return the class map of one image with labels that are indices into other classes, found by their names.

    Raises:
        DataError: A class is not among them.
    """
    _check_classes(set(found.classes), classes)
    index = np.array([classes.index(name) for name in found.classes], dtype=np.uint8)
    return Segmentation(torch.from_numpy(index[found.labels]), torch.from_numpy(found.confidence))


def _check_classes(names: set[str], classes: Sequence[str]) -> None:
    if unknown := sorted(names - set(classes)):
        raise DataError("The model does not fit the data:", [f"the data has no class '{name}'" for name in unknown])

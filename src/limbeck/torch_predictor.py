"""Answers for image files by a weight file. Apart from `predictor`, which must be importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from limbeck.core.model import Model
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.deploy.runtime.detector import Detections
from limbeck.imaging import fit_image, read_image
from limbeck.weights import WeightsInfo, load_weights


class TorchPredictor:
    """Answers for single image files by a weight file.

    Args:
        model: The model.
        info: What stands beside its weights.
    """

    def __init__(self, model: Model[Any, Any, Any, Any], info: WeightsInfo) -> None:
        self._model = model.eval()
        self._info = info

    @classmethod
    def load(cls, path: Path) -> TorchPredictor:
        """Load a weight file.

        Raises:
            CheckpointError: It is missing or broken.
        """
        return cls(*load_weights(path))

    @torch.no_grad()
    def detect(self, image: Path) -> Detections:
        """Return the detections of one image, boxes in its own pixels.

        Raises:
            DataError: The image cannot be read.
        """
        pixels, fit = fit_image(read_image(image), self._info.size, self._info.resize)
        inputs = {"image": torch.from_numpy(pixels).permute(2, 0, 1)[None]}
        batch = Batch[Boxes2D](inputs, [], [Frame(image.name, image, fit)])
        (found,) = self._model.predict(self._model(batch), batch)
        labels = found.labels.numpy()
        names = tuple(self._info.classes[label] for label in labels)
        return Detections(found.boxes_xyxy.numpy(), found.scores.numpy(), labels, names)

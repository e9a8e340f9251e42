"""Answers for image files by a weight file. Apart from `predictor`, which must be importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from limbeck.core.model import Model
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.deploy.runtime.detector import Detections
from limbeck.imaging import fit_image, read_image
from limbeck.training.precision import Precision, autocast, resolve_precision
from limbeck.weights import WeightsInfo, load_weights


class TorchPredictor:
    """Answers for single image files by a weight file.

    Args:
        model: The model.
        info: What stands beside its weights.
        precision: ``auto`` computes in bfloat16 where the hardware does, which moves scores by about 0.01.
    """

    def __init__(self, model: Model[Any, Any, Any, Any], info: WeightsInfo, precision: Precision = "auto") -> None:
        self._model = model.eval()
        self._info = info
        self._precision = resolve_precision(precision)

    @classmethod
    def load(cls, path: Path, precision: Precision = "auto") -> TorchPredictor:
        """Load a weight file.

        Raises:
            CheckpointError: It is missing or broken.
        """
        return cls(*load_weights(path), precision)

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

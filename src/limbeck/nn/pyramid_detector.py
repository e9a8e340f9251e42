"""What the 2D detectors on a pyramid share: the trunk, and the last step from raw output to final boxes."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

from limbeck.core.dense2d import PyramidConfig
from limbeck.core.model import AssignmentT, Model
from limbeck.core.outputs import Detections2D, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.nn.pyramid_net import PyramidNet

DetectorRawT = TypeVar("DetectorRawT", bound=DetectorRaw2D)


class PyramidDetector(Model[Boxes2D, DetectorRawT, AssignmentT, Detections2D]):
    """A detector whose heads work on a feature pyramid. Abstract.

    Args:
        config: Settings.
    """

    config: PyramidConfig

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = PyramidNet(config)

    def features(self, batch: Batch[Boxes2D]) -> list[Tensor]:
        """Return the pyramid, (B,C,H_l,W_l) per level."""
        levels: list[Tensor] = self.trunk(batch.images)
        return levels

    def predict(self, raw: DetectorRawT, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the detections of every image, boxes in pixels of the original image."""
        return self.config.postprocess.detections(raw, batch)

"""Images with boxes as the network sees them: views that are a pure function of the seed and the draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.data.augment import View, draw_view, plain_pixels
from limbeck.data.config import AugmentConfig
from limbeck.data.mosaic import draw_mosaic
from limbeck.data.records import BoxRecord
from limbeck.data.views import Draw
from limbeck.imaging import Fit, ResizeMode


@dataclass(slots=True)
class Sample:
    """One view of one image.

    Attributes:
        image: (3,H,W) uint8 RGB.
        boxes: The labelled boxes in canvas pixels.
        frame: Where the image came from.
    """

    image: Tensor
    boxes: Boxes2D
    frame: Frame


class DetectionViews(Dataset[Sample]):
    """Views of labelled images; ``views[draw]`` depends on nothing but the seed and the draw.

    `Frame.fit` holds the place of the image without augmentation, also for an augmented view: it maps an answer for
    the plain image back to the original's pixels.

    Args:
        records: The images.
        canvas_wh: Width and height of the network's input in pixels, where a draw says no other.
        resize: ``letterbox`` or ``stretch``.
        augment: Training augmentation; None for evaluation, where every view is the same.
        seed: Seed of the augmentation.
        class_weights: (K,) weight of the objects of each class; None weighs all alike.
    """

    def __init__(
        self,
        records: Sequence[BoxRecord],
        canvas_wh: tuple[int, int],
        resize: ResizeMode,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.records = tuple(records)
        self.canvas_wh = canvas_wh
        self.resize = resize
        self.augment = augment
        self.seed = seed
        self.class_weights = class_weights

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw) -> Sample:
        record = self.records[draw.index]
        canvas_wh = draw.canvas_wh or self.canvas_wh
        view = self._plain(record, canvas_wh) if self.augment is None else self._drawn(draw, canvas_wh, self.augment)
        boxes = Boxes2D(
            torch.from_numpy(view.boxes_xyxy),
            torch.from_numpy(view.labels),
            torch.from_numpy(view.ignore),
            None if self.class_weights is None else torch.from_numpy(self.class_weights[view.labels]),
        )
        return Sample(view.pixels, boxes, Frame(record.id, record.path, Fit.of(record.size_wh, canvas_wh, self.resize)))

    def _plain(self, record: BoxRecord, canvas_wh: tuple[int, int]) -> View:
        pixels, fit = plain_pixels(record, canvas_wh, self.resize)
        return View(pixels, fit.to_canvas(record.boxes_xyxy), record.labels, record.ignore)

    def _drawn(self, draw: Draw, canvas_wh: tuple[int, int], augment: AugmentConfig) -> View:
        generator = np.random.default_rng([self.seed, draw.view, draw.index, draw.repeat])
        mosaics_end = math.inf if augment.mosaic_epochs is None else augment.mosaic_epochs
        if draw.view < mosaics_end and generator.random() < augment.mosaic:
            return draw_mosaic(self.records, draw.index, canvas_wh, self.resize, augment, generator)
        return draw_view(self.records[draw.index], canvas_wh, self.resize, augment, generator)


def collate(samples: Sequence[Sample]) -> Batch[Boxes2D]:
    """Stack samples into a batch with ``image`` (B,3,H,W)."""
    return Batch(
        inputs={"image": torch.stack([sample.image for sample in samples])},
        targets=[sample.boxes for sample in samples],
        frames=[sample.frame for sample in samples],
    )

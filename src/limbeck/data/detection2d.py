"""Images with boxes as the network sees them: views that are a pure function of (seed, view, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.data.augment import clip_boxes, draw_colour, draw_placement, place_boxes, render
from limbeck.data.config import AugmentConfig
from limbeck.data.records import BoxRecord
from limbeck.errors import DataError
from limbeck.imaging import Fit, ResizeMode, fit_image, read_image


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
    """Views of labelled images; ``views[view, index]`` depends on nothing but the seed and these two numbers.

    `Frame.fit` holds the place of the image without augmentation, also for an augmented view: it maps an answer for
    the plain image back to the original's pixels.

    Args:
        records: The images.
        canvas_wh: Width and height of the network's input in pixels.
        resize: ``letterbox`` or ``stretch``.
        augment: Training augmentation; None for evaluation, where every view is the same.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        records: Sequence[BoxRecord],
        canvas_wh: tuple[int, int],
        resize: ResizeMode,
        augment: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.records = tuple(records)
        self.canvas_wh = canvas_wh
        self.resize = resize
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, view_and_index: tuple[int, int]) -> Sample:
        view, index = view_and_index
        record = self.records[index]
        if self.augment is None:
            return self._plain(record)
        return self._augmented(record, self.augment, np.random.default_rng([self.seed, view, index]))

    def _plain(self, record: BoxRecord) -> Sample:
        pixels, fit = fit_image(read_image(record.path), self.canvas_wh, self.resize)
        everything = np.ones(len(record.labels), dtype=np.bool_)
        return _sample(record, pixels, fit.to_canvas(record.boxes_xyxy), everything, fit)

    def _augmented(self, record: BoxRecord, augment: AugmentConfig, generator: np.random.Generator) -> Sample:
        image = read_image(record.path)
        fit = Fit.of(image.size, self.canvas_wh, self.resize)
        placement = draw_placement(augment, fit, generator)
        pixels = render(image, self.canvas_wh, placement, draw_colour(augment, generator))
        boxes_xyxy = place_boxes(record.boxes_xyxy, image.size, self.canvas_wh, placement)
        clipped, keep = clip_boxes(boxes_xyxy, record.ignore, self.canvas_wh)
        return _sample(record, pixels, clipped, keep, fit)


def _sample(
    record: BoxRecord, pixels: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32], keep: NDArray[np.bool_], fit: Fit
) -> Sample:
    if fit.image_wh != record.size_wh:
        sizes = f"it has {fit.image_wh} pixels instead of {record.size_wh}"
        raise DataError("An image changed after it was checked:", [f"{record.path}: {sizes}"])
    boxes = Boxes2D(
        torch.from_numpy(boxes_xyxy[keep]), torch.from_numpy(record.labels[keep]), torch.from_numpy(record.ignore[keep])
    )
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return Sample(image, boxes, Frame(record.id, record.path, fit))


def collate(samples: Sequence[Sample]) -> Batch[Boxes2D]:
    """Stack samples into a batch with ``image`` (B,3,H,W)."""
    return Batch(
        inputs={"image": torch.stack([sample.image for sample in samples])},
        targets=[sample.boxes for sample in samples],
        frames=[sample.frame for sample in samples],
    )

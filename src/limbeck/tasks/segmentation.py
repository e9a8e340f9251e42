"""Semantic segmentation: its data, and metrics from one confusion matrix over all images."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.core.outputs import Segmentation
from limbeck.core.samples import IGNORED_LABEL, Batch, Frame, SemanticMask
from limbeck.data.config import PartName
from limbeck.data.mask_config import MaskAugment, MaskDataConfig
from limbeck.data.mask_readers import hash_masks, mask_paths, read_mask_parts
from limbeck.data.mask_records import MaskData
from limbeck.data.masks import count_pixels, read_labels
from limbeck.data.sampling import mask_repeat_factors, pixel_weights
from limbeck.data.segmentation import MaskSample, MaskViews, collate
from limbeck.data.views import Draw
from limbeck.errors import RunFolderError
from limbeck.files import write_bytes, write_json
from limbeck.metrics.bootstrap import bootstrap_interval
from limbeck.metrics.boundary import BOUNDARY_COUNTS, boundary_counts
from limbeck.metrics.segmentation import SegmentationCounts, confusion_matrix, evaluate
from limbeck.tasks.base import IMAGE, PictureTask, Tally, check_inputs

COUNTS = "counts.npz"
PREDICTIONS, TRUTH = "predictions", "truth"
"""Folders of label maps, one png per validation image, numbered in the order of the images."""


class MaskTally(Tally[Segmentation]):
    """The class maps of one model on one part of the data.

    Args:
        task: Gives the true labels.
        thorough: Count the boundaries too, which takes longer than all else, and keep the maps.
    """

    def __init__(self, task: SegmentationTask, thorough: bool) -> None:
        self._task = task
        self._thorough = thorough
        images, count = len(task.places), len(task.classes)
        self._confusion = np.zeros((images, count, count), np.int64)
        self._boundary = np.zeros((images, count, len(BOUNDARY_COUNTS)), np.int64)
        self._maps: dict[int, bytes] = {}

    def add(self, predictions: Sequence[Segmentation], frames: Sequence[Frame]) -> None:
        """Take the class maps of some images."""
        count = len(self._task.classes)
        for found, frame in zip(predictions, frames, strict=True):
            place, labels, predicted = self._task.places[frame.id], self._task.labels(frame), found.labels.cpu().numpy()
            self._confusion[place] = confusion_matrix(labels, predicted, count)
            if self._thorough:
                self._boundary[place] = boundary_counts(labels, predicted, count)
                self._maps[place] = _png(predicted)

    def metrics(self) -> dict[str, float]:
        """Return the metrics over all images; that of the boundaries if they were counted."""
        found = evaluate(self.counts).metrics
        return found if self._thorough else {name: value for name, value in found.items() if name != "boundary_F"}

    @property
    def counts(self) -> SegmentationCounts:
        """Pixels by true and predicted class, image by image."""
        return SegmentationCounts(self._task.classes, self._confusion, self._boundary)

    def scores(self, samples: int, seed: int, chosen_on: Tally[Segmentation]) -> dict[str, Any]:
        """Return the metrics with intervals, those of each class, the confusion matrix, and the mIoU of each image."""
        found = evaluate(self.counts)
        return {
            "metrics": found.metrics,
            "intervals": bootstrap_interval(self.counts, samples, seed),
            "per_class": found.per_class,
            "confusion": found.confusion.tolist(),
            "image_IoU": [_image_iou(confusion) for confusion in self._confusion],
        }

    def write(self, folder: Path) -> None:
        """Write ``counts.npz`` and the class maps."""
        self.counts.save(folder / COUNTS)
        _write_maps(folder / PREDICTIONS, (self._maps[place] for place in sorted(self._maps)))


def _image_iou(confusion: NDArray[np.int64]) -> float | None:
    """Return the mean IoU of one image over the classes that its truth has; None where no pixel counts."""
    hits, truth = confusion.diagonal(), confusion.sum(axis=1)
    union = truth + confusion.sum(axis=0) - hits
    there = truth > 0
    return float((hits[there] / union[there]).mean()) if there.any() else None


def _png(labels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(labels).save(content, "png")
    return content.getvalue()


def _write_maps(folder: Path, maps: Iterable[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(maps):
        write_bytes(folder / f"{number:05d}.png", content)


@dataclass(frozen=True)
class SegmentationTask(PictureTask[SemanticMask, Segmentation, MaskData]):
    """Semantic segmentation of RGB images with any number of aligned X maps."""

    shown_metrics = ("mIoU", "mF")
    answers = COUNTS

    config: MaskDataConfig

    @classmethod
    def load(cls, config: MaskDataConfig, verify_pixels: bool = False) -> SegmentationTask:
        """Read and check all parts of a data set.

        Raises:
            DataError: All that is missing or broken.
        """
        parts = read_mask_parts(config, verify_pixels)
        return cls(config, parts["train"], parts["val"], parts.get("test"))

    def labels(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the true label of every pixel of a validation image, (H,W); `IGNORED_LABEL` where none counts.

        Raises:
            DataError: The mask cannot be read.
        """
        return read_labels(self.val.records[self.places[frame.id]], self.val.code)

    def read_maps(self, frame: Frame, names: Collection[str]) -> dict[str, NDArray[np.float32]]:
        """Return the X maps of a validation image by name, (C,H,W) each on the network's canvas.

        Raises:
            DataError: A map cannot be read.
            IncompatibleError: The data has no such map.
        """
        if not names:
            return {}
        check_inputs(names, self.inputs)
        sample = self.val_views(names)[Draw(0, self.places[frame.id])]
        return {name: sample.inputs[name].numpy() for name in names}

    def _views(
        self,
        data: MaskData,
        inputs: Collection[str],
        augment: MaskAugment | None = None,
        seed: int = 0,
        class_weights: NDArray[np.float32] | None = None,
    ) -> MaskViews:
        return MaskViews(
            data,
            self.config.size,
            self.config.resize,
            modalities=[name for name in inputs if name not in IMAGE],
            augment=augment,
            seed=seed,
            class_weights=class_weights,
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The image and the X maps."""
        return (*IMAGE, *self.config.x)

    def train_views(self, seed: int, inputs: Collection[str]) -> MaskViews:
        """Return augmented samples of the training part with the inputs named."""
        weights = None
        if self.config.class_weights is not None:
            weights = pixel_weights(self._train_pixels, self.classes, self.config.class_weights)
        return self._views(self.train, inputs, self.config.augment, seed, weights)

    def val_views(self, inputs: Collection[str]) -> MaskViews:
        """Return plain samples of the validation part with the inputs named."""
        return self._views(self.val, inputs)

    @staticmethod
    def collate(samples: list[MaskSample]) -> Batch[SemanticMask]:
        """Stack samples into a batch."""
        return collate(samples)

    def repeats(self, threshold: float) -> NDArray[np.float64]:
        """Return how often each training image is shown per epoch where rare classes are shown more often."""
        return mask_repeat_factors(self._train_pixels, threshold)

    @cached_property
    def _train_pixels(self) -> NDArray[np.int64]:
        """Pixels of each class and ignored ones of every training image, (I,K+1); all masks are read for it."""
        return count_pixels(self.train.records, self.train.code, len(self.classes))

    def tally(self, *, thorough: bool = False) -> MaskTally:
        """Return an empty tally of the validation part."""
        return MaskTally(self, thorough)

    def read_counts(self, folder: Path) -> SegmentationCounts:
        """Return what was counted of a model."""
        counts = SegmentationCounts.load(folder / COUNTS)
        if counts.classes != self.classes or counts.num_images != len(self.val.records):
            raise RunFolderError(f"{folder / COUNTS} does not fit the validation images or their classes.")
        return counts

    def write_truth(self, folder: Path) -> None:
        """Write ``truth.json``, which lists the validation images, and their label maps."""
        images = [
            {
                "id": record.id,
                "file_name": str(record.path.relative_to(self.config.val.images)),
                "size_wh": record.size_wh,
            }
            for record in self.val.records
        ]
        content = {"task": "segmentation", "classes": self.classes, "ignored_label": IGNORED_LABEL, "images": images}
        _write_maps(folder / TRUTH, (_png(self.labels(frame)) for frame in self.frames["val"]))
        write_json(folder / "truth.json", content)

    def annotation_paths(self, part: PartName) -> list[Path]:
        """Return the files and folders that decide what the images of a part are labelled with."""
        return mask_paths(self.config, part)

    def hash_annotations(self) -> dict[str, str]:
        """Return the sha256 of all of them, by path."""
        return hash_masks(self.config)

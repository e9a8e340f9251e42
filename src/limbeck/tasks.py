"""The one place that knows what belongs to a task: its data, its metric and its result format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from limbeck.core.outputs import Detections2D
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.data.config import DataConfig
from limbeck.data.detection2d import DetectionViews, Sample, collate
from limbeck.data.readers import read_all_parts
from limbeck.data.records import BoxData
from limbeck.data.sampling import class_weights, repeat_factors
from limbeck.data.views import ViewLoader
from limbeck.metrics.coco import BoxMetrics, CocoResult, CocoTruth, evaluate

EVAL_BATCH = 8


@dataclass(frozen=True)
class Detection2DTask:
    """2D detection: a data set that was read and checked, and how its answers are measured.

    Attributes:
        config: Where the data is and how it is fitted and augmented.
        train: The training part.
        val: The validation part.
        truth: What should be found in the validation part.
        test: The test part; None where there is none. Nothing is trained on it or chosen by it.
    """

    main_metric = "AP"

    config: DataConfig
    train: BoxData
    val: BoxData
    truth: CocoTruth
    test: BoxData | None = None

    @classmethod
    def load(cls, config: DataConfig, verify_pixels: bool = False) -> Detection2DTask:
        """Read and check all parts of a data set.

        Raises:
            DataError: All that is missing or broken.
        """
        parts = read_all_parts(config, verify_pixels)
        val = parts["val"]
        return cls(config, parts["train"], val, _truth(val, config.val.images), parts.get("test"))

    @property
    def on_test(self) -> Detection2DTask | None:
        """The same task with the test part in the place of the validation part; None where there is none."""
        if self.test is None or self.config.test is None:
            return None
        config = self.config.model_copy(update={"val": self.config.test, "test": None})
        return replace(self, config=config, val=self.test, truth=_truth(self.test, config.val.images), test=None)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return self.train.classes

    @property
    def skipped(self) -> tuple[str, ...]:
        """One sentence for everything that was left out."""
        return self.train.skipped + self.val.skipped + (self.test.skipped if self.test is not None else ())

    def train_loader(
        self, batch_size: int, *, seed: int, workers: int, rank: int = 0, world_size: int = 1
    ) -> ViewLoader[Sample, Batch[Boxes2D]]:
        """Return augmented, shuffled batches of the training part.

        Raises:
            ConfigError: The settings weigh a class that the data does not have.
        """
        config, records = self.config, self.train.records
        weights = None
        if config.class_weights is not None:
            weights = class_weights(records, self.classes, config.class_weights)
        views = DetectionViews(records, config.size, config.resize, config.augment, seed=seed, class_weights=weights)
        return ViewLoader(
            views,
            batch_size,
            collate,
            seed=seed,
            shuffle=True,
            drop_last=True,
            workers=workers,
            views=config.views,
            rank=rank,
            world_size=world_size,
            repeats=None if config.repeat_threshold is None else repeat_factors(records, config.repeat_threshold),
            canvases=config.canvases,
        )

    def val_loader(self, batch_size: int = EVAL_BATCH) -> ViewLoader[Sample, Batch[Boxes2D]]:
        """Return plain batches of the validation part, every image once."""
        views = DetectionViews(self.val.records, self.config.size, self.config.resize)
        return ViewLoader(views, batch_size, collate)

    def results(self, detections: Sequence[Detections2D], frames: Sequence[Frame]) -> list[CocoResult]:
        """Return detections in the COCO result format."""
        return [row for found, frame in zip(detections, frames, strict=True) for row in self._rows(found, frame)]

    def _rows(self, found: Detections2D, frame: Frame) -> Iterable[CocoResult]:
        boxes = found.boxes_xyxy.double().cpu()
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
        for box, score, label in zip(xywh, found.scores.tolist(), found.labels.tolist(), strict=True):
            yield {
                "image_id": frame.id,
                "category_id": self.val.category_ids[label],
                "bbox": box,
                "score": score,
            }

    def evaluate(self, results: Sequence[CocoResult]) -> BoxMetrics:
        """Measure results on the validation part."""
        return evaluate(self.truth, results)


def _truth(data: BoxData, images_dir: Path) -> CocoTruth:
    return CocoTruth.from_records(data.records, data.classes, data.category_ids, images_dir)

"""2D detection: its data, the COCO metrics and the image-level rates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from limbeck.core.outputs import Detections2D
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.data.config import DataConfig, PartName
from limbeck.data.detection2d import DetectionViews, Sample, collate
from limbeck.data.readers import annotation_paths, hash_annotations, read_all_parts
from limbeck.data.records import BoxData
from limbeck.data.sampling import class_weights, repeat_factors
from limbeck.errors import DataError, RunFolderError, first_detail
from limbeck.files import write_json, write_json_list
from limbeck.metrics.bootstrap import bootstrap_interval
from limbeck.metrics.coco import CocoResult, CocoTruth, check_predictions, evaluate
from limbeck.metrics.fault_rates import (
    RATES,
    SWEEP,
    ImageScores,
    image_scores,
    operating_threshold,
    rate_intervals,
    rates_at,
)
from limbeck.metrics.matching import Matches, match
from limbeck.tasks.base import PictureTask, Tally

PREDICTIONS = "predictions.json"


class BoxTally(Tally[Detections2D]):
    """The detections of one model on one part of the data.

    Args:
        truth: What should be found.
        category_ids: The COCO category id of each class.

    Attributes:
        results: The detections in the COCO result format.
    """

    def __init__(self, truth: CocoTruth, category_ids: Sequence[int]) -> None:
        self.truth = truth
        self.results: list[CocoResult] = []
        self._category_ids = category_ids
        self._counts: Matches | None = None

    def add(self, predictions: Sequence[Detections2D], frames: Sequence[Frame]) -> None:
        """Take the detections of some images."""
        self._counts = None
        for found, frame in zip(predictions, frames, strict=True):
            self.results += self._rows(found, frame)

    def _rows(self, found: Detections2D, frame: Frame) -> Iterable[CocoResult]:
        boxes = found.boxes_xyxy.double().cpu()
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
        for box, score, label in zip(xywh, found.scores.tolist(), found.labels.tolist(), strict=True):
            yield {"image_id": frame.id, "category_id": self._category_ids[label], "bbox": box, "score": score}

    def metrics(self) -> dict[str, float]:
        """Return the COCO metrics."""
        return evaluate(self.truth, self.results).metrics

    @property
    def counts(self) -> Matches:
        """Which detection found which object."""
        if self._counts is None:
            self._counts = match(self.truth, self.results)
        return self._counts

    @property
    def images(self) -> ImageScores:
        """What the image-level rates are made of."""
        return image_scores(self.truth, self.results)

    def scores(self, samples: int, seed: int, chosen_on: Tally[Detections2D]) -> dict[str, Any]:
        """Return metrics and image-level rates with intervals; no rates where no image counts in one of the parts."""
        assert isinstance(chosen_on, BoxTally)
        found, images = evaluate(self.truth, self.results), self.images
        at = threshold_of(chosen_on)
        measurable = (
            at is not None and len(images.top_score) > 0
        )  # not where all images hold nothing but ignore regions
        return {
            "metrics": found.metrics,
            "intervals": bootstrap_interval(self.counts, samples, seed),
            "per_class": found.per_class,
            "pr_curves": found.pr_curves,
            "fault_rates": fault_rates(images, at, samples, seed) if at is not None and measurable else None,
        }

    def write(self, folder: Path) -> None:
        """Write ``predictions.json``."""
        write_json_list(folder / PREDICTIONS, self.results)


def threshold_of(tally: BoxTally) -> float | None:
    """Return the score above which an image is best called faulty, see `operating_threshold`; None without images."""
    images = tally.images
    return operating_threshold(images) if len(images.top_score) else None


def fault_rates(scores: ImageScores, threshold: float, samples: int, seed: int) -> dict[str, Any]:
    """Return the image-level rates at a threshold with their intervals, and the sweep over all thresholds.

    Args:
        scores: Of the images of one part, at least one.
        threshold: What the best score of an image must exceed.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """
    return {
        "threshold": threshold,
        "images": len(scores.top_score),
        "images_with_objects": int(scores.has_object.sum()),
        "images_left_out": scores.left_out,
        "rates": dict(zip(RATES, rates_at(scores, [threshold])[0].tolist(), strict=True)),
        "intervals": rate_intervals(scores, threshold, samples, seed),
        "sweep": [
            {"threshold": float(at), **dict(zip(RATES, row, strict=True))}
            for at, row in zip(SWEEP, rates_at(scores, SWEEP).tolist(), strict=True)
        ],
    }


def read_predictions(folder: Path, truth: CocoTruth) -> list[CocoResult]:
    """Read the detections of the model in a folder.

    Args:
        folder: The folder.
        truth: What they must fit.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    path = folder / PREDICTIONS
    try:
        predictions = TypeAdapter(list[CocoResult]).validate_json(path.read_bytes())
        check_predictions(truth, predictions)
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing.") from None
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except ValidationError as error:
        raise RunFolderError(f"{path} cannot be used: {first_detail(error.errors())}.") from error
    except DataError as error:
        raise RunFolderError(f"{path} does not fit truth.json: {error.problems[0]}.") from error
    return predictions


@dataclass(frozen=True)
class Detection2DTask(PictureTask[Boxes2D, Detections2D, BoxData]):
    """2D detection."""

    shown_metrics = ("AP", "AP50")
    answers = PREDICTIONS

    config: DataConfig

    @classmethod
    def load(cls, config: DataConfig, verify_pixels: bool = False) -> Detection2DTask:
        """Read and check all parts of a data set.

        Raises:
            DataError: All that is missing or broken.
        """
        parts = read_all_parts(config, verify_pixels)
        return cls(config, parts["train"], parts["val"], parts.get("test"))

    @cached_property
    def truth(self) -> CocoTruth:
        """What should be found in the validation part."""
        val = self.val
        return CocoTruth.from_records(val.records, val.classes, val.category_ids, self.config.val.images)

    def train_views(self, seed: int, inputs: Collection[str]) -> DetectionViews:
        """Return augmented samples of the training part."""
        config, records = self.config, self.train.records
        weights = None
        if config.class_weights is not None:
            weights = class_weights(records, self.classes, config.class_weights)
        return DetectionViews(records, config.size, config.resize, config.augment, seed=seed, class_weights=weights)

    def val_views(self, inputs: Collection[str]) -> DetectionViews:
        """Return plain samples of the validation part."""
        return DetectionViews(self.val.records, self.config.size, self.config.resize)

    @staticmethod
    def collate(samples: list[Sample]) -> Batch[Boxes2D]:
        """Stack samples into a batch."""
        return collate(samples)

    def repeats(self, threshold: float) -> NDArray[np.float64]:
        """Return how often each training image is shown per epoch where rare classes are shown more often."""
        return repeat_factors(self.train.records, threshold)

    def tally(self, *, thorough: bool = False) -> BoxTally:
        """Return an empty tally of the validation part."""
        return BoxTally(self.truth, self.val.category_ids)

    def read_counts(self, folder: Path) -> Matches:
        """Return which of the detections in ``predictions.json`` found which object."""
        return match(self.truth, read_predictions(folder, self.truth))

    def write_truth(self, folder: Path) -> None:
        """Write ``truth.json`` in the COCO format."""
        write_json(folder / "truth.json", self.truth.to_json())

    def annotation_paths(self, part: PartName) -> list[Path]:
        """Return the files and folders that decide what the images of a part are labelled with."""
        return annotation_paths(self.config, part)

    def hash_annotations(self) -> dict[str, str]:
        """Return the sha256 of all of them, by path."""
        return hash_annotations(self.config)

"""LiDAR 3D detection: its data, and the metrics of nuScenes, KITTI and Waymo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.core.model import InputSize
from limbeck.core.outputs import Detections3D
from limbeck.core.samples import Batch, Boxes3D, Frame
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_ignore import beyond, ignored_objects
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.cloud_records import CloudData, CloudRecord
from limbeck.data.cloud_sources import cloud_label_paths, hash_cloud_labels
from limbeck.data.config import PartName
from limbeck.data.detection3d import CloudSample, CloudViews, collate
from limbeck.data.sampling import repeat_factors
from limbeck.errors import RunFolderError
from limbeck.files import write_json, write_json_list
from limbeck.metrics.bootstrap import bootstrap_interval
from limbeck.metrics.boxes3d import Found3D, FoundBoxes, Truth3D
from limbeck.metrics.counts3d import Counts3D
from limbeck.metrics.detection3d import Metrics3D, evaluate
from limbeck.point_files.point_format import PointFormat
from limbeck.tasks.base import Tally, TaskData

COUNTS = "counts.npz"
PREDICTIONS = "predictions.json"
POINTS = ("points",)
MEASURED_CLOUDS = 20
"""The size of a typical cloud is the median of so many of them: each has to be read."""


class CloudTally(Tally[Detections3D]):
    """The detections of one model on one part of the data.

    Args:
        task: Says what should be found.
    """

    def __init__(self, task: Detection3DTask) -> None:
        self._task = task
        self._found: dict[int, FoundBoxes] = {}
        self._measured: Metrics3D | None = None

    def add(self, predictions: Sequence[Detections3D], frames: Sequence[Frame]) -> None:
        """Take the detections of some clouds, without those beyond the range in which objects count."""
        self._measured, task = None, self._task
        for found, frame in zip(predictions, frames, strict=True):
            boxes, scores, labels = (side.cpu().numpy() for side in (found.boxes, found.scores, found.labels))
            near = ~beyond(boxes, labels, task.classes, task.config.max_range)
            velocities = None if found.velocities is None else found.velocities.cpu().numpy()[near]
            self._found[task.places[frame.id]] = FoundBoxes(boxes[near], scores[near], labels[near], velocities)

    @property
    def found(self) -> Found3D:
        """The detections of all clouds in their order; a cloud without an answer has none."""
        nothing = FoundBoxes(np.zeros((0, 7)), np.zeros(0), np.zeros(0, np.int64))
        return Found3D(tuple(self._found.get(place, nothing) for place in range(len(self._task.places))))

    @property
    def measured(self) -> Metrics3D:
        """All metrics over all clouds, those of each class and by range too."""
        if self._measured is None:
            self._measured = evaluate(self._task.truth, self.found, self._task.config.iou_thresholds)
        return self._measured

    def metrics(self) -> dict[str, float]:
        """Return the metrics over all clouds."""
        return self.measured.metrics

    @property
    def counts(self) -> Counts3D:
        """Which detection found which object."""
        return self.measured.counts

    def scores(self, samples: int, seed: int, chosen_on: Tally[Detections3D]) -> dict[str, Any]:
        """Return the metrics with intervals, those of each class and range, and precision by recall."""
        measured = self.measured
        return {
            "metrics": measured.metrics,
            "intervals": bootstrap_interval(self.counts, samples, seed),
            "per_class": measured.per_class,
            "by_range": measured.by_range,
            "pr_curves": measured.pr_curves,
        }

    def write(self, folder: Path) -> None:
        """Write ``counts.npz`` and ``predictions.json``."""
        self.counts.save(folder / COUNTS)
        frames = zip(self._task.truth.frame_ids, self.found.frames, strict=True)
        write_json_list(folder / PREDICTIONS, ({"id": frame_id, **_plain(found)} for frame_id, found in frames))


def _plain(found: FoundBoxes) -> dict[str, Any]:
    velocities = None if found.velocities is None else found.velocities.tolist()
    return {
        "boxes": found.boxes.tolist(),
        "scores": found.scores.tolist(),
        "labels": found.labels.tolist(),
        "velocities": velocities,
    }


@dataclass(frozen=True)
class Detection3DTask(TaskData[Boxes3D, Detections3D, CloudData]):
    """LiDAR 3D detection."""

    shown_metrics = ("mAP", "NDS")
    answers = COUNTS

    config: CloudDataConfig

    @classmethod
    def load(cls, config: CloudDataConfig, verify: bool = False) -> Detection3DTask:
        """Read and check all parts of a data set.

        Raises:
            DataError: All that is missing or broken.
        """
        parts = read_cloud_parts(config, verify)
        return cls(config, parts["train"], parts["val"], parts.get("test"))

    @cached_property
    def truth(self) -> Truth3D:
        """What should be found in the validation part."""
        records = [replace(record, ignore=self._ignored(record)) for record in self.val.records]
        return Truth3D.from_records(records, self.classes)

    def _ignored(self, record: CloudRecord) -> NDArray[np.bool_]:
        return ignored_objects(record, self.classes, self.config.max_range, self.config.min_points)

    @cached_property
    def size(self) -> InputSize:
        """The median number of points of some of the validation clouds, evenly drawn."""
        records = self.val.records[:: -(-len(self.val.records) // MEASURED_CLOUDS)]
        return (int(np.median([len(read_points(record, self.val)) for record in records])),)

    @property
    def form(self) -> PointFormat:
        """What the points of the clouds consist of."""
        return self.val.form

    @property
    def inputs(self) -> tuple[str, ...]:
        """The points."""
        return POINTS

    def train_views(self, seed: int, inputs: Collection[str]) -> CloudViews:
        """Return augmented samples of the training part."""
        config = self.config
        return CloudViews(
            self.train, max_range=config.max_range, min_points=config.min_points, augment=config.augment, seed=seed
        )

    def val_views(self, inputs: Collection[str]) -> CloudViews:
        """Return plain samples of the validation part."""
        return CloudViews(self.val, max_range=self.config.max_range, min_points=self.config.min_points)

    @staticmethod
    def collate(samples: list[CloudSample]) -> Batch[Boxes3D]:
        """Put samples into a batch."""
        return collate(samples)

    def repeats(self, threshold: float) -> NDArray[np.float64]:
        """Return how often each training cloud is shown per epoch where rare classes are shown more often."""
        return repeat_factors(self.train.records, threshold)

    def tally(self, *, thorough: bool = False) -> CloudTally:
        """Return an empty tally of the validation part."""
        return CloudTally(self)

    def read_counts(self, folder: Path) -> Counts3D:
        """Return which detection of a model found which object."""
        counts = Counts3D.load(folder / COUNTS)
        if counts.classes != self.classes or counts.num_images != len(self.val.records):
            raise RunFolderError(f"{folder / COUNTS} does not fit the validation clouds or their classes.")
        return counts

    def write_truth(self, folder: Path) -> None:
        """Write ``truth.json``, which lists the validation clouds with their objects."""
        frames = [
            {
                "id": record.id,
                "file_name": record.path.name,
                "boxes": record.boxes.tolist(),
                "labels": record.labels.tolist(),
                "ignore": self._ignored(record).tolist(),
            }
            for record in self.val.records
        ]
        write_json(folder / "truth.json", {"task": "detection3d", "classes": self.classes, "frames": frames})

    def annotation_paths(self, part: PartName) -> list[Path]:
        """Return the files and folders that decide what the clouds of a part are labelled with."""
        return cloud_label_paths(self.config, part)

    def hash_annotations(self) -> dict[str, str]:
        """Return the sha256 of all of them, by path."""
        return hash_cloud_labels(self.config)

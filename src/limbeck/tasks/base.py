"""The contract of a task: its data, how answers are measured on it, and what of that is kept in a run folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from limbeck.core.model import InputSize, PredictionT
from limbeck.core.samples import Batch, Frame, TargetT
from limbeck.data.config import AnyDataConfig, PartName, PictureDataConfig
from limbeck.data.views import ViewLoader
from limbeck.errors import IncompatibleError, nearest
from limbeck.imaging import ResizeMode
from limbeck.metrics.bootstrap import ImageCounts
from limbeck.point_files.point_format import PointFormat

EVAL_BATCH = 8
IMAGE = ("image",)
"""The inputs of a model that reads nothing but RGB images."""


class Tally(ABC, Generic[PredictionT]):
    """The answers of one model on one part of the data. Abstract; it measures what it was given so far."""

    @abstractmethod
    def add(self, predictions: Sequence[PredictionT], frames: Sequence[Frame]) -> None:
        """Take the answers for some images, each once."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return the metrics by name, -1 where undefined."""

    @property
    @abstractmethod
    def counts(self) -> ImageCounts:
        """What the bootstrap resamples image by image."""

    @abstractmethod
    def scores(self, samples: int, seed: int, chosen_on: Tally[PredictionT]) -> dict[str, Any]:
        """Return all that is measured, as it stands in ``evaluation.json``.

        Args:
            samples: Resamples of the bootstrap.
            seed: Seed of the bootstrap.
            chosen_on: The same model's answers on the validation part, by which thresholds are chosen.
        """

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the answers into the folder of the model."""


class Record(Protocol):
    """What all readers say of an image."""

    @property
    def id(self) -> int | str: ...  # noqa: D102
    @property
    def path(self) -> Path: ...  # noqa: D102


class PartData(Protocol):
    """What all readers return of one part: its images, its class names, a sentence for everything left out."""

    @property
    def records(self) -> Sequence[Record]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def skipped(self) -> tuple[str, ...]: ...  # noqa: D102


PartT = TypeVar("PartT", bound=PartData)


@dataclass(frozen=True)
class TaskData(ABC, Generic[TargetT, PredictionT, PartT]):
    """A data set that was read and checked, and how answers are measured on it. Abstract; one class per task.

    Attributes:
        shown_metrics: The metrics of which a line of text speaks, the main one first.
        answers: The file that `Tally.write` leaves in a model's folder.
        config: Where the data is and how it is fitted and augmented.
        train: The training part.
        val: The validation part.
        test: The test part; None where there is none. Nothing is trained on it or chosen by it.
    """

    shown_metrics: ClassVar[tuple[str, str]]
    answers: ClassVar[str]

    config: AnyDataConfig
    train: PartT
    val: PartT
    test: PartT | None = None

    @property
    def main_metric(self) -> str:
        """The metric by which the best epoch is chosen and the gap is measured."""
        return self.shown_metrics[0]

    @property
    def parts(self) -> dict[PartName, PartT]:
        """The parts that there are, by name."""
        parts: dict[PartName, PartT | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return self.train.classes

    @property
    def skipped(self) -> tuple[str, ...]:
        """One sentence for everything that was left out."""
        return tuple(sentence for part in self.parts.values() for sentence in part.skipped)

    @property
    def frames(self) -> dict[PartName, list[Frame]]:
        """The images of every part that there is, without a fit."""
        return {name: [Frame(record.id, record.path) for record in part.records] for name, part in self.parts.items()}

    @property
    @abstractmethod
    def size(self) -> InputSize:
        """What the models of the task are measured with."""

    @property
    def canvas_wh(self) -> tuple[int, int] | None:
        """Width and height of the networks' input in pixels; None where there is no canvas, which is the default."""
        return None

    @property
    def resize(self) -> ResizeMode | None:
        """How an image is fitted onto the canvas; None where there is none, which is the default."""
        return None

    @property
    def form(self) -> PointFormat | None:
        """What the points of its clouds consist of; None where it has none, which is the default."""
        return None

    @property
    def on_test(self) -> Self | None:
        """The same task with the test part in the place of the validation part; None where there is none."""
        if self.test is None or self.config.test is None:
            return None
        config = self.config.model_copy(update={"val": self.config.test, "test": None})
        return replace(self, config=config, val=self.test, test=None)

    @cached_property
    def places(self) -> dict[int | str, int]:
        """The place of each validation image in their order, by its id."""
        return {record.id: place for place, record in enumerate(self.val.records)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that the data has; by default images alone."""
        return IMAGE

    @abstractmethod
    def train_views(self, seed: int, inputs: Collection[str]) -> Dataset[Any]:
        """Return augmented samples of the training part with the inputs named.

        Raises:
            ConfigError: The settings name a class that the data does not have.
        """

    @abstractmethod
    def val_views(self, inputs: Collection[str]) -> Dataset[Any]:
        """Return plain samples of the validation part with the inputs named."""

    @staticmethod
    @abstractmethod
    def collate(samples: list[Any]) -> Batch[TargetT]:
        """Stack samples into a batch."""

    @abstractmethod
    def repeats(self, threshold: float) -> NDArray[np.float64]:
        """Return how often each training image is shown per epoch where rare classes are shown more often."""

    def train_loader(
        self,
        batch_size: int,
        *,
        seed: int,
        workers: int,
        rank: int = 0,
        world_size: int = 1,
        inputs: Collection[str] = IMAGE,
    ) -> ViewLoader[Any, Batch[TargetT]]:
        """Return augmented, shuffled batches of the training part, with the inputs named.

        Raises:
            ConfigError: The settings name a class that the data does not have.
            IncompatibleError: The data has no such input.
        """
        check_inputs(inputs, self.inputs)
        config = self.config
        return ViewLoader(
            self.train_views(seed, inputs),
            batch_size,
            self.collate,
            seed=seed,
            shuffle=True,
            drop_last=True,
            workers=workers,
            views=config.views,
            rank=rank,
            world_size=world_size,
            repeats=None if config.repeat_threshold is None else self.repeats(config.repeat_threshold),
            canvases=config.canvases,
        )

    def val_loader(
        self, batch_size: int = EVAL_BATCH, inputs: Collection[str] = IMAGE
    ) -> ViewLoader[Any, Batch[TargetT]]:
        """Return plain batches of the validation part, every image once, with the inputs named.

        Raises:
            IncompatibleError: The data has no such input.
        """
        check_inputs(inputs, self.inputs)
        return ViewLoader(self.val_views(inputs), batch_size, self.collate)

    @abstractmethod
    def tally(self, *, thorough: bool = False) -> Tally[PredictionT]:
        """Return an empty tally of the validation part.

        Args:
            thorough: Whether more than its `Tally.metrics` will be asked for.
        """

    @abstractmethod
    def read_counts(self, folder: Path) -> ImageCounts:
        """Return what `Tally.write` left in a model's folder, for the bootstrap.

        Raises:
            RunFolderError: A file is missing, cut off, or does not fit the data.
        """

    @abstractmethod
    def write_truth(self, folder: Path) -> None:
        """Write what should be found in the validation images into the run folder."""

    @abstractmethod
    def annotation_paths(self, part: PartName) -> list[Path]:
        """Return the files and folders that decide what the images of a part are labelled with; none without it."""

    @abstractmethod
    def hash_annotations(self) -> dict[str, str]:
        """Return the sha256 of all `annotation_paths`, by path."""


@dataclass(frozen=True)
class PictureTask(TaskData[TargetT, PredictionT, PartT]):
    """A data set of images. Abstract."""

    config: PictureDataConfig

    @property
    def size(self) -> InputSize:
        """Width and height of the networks' input in pixels."""
        return self.config.size

    @property
    def canvas_wh(self) -> tuple[int, int] | None:
        """Width and height of the networks' input in pixels."""
        return self.config.size

    @property
    def resize(self) -> ResizeMode | None:
        """How an image is fitted onto it."""
        return self.config.resize


AnyTask = TaskData[Any, Any, Any]
AnyTally = Tally[Any]


def check_inputs(wanted: Collection[str], known: Collection[str]) -> None:
    """Refuse inputs that the data does not have.

    Raises:
        IncompatibleError: A model reads one.
    """
    if missing := [name for name in wanted if name not in known]:
        raise IncompatibleError(
            f"A model reads the input '{missing[0]}'{nearest(missing[0], known)}, but the data has {list(known)}."
        )

"""The contract of a task: its data, how answers are measured on it, and what of that is kept in a run folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic

from limbeck.core.model import PredictionT
from limbeck.core.samples import Batch, Frame, TargetT
from limbeck.data.config import AnyDataConfig, PartName
from limbeck.data.views import ViewLoader
from limbeck.errors import IncompatibleError, nearest
from limbeck.metrics.bootstrap import ImageCounts

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


class TaskData(ABC, Generic[TargetT, PredictionT]):
    """A data set that was read and checked, and how answers are measured on it. Abstract; one class per task.

    Attributes:
        main_metric: The metric by which the best epoch is chosen and the gap is measured.
        shown_metrics: The metrics of which a line of text speaks, the main one first.
        answers: The file that `Tally.write` leaves in a model's folder.
        config: Where the data is and how it is fitted and augmented.
    """

    main_metric: ClassVar[str]
    shown_metrics: ClassVar[tuple[str, str]]
    answers: ClassVar[str]

    config: AnyDataConfig

    @property
    @abstractmethod
    def on_test(self) -> TaskData[TargetT, PredictionT] | None:
        """The same task with the test part in the place of the validation part; None where there is none."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""

    @property
    @abstractmethod
    def skipped(self) -> tuple[str, ...]:
        """One sentence for everything that was left out."""

    @property
    @abstractmethod
    def frames(self) -> dict[PartName, list[Frame]]:
        """The images of every part that there is, without a fit."""

    @abstractmethod
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

    @abstractmethod
    def val_loader(
        self, batch_size: int = EVAL_BATCH, inputs: Collection[str] = IMAGE
    ) -> ViewLoader[Any, Batch[TargetT]]:
        """Return plain batches of the validation part, every image once, with the inputs named.

        Raises:
            IncompatibleError: The data has no such input.
        """

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


AnyTask = TaskData[Any, Any]
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

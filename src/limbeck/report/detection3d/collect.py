"""Reading the run folder of a LiDAR run. The clouds stay where they are until one is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.errors import RunFolderError
from limbeck.metrics.counts3d import Counts3D
from limbeck.report.collect import (
    Bundle,
    Evaluation,
    ModelRun,
    Parity,
    PartScores,
    Run,
    read,
    read_log,
    read_run,
)
from limbeck.tasks.detection3d import COUNTS, PREDICTIONS


@dataclass(frozen=True, slots=True)
class TrueCloud:
    """What should be found in a validation cloud; the boxes are coded as in `limbeck.core.samples.Boxes3D`."""

    id: int | str
    file_name: str
    boxes: list[list[float]]
    labels: list[int]
    ignore: list[bool]

    @property
    def name(self) -> str:
        """The file, and which frame in it where the name of the file does not say that."""
        return self.file_name if Path(self.file_name).stem == self.id else f"{self.id} ({self.file_name})"


@dataclass(frozen=True, slots=True)
class CloudTruth:
    """What should be found in the validation clouds.

    Attributes:
        classes: Class names; label k is class k.
        frames: All clouds, in their order.
    """

    classes: list[str]
    frames: list[TrueCloud]


@dataclass(frozen=True, slots=True)
class FoundCloud:
    """The detections of one model in a cloud."""

    id: int | str
    boxes: list[list[float]]
    scores: list[float]
    labels: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection3DEvaluation(Evaluation):
    """What is known of one trained LiDAR detector.

    Attributes:
        by_range: The number of objects, and metrics by name, by distance from the LiDAR.
        pr_curves: 101 precisions where centres must be within 2 m, by class name.
    """

    by_range: dict[str, dict[str, float]]
    pr_curves: dict[str, list[float]]
    test: PartScores | None = None

    def summary(self) -> dict[str, Any]:
        """Return what is known as plain values, without the curves."""
        return {key: value for key, value in asdict(self).items() if key != "pr_curves"}


@dataclass(frozen=True, slots=True)
class Detection3DModel(ModelRun):
    """One LiDAR detector with its detections, and which of them found which object."""

    evaluation: Detection3DEvaluation
    counts: Counts3D
    predictions: list[FoundCloud]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely the two engines agree; the differences are the largest of all boxes, in metres, radians or m/s."""

    boxes: int
    unmatched: int
    box_difference: float
    score_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection3DParity(Parity):
    """Whether the exported LiDAR detector answers like the trained one.

    Attributes:
        network: Agreement on the boxes among which is chosen, from equal pillars.
        runtime: Agreement from the cloud to the final boxes.
        map_torch: mAP of the trained model.
        map_onnx: mAP of the exported one.
    """

    network: Agreement
    runtime: Agreement
    map_torch: float
    map_onnx: float


@dataclass(frozen=True, slots=True)
class Detection3DBundle(Bundle):
    """The exported LiDAR detector."""

    parity: Detection3DParity | None = None


Detection3DRun: TypeAlias = Run[Detection3DModel, Detection3DBundle, CloudTruth]
"""All that the report of a LiDAR run shows."""


def collect(run_dir: Path) -> Detection3DRun:
    """Read a run folder.

    Raises:
        RunFolderError: A file is missing, cut off, or does not hold what it should.
    """
    return read_run(run_dir, read(run_dir / "truth.json", CloudTruth), _read_model, Detection3DBundle)


def _read_model(folder: Path, truth: CloudTruth) -> Detection3DModel:
    evaluation = read_evaluation(folder)
    counts = Counts3D.load(folder / COUNTS)
    predictions = read(folder / PREDICTIONS, list[FoundCloud])
    if set(evaluation.per_class) != set(truth.classes):
        raise _unfit(folder / "evaluation.json")
    if list(counts.classes) != truth.classes or counts.num_images != len(truth.frames):
        raise _unfit(folder / COUNTS)
    if [cloud.id for cloud in predictions] != [cloud.id for cloud in truth.frames]:
        raise _unfit(folder / PREDICTIONS)
    return Detection3DModel(evaluation, read_log(folder, evaluation.role), counts, predictions)


def _unfit(path: Path) -> RunFolderError:
    return RunFolderError(f"{path} does not fit truth.json: it is about other clouds or classes.")


def read_evaluation(folder: Path) -> Detection3DEvaluation:
    """Read what is known of the LiDAR detector in a folder.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    return read(folder / "evaluation.json", Detection3DEvaluation)

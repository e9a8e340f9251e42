"""Reading the run folder of a 2D detection run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.errors import DataError, RunFolderError
from limbeck.metrics.coco import CocoResult, CocoTruth
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
from limbeck.tasks.detection2d import read_predictions


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Image-level rates on one part, at the threshold that is best on the validation images; see `metrics.fault_rates`.

    Attributes:
        threshold: What the best score of an image must exceed.
        images: Images that count.
        images_with_objects: Those with something to find.
        rates: CDR, MDR and FDR.
        intervals: (low, high) of each.
        sweep: A threshold and the rates at it in each row.
    """

    threshold: float
    images: int
    images_with_objects: int
    rates: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    sweep: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DetectionPart(PartScores):
    """What a detector reached on the test images.

    Attributes:
        fault_rates: Image-level rates; None where there is no image to choose the threshold on, or none that counts.
    """

    fault_rates: FaultRates | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionEvaluation(Evaluation):
    """What is known of one trained detector.

    Attributes:
        pr_curves: 101 precisions at IoU 0.5 by class name.
        fault_rates: Image-level rates; None in runs of before there were any, or where no image counts.
        test: The same on the test images; None without a test part.
    """

    pr_curves: dict[str, list[float]]
    fault_rates: FaultRates | None = None
    test: DetectionPart | None = None

    def summary(self) -> dict[str, Any]:
        """Return what is known as plain values, without the curves."""
        facts = asdict(self)
        del facts["pr_curves"]
        for part in (facts, facts["test"] or {}):
            if part.get("fault_rates"):
                del part["fault_rates"]["sweep"]
        return facts


@dataclass(frozen=True, slots=True)
class DetectionModel(ModelRun):
    """One detector with its detections."""

    evaluation: DetectionEvaluation
    predictions: list[CocoResult]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely the two engines agree; differences are the largest of all detections, of boxes in pixels."""

    detections: int
    unmatched: int
    box_difference: float
    score_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionParity(Parity):
    """Whether the exported detector answers like the trained one.

    Attributes:
        canvas: Agreement on equal pixels of the network's input.
        files: Agreement from the image file to the final boxes.
        ap_torch: AP of the trained model.
        ap_onnx: AP of the exported one.
    """

    canvas: Agreement
    files: Agreement
    ap_torch: float
    ap_onnx: float


@dataclass(frozen=True, slots=True)
class DetectionBundle(Bundle):
    """The exported detector."""

    parity: DetectionParity | None = None


DetectionRun: TypeAlias = Run[DetectionModel, DetectionBundle, CocoTruth]
"""All that the report of a detection run shows."""


def collect(run_dir: Path) -> DetectionRun:
    """Read a run folder.

    Raises:
        RunFolderError: A file is missing, cut off, or does not hold what it should.
    """
    return read_run(run_dir, _read_truth(run_dir / "truth.json"), _read_model, DetectionBundle)


def _read_model(folder: Path, truth: CocoTruth) -> DetectionModel:
    evaluation = read_evaluation(folder)
    return DetectionModel(evaluation, read_log(folder, evaluation.role), read_predictions(folder, truth))


def read_evaluation(folder: Path) -> DetectionEvaluation:
    """Read what is known of the detector in a folder.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    return read(folder / "evaluation.json", DetectionEvaluation)


def _read_truth(path: Path) -> CocoTruth:
    try:
        return CocoTruth.from_json(read(path, dict[str, Any]))
    except DataError as error:
        raise RunFolderError(f"{path} is not a COCO annotation file: {error.problems[0]}.") from error

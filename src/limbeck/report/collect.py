"""Reading a finished run folder into plain values. The report looks at nothing else, except the validation images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from limbeck.errors import DataError, RunFolderError, first_detail
from limbeck.metrics.coco import CocoResult, CocoTruth, check_predictions
from limbeck.roles import ROLES, Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Latency:
    """Time per image in milliseconds, one image at a time."""

    p50: float
    p95: float
    runs: int
    threads: int | None = None


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
class PartScores:
    """What a model reached on the test images; the validation images have theirs in `Evaluation`.

    Attributes:
        data: The settings that name the images and their annotations.
        metrics: The COCO metrics, -1 where undefined.
        intervals: (low, high) of AP and AP50.
        per_class: Metrics by class name.
        fault_rates: Image-level rates; None where there is no image to choose the threshold on, or none that counts.
    """

    data: dict[str, str | None]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, dict[str, float]]
    fault_rates: FaultRates | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of one trained model; None where it was not measured (a teacher that was not trained here).

    Attributes:
        role: Teacher, control or student.
        model: Name of the detector.
        backbone: Name of its backbone.
        parameters: Number of weights.
        multiply_adds: Per image.
        weights_bytes: Size of the weight file.
        latency_ms: Time per image.
        train_seconds: Time the training took.
        epochs: Passes over the training data.
        metrics: The COCO metrics, -1 where undefined.
        intervals: (low, high) of AP and AP50.
        per_class: Metrics by class name.
        pr_curves: 101 precisions at IoU 0.5 by class name.
        fault_rates: Image-level rates; None in runs of before there were any, or where no image counts.
        test: The same on the test images; None without a test part.
        checkpoint_bytes: Size of the training checkpoint: student, methods, optimizer and averaged weights.
        train_memory_bytes: Highest memory use of the training; see `limbeck.memory`.
        test_memory_bytes: Highest memory use of a process that answers images one at a time.
    """

    role: Role
    model: str
    backbone: str | None
    parameters: int
    multiply_adds: int | None
    weights_bytes: int | None
    latency_ms: Latency | None
    train_seconds: float | None
    epochs: int | None
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, dict[str, float]]
    pr_curves: dict[str, list[float]]
    fault_rates: FaultRates | None = None
    test: PartScores | None = None
    checkpoint_bytes: int | None = None
    train_memory_bytes: int | None = None
    test_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One model: its evaluation, its detections and its training log (one dict per line).

    The log is empty for a teacher that was not trained in this run.
    """

    evaluation: Evaluation
    predictions: list[CocoResult]
    log: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Student minus control with the interval of the paired bootstrap."""

    difference: float
    low: float
    high: float
    share_above_zero: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the student came; ``gap_closed`` is None where the teacher is not better than the control."""

    gap_closed: float | None
    student_minus_control: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely the two engines agree; differences are the largest of all detections, of boxes in pixels."""

    detections: int
    unmatched: int
    box_difference: float
    score_difference: float


@dataclass(frozen=True, slots=True)
class Parity:
    """Whether the exported model answers like the trained one.

    Attributes:
        passed: The verdict.
        images: Images compared.
        canvas: Agreement on equal pixels of the network's input.
        files: Agreement from the image file to the final boxes.
        ap_torch: AP of the trained model.
        ap_onnx: AP of the exported one.
        problems: What is over its limit.
    """

    passed: bool
    images: int
    canvas: Agreement
    files: Agreement
    ap_torch: float
    ap_onnx: float
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The exported model. ``files`` maps a file name to its hash or size."""

    parity: Parity | None = None
    latency_ms: Latency | None = None
    files: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine that the run was made on."""

    processor: str
    cores: int
    memory_gib: float
    accelerator: str | None


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The data that the run was made with.

    Attributes:
        train_images: Number of training images.
        val_images: Number of validation images.
        classes: Class names.
        size: Width and height of the network's input in pixels.
        resize: How an image is fitted onto it.
        val_annotations: The annotation file of the validation images.
        val_images_dir: Their folder.
        sha256: Hashes of the annotation files.
        skipped: One sentence for everything that was left out.
        test_images: Number of test images; None without a test part.
    """

    train_images: int
    val_images: int
    classes: list[str]
    size: tuple[int, int]
    resize: str
    val_annotations: str
    val_images_dir: Path
    sha256: dict[str, str]
    skipped: list[str] = field(default_factory=list)
    test_images: int | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How the run was made."""

    name: str
    task: str
    created: datetime
    limbeck: str
    versions: dict[str, str | None]
    git: str | dict[str, Any] | None
    seed: int
    hardware: Hardware
    data: DataFacts


@dataclass(frozen=True, slots=True)
class Run:
    """All that a report shows. ``models`` holds control and student, and the teacher where the method has one."""

    facts: RunFacts
    config: str
    models: dict[Role, ModelRun]
    comparison: Comparison
    bundle: Bundle | None
    truth: CocoTruth


def collect(run_dir: Path) -> Run:
    """Read a run folder.

    Raises:
        RunFolderError: A file is missing, cut off, or does not hold what it should.
    """
    truth = _read_truth(run_dir / "truth.json")
    roles = [role for role in ROLES if role != "teacher" or (run_dir / role).is_dir()]
    return Run(
        facts=_read(run_dir / "run.json", RunFacts),
        config=_text(run_dir / "config.yaml"),
        models={role: _read_model(run_dir / role, truth) for role in roles},
        comparison=_read(run_dir / "comparison.json", Comparison),
        bundle=_read_bundle(run_dir / "bundle" / "bundle.json"),
        truth=truth,
    )


def _read_model(folder: Path, truth: CocoTruth) -> ModelRun:
    evaluation = read_evaluation(folder)
    log = folder / "metrics.jsonl"
    trained_here = evaluation.role != "teacher" or log.exists()
    return ModelRun(evaluation, read_predictions(folder, truth), _read_log(log) if trained_here else [])


def read_evaluation(folder: Path) -> Evaluation:
    """Read what is known of the model in a folder.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    return _read(folder / "evaluation.json", Evaluation)


def read_predictions(folder: Path, truth: CocoTruth) -> list[CocoResult]:
    """Read the detections of the model in a folder.

    Args:
        folder: The folder.
        truth: What they must fit.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    predictions = _read(folder / "predictions.json", list[CocoResult])
    try:
        check_predictions(truth, predictions)
    except DataError as error:
        raise RunFolderError(f"{folder / 'predictions.json'} does not fit truth.json: {error.problems[0]}.") from error
    return predictions


def _read_bundle(path: Path) -> Bundle | None:
    return _read(path, Bundle) if path.exists() else None


def _read_truth(path: Path) -> CocoTruth:
    try:
        return CocoTruth.from_json(_read(path, dict[str, Any]))
    except DataError as error:
        raise RunFolderError(f"{path} is not a COCO annotation file: {error.problems[0]}.") from error


def _read_log(path: Path) -> list[dict[str, float]]:
    lines = _text(path).splitlines()
    adapter: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])
    try:
        return [adapter.validate_python(json.loads(line)) for line in lines if line.strip()]
    except (ValidationError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} holds a line that is not a JSON object of numbers.") from error


def _read(path: Path, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_json(_text(path))
    except ValidationError as error:
        raise RunFolderError(f"{path} cannot be used: {first_detail(error.errors())}.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunFolderError(
            f"{path} is missing.", hint="Run `limbeck distill` again with the same config; it goes on where it stopped."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}.") from error

"""What run folders of all tasks hold, and how it is read. The report looks at nothing else, except the images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from limbeck.core.model import CLOUD, IMAGE, noun_of
from limbeck.errors import RunFolderError, first_detail
from limbeck.roles import ROLES, Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Latency:
    """Time per image or cloud in milliseconds, one at a time."""

    p50: float
    p95: float
    runs: int
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class PartScores:
    """What a model reached on the test images; the validation images have theirs in `Evaluation`.

    Attributes:
        data: The settings that name the images and their annotations.
        metrics: The metrics of the task, -1 where undefined.
        intervals: (low, high) of those that have one.
        per_class: Metrics by class name.
    """

    data: dict[str, Any]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is known of one trained model; None where it was not measured (a teacher that was not trained here).

    Attributes:
        role: Teacher, control or student.
        model: Name of the model.
        backbone: Name of its backbone.
        parameters: Number of weights.
        multiply_adds: Per image or cloud.
        weights_bytes: Size of the weight file.
        latency_ms: Time per image or cloud.
        train_seconds: Time the training took.
        epochs: Passes over the training data.
        metrics: The metrics of the task, -1 where undefined.
        intervals: (low, high) of those that have one.
        per_class: Metrics by class name.
        test: The same on the test images; None without a test part.
        checkpoint_bytes: Size of the training checkpoint: student, methods, optimizer and averaged weights.
        train_memory_bytes: Highest memory use of the training; see `limbeck.memory`.
        test_memory_bytes: Highest memory use of a process that answers images or clouds one at a time.
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
    test: PartScores | None = None
    checkpoint_bytes: int | None = None
    train_memory_bytes: int | None = None
    test_memory_bytes: int | None = None

    def summary(self) -> dict[str, Any]:
        """Return what is known as plain values, without curves and other long lists."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One model: its evaluation and its training log (one dict per line).

    The log is empty for a teacher that was not trained in this run.
    """

    evaluation: Evaluation
    log: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Student minus control with the interval of the paired bootstrap."""

    difference: float
    low: float
    high: float
    share_above_zero: float

    @property
    def clear(self) -> str:
        """``up`` or ``down`` where the interval leaves out zero, else empty."""
        if self.low > 0:
            return "up"
        return "down" if self.high < 0 else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the student came; ``gap_closed`` is None where the teacher is not better than the control."""

    gap_closed: float | None
    student_minus_control: dict[str, Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Whether the exported model answers like the trained one.

    Attributes:
        passed: The verdict.
        images: Images compared.
        problems: What is over its limit.
    """

    passed: bool
    images: int
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
        train_images: Number of training images, or clouds.
        val_images: Number of validation images, or clouds.
        classes: Class names.
        size: Width and height of the network's input in pixels; of clouds, how many points a typical one has.
        resize: How an image is fitted onto it; None for clouds.
        val_images_dir: The folder of the validation images, or clouds.
        sha256: Hashes of the annotation files.
        val_annotations: The annotation file of the validation images, where there is one.
        skipped: One sentence for everything that was left out.
        test_images: Number of test images, or clouds; None without a test part.
    """

    train_images: int
    val_images: int
    classes: list[str]
    size: tuple[int, ...]
    resize: str | None
    val_images_dir: Path
    sha256: dict[str, str] = field(default_factory=dict)
    val_annotations: str | None = None
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

    @property
    def noun(self) -> str:
        """What the data consists of: image or cloud."""
        return noun_of(self.task)

    @property
    def typical(self) -> str:
        """What speed was measured with: an image, or a cloud of so many points."""
        return f"{CLOUD} of {self.data.size[0]:,} points" if self.noun == CLOUD else IMAGE


ModelT = TypeVar("ModelT", bound=ModelRun, covariant=True)
BundleT = TypeVar("BundleT", bound=Bundle, covariant=True)
TruthT = TypeVar("TruthT", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Generic[ModelT, BundleT, TruthT]):
    """What a report shows.

    Attributes:
        folder: The run folder.
        facts: How the run was made.
        config: The resolved run file.
        models: Control and student, and the teacher where the method has one.
        comparison: How far the student came.
        bundle: The exported student, if there is one.
        truth: What should be found in the validation images or clouds.
    """

    folder: Path
    facts: RunFacts
    config: str
    models: Mapping[Role, ModelT]
    comparison: Comparison
    bundle: BundleT | None
    truth: TruthT


AnyRun: TypeAlias = Run[ModelRun, Bundle, object]
"""What the reports of all tasks have in common."""


@dataclass(frozen=True, slots=True)
class _TaskOfRun:
    task: str


def task_of(run_dir: Path) -> str:
    """Return the task that a run folder names.

    Raises:
        RunFolderError: ``run.json`` is missing, cut off, or names none.
    """
    return read(run_dir / "run.json", _TaskOfRun).task


def read_run(
    run_dir: Path, truth: T, read_model: Callable[[Path, T], ModelT], bundle: type[BundleT]
) -> Run[ModelT, BundleT, T]:
    """Read what a task's report shows.

    Args:
        run_dir: The run folder.
        truth: What should be found.
        read_model: Reads the folder of a model, given the truth.
        bundle: What is known of an exported model.

    Raises:
        RunFolderError: A file is missing, cut off, or does not hold what it should.
    """
    exported = run_dir / "bundle" / "bundle.json"
    folders = {role: run_dir / role for role in ROLES if role != "teacher" or (run_dir / role).is_dir()}
    return Run(
        folder=run_dir,
        facts=read(run_dir / "run.json", RunFacts),
        config=read_text(run_dir / "config.yaml"),
        models={role: read_model(folder, truth) for role, folder in folders.items()},
        comparison=read(run_dir / "comparison.json", Comparison),
        bundle=read(exported, bundle) if exported.exists() else None,
        truth=truth,
    )


def read_log(folder: Path, role: Role) -> list[dict[str, float]]:
    """Read the training log in the folder of a model; a teacher may have none.

    Raises:
        RunFolderError: The log is missing or holds a broken line.
    """
    path = folder / "metrics.jsonl"
    if role == "teacher" and not path.exists():
        return []
    adapter: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])
    try:
        return [adapter.validate_python(json.loads(line)) for line in read_text(path).splitlines() if line.strip()]
    except (ValidationError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} holds a line that is not a JSON object of numbers.") from error


def read(path: Path, kind: type[T]) -> T:
    """Read a JSON file as a dataclass or another type that pydantic knows.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    try:
        return TypeAdapter(kind).validate_json(read_text(path))
    except ValidationError as error:
        raise RunFolderError(f"{path} cannot be used: {first_detail(error.errors())}.") from error


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        RunFolderError: The file is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunFolderError(
            f"{path} is missing.", hint="Run `limbeck distill` again with the same config; it goes on where it stopped."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}.") from error

"""The tables of numbers of a segmentation run, and its sentences on the exported model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.report.collect import Difference
from limbeck.report.formats import counted, metric
from limbeck.report.segmentation.collect import (
    Agreement,
    SegmentationEvaluation,
    SegmentationParity,
    SegmentationRun,
)
from limbeck.report.wording import Row, Value, marked, metric_row
from limbeck.roles import Role

METRIC_ROWS = {
    "mIoU": ("mIoU", "mean IoU of the classes"),
    "mF": ("mF", "mean F-score of the classes"),
    "pixel_accuracy": ("Pixel accuracy", "share of pixels with the right class"),
    "mean_accuracy": ("Mean accuracy", "mean recall of the classes"),
    "fwIoU": ("fwIoU", "IoU, classes weighted by their pixels"),
    "boundary_F": ("Boundary F", "how well outlines are met"),
}
"""The metrics that are shown, with title and explanation."""
TESTED = ("mIoU", "mF", "pixel_accuracy", "boundary_F")
"""Those that are shown of the test images too."""
CLASS_METRICS = {
    "IoU": "IoU",
    "boundary_F": "boundary F",
    "F": "F-score",
    "precision": "precision",
    "recall": "recall",
}
"""What is shown of every class, by its heading."""


def score_rows(models: Sequence[SegmentationEvaluation]) -> Iterator[Row]:
    """Yield the metrics of the models side by side, those on the test images below if there are any."""
    for name, (title, note) in METRIC_ROWS.items():
        yield metric_row(name, title, note, models)
    tests = [model.test for model in models]
    if any(tests):
        for name in TESTED:
            yield metric_row(name, f"{METRIC_ROWS[name][0]}, test images", "", tests)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class with what the models reach on it.

    Attributes:
        name: Name of the class.
        share: Its share of the labelled pixels.
        values: What each model reaches, by metric.
        change: IoU of the student minus that of the control; None where it was not measured.
    """

    name: str
    share: float
    values: dict[str, dict[Role, Value]]
    change: Difference | None


def class_rows(run: SegmentationRun) -> list[ClassRow]:
    """Return the table of classes, those with the most pixels first."""
    per_class = {role: model.evaluation.per_class for role, model in run.models.items()}
    pixels = {name: values["pixels"] for name, values in per_class["student"].items()}
    total = max(sum(pixels.values()), 1)
    rows = [
        _class_row(name, pixels[name] / total, {role: classes[name] for role, classes in per_class.items()}, run)
        for name in run.truth.classes
    ]
    return sorted(rows, key=lambda row: -row.share)


def _class_row(name: str, share: float, reached: Mapping[Role, Mapping[str, float]], run: SegmentationRun) -> ClassRow:
    values = {key: marked({role: values[key] for role, values in reached.items()}) for key in CLASS_METRICS}
    defined = min(values["IoU"][role].value for role in ("control", "student")) >= 0
    change = run.comparison.student_minus_control.get(f"IoU/{name}") if defined else None
    return ClassRow(name, share, values, change)


def agreement_rows(parity: SegmentationParity) -> list[tuple[str, str]]:
    """Return how closely the exported segmenter agrees with the trained one, a title and a sentence each."""
    return [
        ("On equal pixels", _agreement(parity.canvas)),
        ("From the image files", _agreement(parity.files)),
        ("mIoU", f"{metric(parity.miou_torch)} PyTorch, {metric(parity.miou_onnx)} ONNX"),
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"{found.differing} of {counted(found.pixels, 'pixel')} with another class, {found.clearly_differing} of them "
        f"clearly; confidences differ by at most {found.confidence_difference:.2g}"
    )

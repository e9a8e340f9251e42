"""The tables of numbers of a detection run, and its sentences on the exported model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from limbeck.report.detection.collect import Agreement, DetectionEvaluation, DetectionParity, DetectionRun, FaultRates
from limbeck.report.formats import metric, optional
from limbeck.report.wording import UNMEASURED, Row, metric_row, plain_row, with_interval
from limbeck.roles import Role

METRIC_NOTES = {
    "AP": "mean over IoU 0.50 to 0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "AR100": "average recall",
}
"""The metrics that are shown, and what they say."""
RATE_NOTES = {
    "CDR": "share of images judged rightly",
    "MDR": "share with objects and no detection",
    "FDR": "share with a detection and no object",
}
"""The image-level rates and what they say."""


def score_rows(models: Sequence[DetectionEvaluation]) -> Iterator[Row]:
    """Yield the metrics and the image-level rates of the models side by side."""
    for name, note in METRIC_NOTES.items():
        yield metric_row(name, name, note, models)
    yield from _rate_rows([model.fault_rates for model in models])
    yield from _threshold_row(models)
    yield from _test_rows(models)


def _rate_rows(found: Sequence[FaultRates | None], part: str = "") -> Iterator[Row]:
    """Yield the image-level rates, unless the run is of before there were any."""
    if not any(found):
        return
    for name, note in RATE_NOTES.items():
        cells = (UNMEASURED if known is None else with_interval(name, known.rates, known.intervals) for known in found)
        yield Row(f"{name}{part}", note, tuple(cells))


def _threshold_row(models: Sequence[DetectionEvaluation]) -> Iterator[Row]:
    rates = [model.fault_rates for model in models]
    if any(rates):
        note = "score above which an image is detected, best for CDR on the validation images"
        yield plain_row("Threshold", note, [optional(found, lambda known: f"{known.threshold:.3f}") for found in rates])


def _test_rows(models: Sequence[DetectionEvaluation]) -> Iterator[Row]:
    """Yield what was measured on the test images, if there are any."""
    found = [model.test for model in models]
    if not any(found):
        return
    for name in ("AP", "AP50"):
        yield metric_row(name, f"{name}, test images", "", found)
    yield from _rate_rows([None if test is None else test.fault_rates for test in found], ", test images")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class with its AP and AP50 of every model; ``change`` is student minus control, None where undefined."""

    name: str
    objects: int
    ap: dict[Role, float]
    ap50: dict[Role, float]
    change: float | None


def class_rows(run: DetectionRun) -> list[ClassRow]:
    """Return the table of classes, those with the most objects first."""
    rows = [_class_row(run, name) for name in run.models["student"].evaluation.per_class]
    return sorted(rows, key=lambda row: -row.objects)


def _class_row(run: DetectionRun, name: str) -> ClassRow:
    values = {role: model.evaluation.per_class[name] for role, model in run.models.items()}
    ap = {role: value["AP"] for role, value in values.items()}
    defined = ap["student"] >= 0 and ap["control"] >= 0
    return ClassRow(
        name=name,
        objects=round(values["student"]["objects"]),
        ap=ap,
        ap50={role: value["AP50"] for role, value in values.items()},
        change=ap["student"] - ap["control"] if defined else None,
    )


def agreement_rows(parity: DetectionParity) -> list[tuple[str, str]]:
    """Return how closely the exported detector agrees with the trained one, a title and a sentence each."""
    return [
        ("On equal pixels", _agreement(parity.canvas)),
        ("From the image files", _agreement(parity.files)),
        ("AP", f"{metric(parity.ap_torch)} PyTorch, {metric(parity.ap_onnx)} ONNX"),
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"boxes differ by at most {found.box_difference:.3g} pixels, scores by at most {found.score_difference:.2g}; "
        f"{found.unmatched} of {found.detections} detections without a counterpart"
    )

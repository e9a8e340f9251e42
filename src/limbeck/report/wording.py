"""The report's sentences and tables of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.report.collect import Comparison, Difference, Evaluation, FaultRates, Run
from limbeck.report.formats import UNKNOWN, count, counted, duration, metric, optional, percent, signed, size


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened, in plain words; ``outcome`` is better, worse or level."""

    outcome: str
    headline: str
    details: tuple[str, ...]


def verdict(run: Run) -> Verdict:
    """Say whether distillation helped, by the paired bootstrap interval of the AP difference."""
    student, control = (run.models[role].evaluation.metrics["AP"] for role in ("student", "control"))
    change = run.comparison.student_minus_control["AP"]
    outcome = _outcome(change)
    numbers = f"AP {metric(student)} against {metric(control)}"
    headline = {
        "better": f"The distilled student is better than the same student trained without distillation: {numbers}.",
        "worse": f"The distilled student is worse than the same student trained without distillation: {numbers}.",
        "level": "The distilled student cannot be told apart from the same student trained without distillation: "
        f"{numbers}.",
    }[outcome]
    details = [
        f"Difference {signed(change.difference)}, 95 % interval {signed(change.low)} to {signed(change.high)}, "
        f"above zero in {percent(change.share_above_zero)} of the resamples of {run.facts.data.val_images} "
        "validation images.",
        _gap_sentence(run),
        "Each model was trained once: the interval covers the choice of validation images, not the luck of a training.",
    ]
    return Verdict(outcome, headline, tuple(sentence for sentence in details if sentence))


def _outcome(change: Difference) -> str:
    if change.low > 0:
        return "better"
    return "worse" if change.high < 0 else "level"


def _gap_sentence(run: Run) -> str:
    if "teacher" not in run.models:
        return ""
    gap = run.comparison.gap_closed
    if gap is None:
        return "The teacher is not better than the control, so there is no gap to close."
    if gap < 0:
        return "None of the gap between control and teacher is closed."
    uncertain = _outcome(run.comparison.student_minus_control["AP"]) == "level"
    closes = f"{percent(gap)} of the gap between control and teacher"
    return (
        f"On these images it closes {closes}, but that is as uncertain as the difference."
        if uncertain
        else (f"It closes {closes}.")
    )


@dataclass(frozen=True, slots=True)
class Card:
    """A key figure: value, what it is, and a remark."""

    value: str
    title: str
    remark: str


def cards(run: Run) -> list[Card]:
    """Return the key figures at the top of the page."""
    student = run.models["student"].evaluation
    change = run.comparison.student_minus_control["AP"]
    result = [
        Card(metric(student.metrics["AP"]), "AP of the student", _interval_remark(student)),
        Card(signed(change.difference), "AP over the control", f"{signed(change.low)} to {signed(change.high)}"),
    ]
    if "teacher" not in run.models:
        return result
    teacher = run.models["teacher"].evaluation
    return [*result, _gap_card(run.comparison), *_ratio_cards(student, teacher)]


def _gap_card(comparison: Comparison) -> Card:
    gap = comparison.gap_closed
    return Card(UNKNOWN if gap is None else percent(gap), "of the gap closed", "from control to teacher")


def _ratio_cards(student: Evaluation, teacher: Evaluation) -> list[Card]:
    """Compare costs, leaving out what was not measured."""
    result = [
        Card(percent(student.parameters / teacher.parameters), "of the teacher's parameters", count(student.parameters))
    ]
    if student.multiply_adds and teacher.multiply_adds:
        share = percent(student.multiply_adds / teacher.multiply_adds)
        result.append(Card(share, "of the teacher's multiply-adds", f"{count(student.multiply_adds)} per image"))
    if student.latency_ms and teacher.latency_ms:
        share = percent(student.latency_ms.p50 / teacher.latency_ms.p50)
        result.append(Card(share, "of the teacher's latency", f"{student.latency_ms.p50:.1f} ms per image"))
    return result


def _interval_remark(evaluation: Evaluation) -> str:
    low, high = evaluation.intervals["AP"]
    return f"{metric(low)} to {metric(high)}"


RATE_NOTES = {
    "CDR": "share of images judged rightly",
    "MDR": "share with objects and no detection",
    "FDR": "share with a detection and no object",
}
"""The image-level rates and what they say."""


_UNMEASURED = (UNKNOWN, "")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of models: what, a unit or explanation, and one (value, interval) per model."""

    title: str
    note: str
    cells: tuple[tuple[str, str], ...]


def model_rows(models: Sequence[Evaluation]) -> list[Row]:
    """Return the table of the models side by side."""
    return [
        *(_metric_row(name, models) for name in ("AP", "AP50", "AP75", "AR100")),
        *_rate_rows([m.fault_rates for m in models]),
        *_threshold_row(models),
        *_test_rows(models),
        _row("Parameters", "", [count(m.parameters) for m in models]),
        _row("Multiply-adds", "per image", [optional(m.multiply_adds, count) for m in models]),
        _row("Latency", _latency_note(models), [_latency(m) for m in models]),
        _row("Weight file", "", [optional(m.weights_bytes, size) for m in models]),
        *_resource_rows(models),
        _row("Training time", "", [optional(m.train_seconds, duration) for m in models]),
        _row("Epochs", "", [optional(m.epochs, str) for m in models]),
    ]


def _metric_row(name: str, models: Sequence[Evaluation]) -> Row:
    notes = {"AP": "mean over IoU 0.50 to 0.95", "AP50": "IoU 0.50", "AP75": "IoU 0.75", "AR100": "average recall"}
    return Row(name, notes[name], tuple(_with_interval(name, model.metrics, model.intervals) for model in models))


def _with_interval(
    name: str, values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> tuple[str, str]:
    """Return a value and its interval as text; the interval is empty where there is none."""
    low_high = intervals.get(name)
    return metric(values[name]), f"{metric(low_high[0])} to {metric(low_high[1])}" if low_high else ""


def _rate_rows(found: Sequence[FaultRates | None], part: str = "") -> Iterator[Row]:
    """Yield the image-level rates, unless the run is of before there were any."""
    if not any(found):
        return
    for name, note in RATE_NOTES.items():
        cells = (
            _UNMEASURED if known is None else _with_interval(name, known.rates, known.intervals) for known in found
        )
        yield Row(f"{name}{part}", note, tuple(cells))


def _threshold_row(models: Sequence[Evaluation]) -> Iterator[Row]:
    rates = [model.fault_rates for model in models]
    if any(rates):
        note = "score above which an image is detected, best for CDR on the validation images"
        yield _row("Threshold", note, [optional(found, lambda known: f"{known.threshold:.3f}") for found in rates])


def _test_rows(models: Sequence[Evaluation]) -> Iterator[Row]:
    """Yield what was measured on the test images, if there are any."""
    found = [model.test for model in models]
    if not any(found):
        return
    for name in ("AP", "AP50"):
        cells = (_UNMEASURED if test is None else _with_interval(name, test.metrics, test.intervals) for test in found)
        yield Row(f"{name}, test images", "", tuple(cells))
    yield from _rate_rows([None if test is None else test.fault_rates for test in found], ", test images")


def _resource_rows(models: Sequence[Evaluation]) -> Iterator[Row]:
    """Yield what older runs did not measure, as far as it is known of any model."""
    measured = {
        ("Training checkpoint", "with optimizer and methods"): [m.checkpoint_bytes for m in models],
        ("Memory, training", "at its highest"): [m.train_memory_bytes for m in models],
        ("Memory, testing", "at its highest, one image at a time"): [m.test_memory_bytes for m in models],
    }
    for (title, note), values in measured.items():
        if any(values):
            yield _row(title, note, [optional(value, size) for value in values])


def _row(title: str, note: str, values: Sequence[str]) -> Row:
    return Row(title, note, tuple((value, "") for value in values))


def _latency_note(models: Sequence[Evaluation]) -> str:
    threads = {m.latency_ms.threads for m in models if m.latency_ms and m.latency_ms.threads}
    with_threads = f", {counted(threads.pop(), 'thread')}" if len(threads) == 1 else ""
    return f"ms per image, median (95th percentile){with_threads}"


def _latency(model: Evaluation) -> str:
    latency = model.latency_ms
    return UNKNOWN if latency is None else f"{latency.p50:.1f} ({latency.p95:.1f})"

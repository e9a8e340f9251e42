"""The sentences and tables of numbers that the reports of all tasks share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.report.collect import AnyRun, Comparison, Evaluation, PartScores, RunFacts
from limbeck.report.formats import UNKNOWN, count, counted, duration, metric, optional, percent, signed, size
from limbeck.roles import Role


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened, in plain words; ``outcome`` is better, worse or level."""

    outcome: str
    headline: str
    details: tuple[str, ...]


def verdict(run: AnyRun, main: str) -> Verdict:
    """Say whether distillation helped, by the paired bootstrap interval of the difference.

    Args:
        run: The run.
        main: The metric that decides.
    """
    student, control = (run.models[role].evaluation.metrics[main] for role in ("student", "control"))
    change = run.comparison.student_minus_control[main]
    outcome = {"up": "better", "down": "worse", "": "level"}[change.clear]
    noun = run.facts.noun
    numbers = f"{main} {metric(student)} against {metric(control)}"
    headline = {
        "better": f"The distilled student is better than the same student trained without distillation: {numbers}.",
        "worse": f"The distilled student is worse than the same student trained without distillation: {numbers}.",
        "level": "The distilled student cannot be told apart from the same student trained without distillation: "
        f"{numbers}.",
    }[outcome]
    details = [
        f"Difference {signed(change.difference)}, 95 % interval {signed(change.low)} to {signed(change.high)}, "
        f"above zero in {percent(change.share_above_zero)} of the resamples of {run.facts.data.val_images} "
        f"validation {noun}s.",
        _gap_sentence(run, outcome),
        f"Each model was trained once: the interval covers the choice of validation {noun}s, not the luck of a "
        "training.",
    ]
    return Verdict(outcome, headline, tuple(sentence for sentence in details if sentence))


def _gap_sentence(run: AnyRun, outcome: str) -> str:
    if "teacher" not in run.models:
        return ""
    gap = run.comparison.gap_closed
    if gap is None:
        return "The teacher is not better than the control, so there is no gap to close."
    if gap < 0:
        return "None of the gap between control and teacher is closed."
    closes = f"{percent(gap)} of the gap between control and teacher"
    if outcome == "level":
        return f"On these {run.facts.noun}s it closes {closes}, but that is as uncertain as the difference."
    return f"It closes {closes}."


@dataclass(frozen=True, slots=True)
class Card:
    """A key figure: value, what it is, and a remark."""

    value: str
    title: str
    remark: str


def cards(run: AnyRun, main: str) -> list[Card]:
    """Return the key figures at the top of the page.

    Args:
        run: The run.
        main: The main metric of the task.
    """
    student = run.models["student"].evaluation
    change = run.comparison.student_minus_control[main]
    value, interval = with_interval(main, student.metrics, student.intervals)
    result = [
        Card(value, f"{main} of the student", interval),
        Card(signed(change.difference), f"{main} over the control", f"{signed(change.low)} to {signed(change.high)}"),
    ]
    if "teacher" not in run.models:
        return result
    teacher = run.models["teacher"].evaluation
    return [*result, _gap_card(run.comparison), *_ratio_cards(student, teacher, run.facts.noun)]


def _gap_card(comparison: Comparison) -> Card:
    gap = comparison.gap_closed
    return Card(UNKNOWN if gap is None else percent(gap), "of the gap closed", "from control to teacher")


def _ratio_cards(student: Evaluation, teacher: Evaluation, noun: str) -> list[Card]:
    """Compare costs, leaving out what was not measured."""
    result = [
        Card(percent(student.parameters / teacher.parameters), "of the teacher's parameters", count(student.parameters))
    ]
    if student.multiply_adds and teacher.multiply_adds:
        share = percent(student.multiply_adds / teacher.multiply_adds)
        result.append(Card(share, "of the teacher's multiply-adds", f"{count(student.multiply_adds)} per {noun}"))
    if student.latency_ms and teacher.latency_ms:
        share = percent(student.latency_ms.p50 / teacher.latency_ms.p50)
        result.append(Card(share, "of the teacher's latency", f"{student.latency_ms.p50:.1f} ms per {noun}"))
    return result


UNMEASURED = (UNKNOWN, "")
"""The cell of a model that has no such value."""


@dataclass(frozen=True, slots=True)
class Value:
    """A metric of one model; ``best`` where no model has a better one and some model a worse one."""

    value: float
    best: bool


def marked(values: Mapping[Role, float], *, lower_is_better: bool = False) -> dict[Role, Value]:
    """Mark the best values among those that are defined; -1 is undefined."""
    defined = [value for value in values.values() if value >= 0]
    best, worst = max(defined, default=-1), min(defined, default=-1)
    if lower_is_better:
        best, worst = worst, best
    return {role: Value(value, value == best != worst) for role, value in values.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of models: what, a unit or explanation, and one (value, interval) per model."""

    title: str
    note: str
    cells: tuple[tuple[str, str], ...]


def metric_row(name: str, title: str, note: str, parts: Sequence[Evaluation | PartScores | None]) -> Row:
    """Return the row of a metric.

    Args:
        name: The metric.
        title: What the row is called.
        note: A unit or explanation.
        parts: What each model reached; None where it was not measured.
    """
    cells = (UNMEASURED if part is None else with_interval(name, part.metrics, part.intervals) for part in parts)
    return Row(title, note, tuple(cells))


def with_interval(
    name: str, values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> tuple[str, str]:
    """Return a value and its interval as text; the interval is empty where there is none."""
    low_high = intervals.get(name)
    return metric(values[name]), f"{metric(low_high[0])} to {metric(low_high[1])}" if low_high else ""


def plain_row(title: str, note: str, values: Sequence[str]) -> Row:
    """Return a row without intervals."""
    return Row(title, note, tuple((value, "") for value in values))


def cost_rows(models: Sequence[Evaluation], facts: RunFacts) -> Iterator[Row]:
    """Yield size, speed, memory and training time of the models side by side.

    Args:
        models: The models.
        facts: What they were measured with.
    """
    yield plain_row("Parameters", "", [count(m.parameters) for m in models])
    yield plain_row("Multiply-adds", f"per {facts.typical}", [optional(m.multiply_adds, count) for m in models])
    yield plain_row("Latency", _latency_note(models, facts.typical), [_latency(m) for m in models])
    yield plain_row("Weight file", "", [optional(m.weights_bytes, size) for m in models])
    yield from _resource_rows(models, facts.noun)
    yield plain_row("Training time", "", [optional(m.train_seconds, duration) for m in models])
    yield plain_row("Epochs", "", [optional(m.epochs, str) for m in models])


def _resource_rows(models: Sequence[Evaluation], noun: str) -> Iterator[Row]:
    """Yield what older runs did not measure, as far as it is known of any model."""
    measured = {
        ("Training checkpoint", "with optimizer and methods"): [m.checkpoint_bytes for m in models],
        ("Memory, training", "at its highest"): [m.train_memory_bytes for m in models],
        ("Memory, testing", f"at its highest, one {noun} at a time"): [m.test_memory_bytes for m in models],
    }
    for (title, note), values in measured.items():
        if any(values):
            yield plain_row(title, note, [optional(value, size) for value in values])


def _latency_note(models: Sequence[Evaluation], per: str) -> str:
    threads = {m.latency_ms.threads for m in models if m.latency_ms and m.latency_ms.threads}
    with_threads = f", {counted(threads.pop(), 'thread')}" if len(threads) == 1 else ""
    return f"ms per {per}, median (95th percentile){with_threads}"


def _latency(model: Evaluation) -> str:
    latency = model.latency_ms
    return UNKNOWN if latency is None else f"{latency.p50:.1f} ({latency.p95:.1f})"

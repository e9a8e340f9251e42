"""What a comparison leaves behind: all numbers as json, the table, and one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.core.model import IMAGE
from limbeck.files import write_json, write_text
from limbeck.metrics.seeds import Gain, OverSeeds, Row
from limbeck.report.collect import Evaluation
from limbeck.report.comparison_plot import by_student, draw
from limbeck.report.formats import UNKNOWN, count, duration, metric, optional, percent, signed


@dataclass(frozen=True, slots=True)
class ComparisonOutcome:
    """What a comparison came to.

    Attributes:
        folder: Its folder.
        metrics: The metrics that are shown, the main one first.
        seeds: The seeds, in the order of all values.
        rows: The control and the rows of the comparison file, then the same for each further student.
        students: The settings of the student of each row, by its name.
        models: What is known of the models of each row, by its name.
        teacher: What is known of the teacher, if there is one.
        samples: Resamples behind the intervals.
        val_images: Number of validation images, or clouds.
        noun: What the data consists of, see `limbeck.core.model.noun_of`.
    """

    folder: Path
    metrics: tuple[str, str]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    students: dict[str, dict[str, Any]]
    models: dict[str, list[Evaluation]]
    teacher: Evaluation | None
    samples: int
    val_images: int
    noun: str = IMAGE

    @property
    def main(self) -> str:
        """The metric that the rows are held against one another by."""
        return self.metrics[0]

    @property
    def table(self) -> Path:
        """The table in Markdown."""
        return self.folder / "table.md"

    @property
    def plot(self) -> Path:
        """The picture."""
        return self.folder / "plot.png"


def write_comparison(outcome: ComparisonOutcome) -> None:
    """Write ``comparison.json``, ``table.md`` and ``plot.png`` into the folder of a comparison."""
    write_json(outcome.folder / "comparison.json", _content(outcome))
    write_text(outcome.table, _markdown(outcome))
    goal = None if outcome.teacher is None else outcome.teacher.metrics[outcome.main]
    draw(outcome.rows, goal, outcome.main, outcome.noun).savefig(outcome.plot, dpi=160, metadata={"Software": None})


def header(outcome: ComparisonOutcome) -> tuple[str, ...]:
    """Return the heads of the table's columns."""
    return ("", *outcome.metrics, f"{outcome.main} - control", "seeds better", "gap closed", "training")


def table_rows(outcome: ComparisonOutcome) -> list[tuple[str, ...]]:
    """Return the cells of the table below its `header`: the teacher, the control, and the other rows."""
    rows = [_cells(row, outcome) for row in outcome.rows]
    if outcome.teacher is None:
        return rows
    teacher = outcome.teacher
    scores = [metric(teacher.metrics[name]) for name in outcome.metrics]
    return [("teacher", *scores, "", "", "", optional(teacher.train_seconds, duration)), *rows]


def _cells(row: Row, outcome: ComparisonOutcome) -> tuple[str, ...]:
    models = outcome.models[row.name]
    scores = [spread(row.scores[name]) for name in outcome.metrics]
    gain = row.gains.get(outcome.main)
    gained = ("", "") if gain is None else (difference(gain), f"{_better(gain)} of {len(models)}")
    closed = "" if gain is None else optional(row.gap_closed, percent)
    return (row.name, *scores, *gained, closed, _training_time(models))


def spread(over_seeds: OverSeeds) -> str:
    """Write mean and deviation: 0.469 ± 0.014."""
    deviation = "" if over_seeds.deviation is None else f" ± {over_seeds.deviation:.3f}"
    return metric(over_seeds.mean) + (deviation if over_seeds.mean >= 0 else "")


def difference(gain: Gain) -> str:
    """Write a gain with its interval over the images: +0.062 [+0.045, +0.083]."""
    images = gain.over_images
    return f"{signed(images.difference)} [{signed(images.low)}, {signed(images.high)}]"


def _better(gain: Gain) -> int:
    return sum(value > 0 for value in gain.over_seeds.values)


def _training_time(models: Sequence[Evaluation]) -> str:
    seconds = [model.train_seconds for model in models if model.train_seconds is not None]
    return duration(sum(seconds) / len(seconds)) if seconds else UNKNOWN


def notes(outcome: ComparisonOutcome) -> list[str]:
    """Return what the columns mean and what the intervals do not cover."""
    main, noun, several = outcome.main, outcome.noun, len(outcome.seeds) > 1
    spread = "mean and standard deviation over the seeds" if several else "of one seed"
    groups = by_student(outcome.rows)
    lines = [f"{outcome.val_images} validation {noun}s; seeds {', '.join(map(str, outcome.seeds))}. Scores: {spread}."]
    lines += [
        f"{control.name}: {_unlike_the_first(outcome, control.name)}; {main} {difference(control.over_first[main])} "
        "over the first control."
        for control, *_ in groups[1:]
    ]
    same = "seed and student" if len(groups) > 1 else "seed"
    held_against = f"{main} - control: to the control of the same {same}"
    if len(groups) == len(outcome.rows):
        held_against = "Differences are those of the same seed"  # of controls
    mean = ", mean over the seeds" if several else ""
    scatter = "look at how the seeds scatter" if several else "give more seeds"
    return [
        *lines,
        f"{held_against}{mean}; in brackets the 95 % interval of a paired bootstrap over the validation {noun}s "
        f"({outcome.samples} resamples).",
        f"The interval covers the choice of {noun}s, not the luck of a training: for that, {scatter}.",
    ]


def _unlike_the_first(outcome: ComparisonOutcome, control: str) -> str:
    """Say in what the student of a control differs from that of the first one."""
    first, its = outcome.students[outcome.rows[0].name], outcome.students[control]
    if first["model"] != its["model"]:
        return f"another student, {its['model']}" + (f" with {its['backbone']}" if its.get("backbone") else "")
    changed = [
        f"{key} {_short(value)} instead of {_short(first[key])}" for key, value in its.items() if value != first[key]
    ]
    return ", ".join(changed) or "the same student"


def _short(value: Any) -> str:
    return ", ".join(f"{key} {below}" for key, below in value.items()) if isinstance(value, dict) else str(value)


def _costs(outcome: ComparisonOutcome) -> list[str]:
    controls = [row.name for row in outcome.rows if not row.gains]
    students = {f"student{name.removeprefix('control')}": outcome.models[name][0] for name in controls}
    models = {"teacher": outcome.teacher, **students}
    return [
        f"The {who}: {count(model.parameters)} parameters, {optional(model.multiply_adds, count)} multiply-adds, "
        + (
            f"{model.latency_ms.p50:.1f} ms per {outcome.noun} in PyTorch."
            if model.latency_ms
            else "latency not measured."
        )
        for who, model in models.items()
        if model is not None
    ]


def _markdown(outcome: ComparisonOutcome) -> str:
    head = header(outcome)
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *table_rows(outcome)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    remarks = "\n".join(f"* {remark}" for remark in (*notes(outcome), *_costs(outcome)))
    picture = f"![{outcome.main} of every seed, and the differences to the control]({outcome.plot.name})"
    return f"# {outcome.folder.name}\n\n{table}\n\n{remarks}\n\n{picture}\n\n`{command(outcome)}`\n"


def command(outcome: ComparisonOutcome) -> str:
    """Return the command that makes this comparison."""
    return f"limbeck compare {outcome.folder / 'config.yaml'}"


def _content(outcome: ComparisonOutcome) -> dict[str, Any]:
    return {
        "command": command(outcome),
        "seeds": outcome.seeds,
        "bootstrap_samples": outcome.samples,
        "val_images": outcome.val_images,
        "teacher": None if outcome.teacher is None else outcome.teacher.summary(),
        "rows": [
            asdict(row)
            | {
                "control": None if row is control else control.name,
                "student": outcome.students[row.name],
                "models": [model.summary() for model in outcome.models[row.name]],
            }
            for control, *others in by_student(outcome.rows)
            for row in (control, *others)
        ],
    }

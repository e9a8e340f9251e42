"""What a page consists of: sections, each a template with its values. Those that the reports of all tasks share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.report.collect import AnyRun
from limbeck.report.figures import curves, metric_bars
from limbeck.report.wording import Row, cost_rows


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: the name of its template, and what that shows beside the run."""

    template: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a report.

    Attributes:
        run: The run.
        main: The metric that the verdict goes by.
        sections: What stands below the verdict, in this order.
        footnote: What the metrics are.
    """

    run: AnyRun
    main: str
    sections: Sequence[Section]
    footnote: str


def models_section(run: AnyRun, scores: Iterable[Row], shown: Sequence[str]) -> Section:
    """Return the models side by side.

    Args:
        run: The run.
        scores: What they reach; what they cost stands below.
        shown: The metrics that are drawn as bars.
    """
    evaluations = {role: model.evaluation for role, model in run.models.items()}
    rows = [*scores, *cost_rows(list(evaluations.values()), run.facts)]
    return Section("models.html.j2", {"models": evaluations, "rows": rows, "bars": metric_bars(run.models, shown)})


def training_section(run: AnyRun, validated: Sequence[str]) -> Section:
    """Return the curves of the trainings; ``validated`` are the metrics of the validation that are drawn."""
    return Section("training.html.j2", {"curves": curves(run, validated)})


def export_section(agreement: Sequence[tuple[str, str]]) -> Section:
    """Return what is known of the exported model; ``agreement`` says how closely it answers like the trained one."""
    return Section("export.html.j2", {"agreement": agreement})


MADE = Section("made.html.j2", {})
"""How the run was made."""

"""The tables of a run, of a comparison and of the rates of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from limbeck.metrics.fault_rates import RATES
from limbeck.pipeline import Outcome
from limbeck.report.comparison import ComparisonOutcome, header, table_rows
from limbeck.report.formats import UNKNOWN, metric, title_of
from limbeck.report.rates import RATES_HEADER, RatesRow, rates_cells

SHOWN = (
    *("AP", "AP50"),
    *("mIoU", "mF", "pixel_accuracy", "boundary_F"),
    *("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH"),
)
"""The metrics in the table of a run, as far as its task has them; the first of them is its main one."""


def rows_table(outcome: ComparisonOutcome) -> Table:
    """Return the rows of a comparison below one another; what belongs to a value stands under it."""
    table = _table(f"{outcome.folder.name}: validation {outcome.noun}s, 95 % intervals in brackets")
    for name in header(outcome):
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    for cells in table_rows(outcome):
        table.add_row(*(escape(cell.replace(" [", "\n[").replace(" ±", "\n±")) for cell in cells))
    return table


def comparison_table(outcome: Outcome) -> Table:
    """Return teacher, control and student side by side."""
    table = _table(f"{outcome.folder.name}: validation data, 95 % intervals in brackets")
    table.add_column("")
    for role in outcome.evaluations:
        table.add_column(role, justify="right")
    models = list(outcome.evaluations.values())
    _add_scores(table, models)
    if any(model.get("test") for model in models):
        _add_scores(table, [model.get("test") or {} for model in models], ", test")
    table.add_row("parameters", *(f"{model['parameters'] / 1e6:.2f} M" for model in models))
    table.add_row("multiply-adds", *(f"{model['multiply_adds'] / 1e9:.2f} G" for model in models))
    table.add_row("latency", *(f"{model['latency_ms']['p50']:.1f} ms" for model in models))
    table.add_row("weights", *(f"{model['weights_bytes'] / 2**20:.1f} MiB" for model in models))
    table.add_row("training", *(_seconds(model["train_seconds"]) for model in models))
    table.caption = _caption(outcome)
    table.caption_justify = "left"
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )


def _add_scores(table: Table, parts: Sequence[Mapping[str, Any]], what: str = "") -> None:
    """Add metrics and image-level rates of the models on one part; a run of before there were rates has none."""
    for name in SHOWN:
        if any(name in part.get("metrics", {}) for part in parts):
            cells = (_with_interval(name, part.get("metrics"), part.get("intervals")) for part in parts)
            table.add_row(title_of(name) + what, *cells)
    rates = [part.get("fault_rates") or {} for part in parts]
    if any(rates):
        for name in RATES:
            cells = (_with_interval(name, found.get("rates"), found.get("intervals")) for found in rates)
            table.add_row(name + what, *cells)


def _with_interval(
    name: str, values: Mapping[str, float] | None, intervals: Mapping[str, tuple[float, float]] | None
) -> str:
    if values is None or intervals is None:
        return UNKNOWN
    if name not in intervals:
        return metric(values[name])
    low, high = intervals[name]
    return escape(f"{metric(values[name])} [{metric(low)}, {metric(high)}]")


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def _caption(outcome: Outcome) -> str:
    main = next(name for name in SHOWN if name in outcome.student_minus_control)
    change = outcome.student_minus_control[main]
    text = f"student - control: {main} {change['difference']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    if outcome.gap_closed is not None:
        text += f"; gap closed: {outcome.gap_closed:.0%}"
    return text


def rates_table(rows: Sequence[RatesRow]) -> Table:
    """Return the rates and the costs of models on several data sets, the means below."""
    table = _table("Image-level rates")
    table.padding = 0
    for number, name in enumerate(RATES_HEADER):
        table.add_column(name, justify="left" if number < 3 else "right", overflow="fold", no_wrap=number > 0)
    for above, row in zip([None, *rows], rows, strict=False):
        if above and above.threshold is not None and row.threshold is None:
            table.add_section()
        table.add_row(*map(escape, rates_cells(row)))
    return table

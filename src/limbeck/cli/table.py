"""The tables that end a run and a comparison."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from limbeck.metrics.fault_rates import RATES
from limbeck.pipeline import Outcome
from limbeck.report.comparison import HEADER, ComparisonOutcome, table_rows
from limbeck.report.formats import metric


def rows_table(outcome: ComparisonOutcome) -> Table:
    """Return the rows of a comparison below one another; what belongs to a value stands under it."""
    table = _table(f"{outcome.folder.name}: validation images, 95 % intervals in brackets")
    for name in HEADER:
        table.add_column(name, justify="right" if name else "left")
    for cells in table_rows(outcome):
        table.add_row(*(escape(cell.replace(" [", "\n[").replace(" ±", "\n±")) for cell in cells))
    return table


def comparison_table(outcome: Outcome) -> Table:
    """Return teacher, control and student side by side."""
    table = _table(f"{outcome.folder.name}: validation images, 95 % intervals in brackets")
    table.add_column("")
    for role in outcome.evaluations:
        table.add_column(role, justify="right")
    models = list(outcome.evaluations.values())
    for name in ("AP", "AP50"):
        table.add_row(name, *(_with_interval(name, model["metrics"], model["intervals"]) for model in models))
    rates = [model["fault_rates"] for model in models]
    for name in RATES:
        table.add_row(name, *(_with_interval(name, found["rates"], found["intervals"]) for found in rates))
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


def _with_interval(name: str, values: dict[str, float], intervals: dict[str, tuple[float, float]]) -> str:
    low, high = intervals[name]
    return escape(f"{metric(values[name])} [{metric(low)}, {metric(high)}]")


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def _caption(outcome: Outcome) -> str:
    change = outcome.student_minus_control["AP"]
    text = f"student - control: AP {change['difference']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    if outcome.gap_closed is not None:
        text += f"; gap closed: {outcome.gap_closed:.0%}"
    return text

"""The picture of a comparison: every seed, the means, and how sure the gain over the control is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.legend_handler import HandlerLine2D
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from limbeck.core.model import IMAGE
from limbeck.metrics.seeds import Gain, Row
from limbeck.report.colours import COLOURS, INK, LINE_STYLES
from limbeck.report.figures import STYLE
from limbeck.report.formats import metric, signed

FAINT = "#b8bdc4"
WIDTH = 8.6
ROW_HEIGHT = 0.5
"""Both in inches."""
SPREAD = 0.12
"""Dots of a row are spread over this part of its height, so that equal values do not hide one another."""
BACKGROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
BEFORE_FIRST = 0.8
"""Height above the first row, which holds the teacher's label."""
DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5, "alpha": 0.8, "markeredgewidth": 0}
MEAN: dict[str, Any] = {"marker": "|", "linestyle": "", "markersize": 13, "markeredgewidth": 2.2, "color": INK}
INTERVAL: dict[str, Any] = {"marker": "|", "markersize": 6, "linewidth": 1.3, "color": INK}


def draw(rows: Sequence[Row], teacher: float | None, main: str, noun: str = IMAGE) -> Canvas:
    """Draw a metric on the left and the gain over the control on the right, a line per row, the highest gain first.

    The rows of one student stand together, below their control. Where there are controls only, the right side is left
    out.

    Args:
        rows: The rows; the first one is the control. Further controls, without gains, begin the rows of other students.
        teacher: What the teacher reaches, drawn as a line.
        main: The metric.
        noun: What the data consists of.
    """
    groups = [
        [control, *sorted(others, key=lambda row: -row.gains[main].over_images.difference)]
        for control, *others in by_student(rows)
    ]
    shown = [row for group in groups for row in group]
    sides = 2 if len(shown) > len(groups) else 1
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 1.6 + ROW_HEIGHT * len(rows)))
        panels = list(canvas.subplots(1, sides, sharey=True, squeeze=False)[0])
        scores = panels[0]
        _draw_scores(scores, groups, teacher, main)
        if sides == 2:
            same = "seed and student" if len(groups) > 1 else "seed"
            _draw_gains(panels[1], shown, main, f"{main} over the control of the same {same}")
        scores.set_yticks(range(len(shown)), [row.name for row in shown])
        scores.set_ylim(len(shown) - 0.5, -BEFORE_FIRST)
        for axes in panels:
            _part(axes, groups)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(5))
        _add_legend(canvas, noun, with_interval=sides == 2)
        return canvas


def by_student(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Return the rows of one student after the other; each begins with its control, which has no gains."""
    starts = [place for place, row in enumerate(rows) if not row.gains]
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _part(axes: Axes, groups: Sequence[Sequence[Row]]) -> None:
    """Draw a line between the rows of one student and those of the next."""
    places = accumulate(len(group) for group in groups[:-1])
    for place in places:
        axes.axhline(place - 0.5, color=FAINT, linewidth=0.8)


def _draw_scores(axes: Axes, groups: Sequence[Sequence[Row]], teacher: float | None, main: str) -> None:
    axes.set_title(main)
    rows = [row for group in groups for row in group]
    _draw_controls(axes, groups, main)
    if teacher is not None:
        axes.axvline(teacher, color=COLOURS["teacher"], linestyle=LINE_STYLES["teacher"])
        side = -1 if teacher > rows[0].scores[main].mean else 1
        axes.annotate(
            f"teacher {metric(teacher)}",
            (teacher, -0.75),
            (5 * side, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="top",
            color=COLOURS["teacher"],
            bbox=BACKGROUND,
        )
    for place, row in enumerate(rows):
        over_seeds = row.scores[main]
        _draw_dots(axes, place, over_seeds.values, COLOURS["student" if row.gains else "control"])
        axes.plot(over_seeds.mean, place, **MEAN)
        _label(axes, over_seeds.mean, place, metric(over_seeds.mean))


def _draw_controls(axes: Axes, groups: Sequence[Sequence[Row]], main: str) -> None:
    """Draw what each control reaches as a line through the rows that are held against it."""
    top = -BEFORE_FIRST
    for group in groups:
        bottom = max(top, -0.5) + len(group)
        score = group[0].scores[main].mean
        axes.plot([score, score], [top, bottom], color=COLOURS["control"], linestyle=LINE_STYLES["control"])
        top = bottom


def _draw_gains(axes: Axes, rows: Sequence[Row], main: str, title: str) -> None:
    axes.set_title(title)
    axes.axvline(0, color=COLOURS["control"], linestyle=LINE_STYLES["control"])
    for place, row in enumerate(rows):
        if main in row.gains:
            _draw_gain(axes, place, row.gains[main])


def _draw_gain(axes: Axes, place: int, gain: Gain) -> None:
    images = gain.over_images
    axes.plot([images.low, images.high], [place, place], **INTERVAL)
    _draw_dots(axes, place, gain.over_seeds.values, COLOURS["student"])
    axes.plot(images.difference, place, **MEAN)
    _label(
        axes, images.difference, place, f"{signed(images.difference)}  [{signed(images.low)}, {signed(images.high)}]"
    )


def _draw_dots(axes: Axes, place: int, values: Sequence[float], colour: str) -> None:
    heights = place + np.linspace(-SPREAD, SPREAD, len(values)) * (len(values) > 1)
    axes.plot(values, heights, color=colour, **DOT)


def _label(axes: Axes, x: float, place: int, text: str) -> None:
    axes.annotate(
        text,
        (x, place),
        (0, 9),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=INK,
        bbox=BACKGROUND,
    )


def _add_legend(canvas: Canvas, noun: str, *, with_interval: bool) -> None:
    interval = Line2D([], [], label=f"95 % interval over the validation {noun}s", **INTERVAL)
    canvas.legend(
        handles=[
            Line2D([], [], color=COLOURS["student" if with_interval else "control"], label="one seed", **DOT),
            Line2D([], [], label="mean over the seeds", **MEAN),
            *([interval] if with_interval else []),
        ],
        handler_map={interval: HandlerLine2D(numpoints=2)},
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )

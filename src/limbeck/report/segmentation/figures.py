"""The figures of segmentation: the IoU of every class, and confusion matrices of many classes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from limbeck.report.colours import COLOURS
from limbeck.report.figures import STYLE, Figure, small_canvas, svg
from limbeck.report.formats import metric
from limbeck.report.segmentation.collect import SegmentationModel, SegmentationRun
from limbeck.report.segmentation.confusion import painted

PER_CHART, MAX_CHARTS = 8, 6
"""Classes in one chart, and charts."""
SPREAD = 0.24
"""Distance between the dots of two models, where that between two classes is 1."""
MAX_NAMES = 48
"""Classes up to which a drawn confusion matrix names them."""


def class_charts(run: SegmentationRun, classes: Sequence[str]) -> list[Figure]:
    """Draw the IoU of the classes with its intervals, all models in each figure.

    Args:
        run: The run.
        classes: The classes in the order in which they are shown; the last ones are left out if there are too many.
    """
    shown = classes[: PER_CHART * MAX_CHARTS]
    charts = -(-len(shown) // PER_CHART)
    rows = -(-len(shown) // charts)
    return [_class_chart(run, shown[start : start + rows], rows) for start in range(0, len(shown), rows)]


def _class_chart(run: SegmentationRun, classes: Sequence[str], rows: int) -> Figure:
    """Draw some classes with room for a number of rows, so that charts side by side have equal scales."""
    with mpl.rc_context(STYLE):
        canvas, axes = small_canvas(height=1.0 + 0.4 * rows)
        for number, model in enumerate(run.models.values()):
            _draw_dots(axes, model, classes, SPREAD * (number - (len(run.models) - 1) / 2))
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlim=(-0.02, 1.02), ylim=(rows - 0.5, -0.5), title="IoU by class")
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1 - 0.2 / rows), ncols=len(run.models))
        student = run.models["student"].evaluation.per_class
        values = [f"{name} {metric(student[name]['IoU'])}" for name in classes]
        return Figure("IoU by class", svg(canvas), f"IoU by class of all models; student: {', '.join(values)}.")


def _draw_dots(axes: Axes, model: SegmentationModel, classes: Sequence[str], shift: float) -> None:
    """Draw a dot and an interval per class where the IoU is defined."""
    evaluation = model.evaluation
    colour = COLOURS[evaluation.role]
    known = [(place, name) for place, name in enumerate(classes) if evaluation.per_class[name]["IoU"] >= 0]
    for place, name in known:
        if interval := evaluation.intervals.get(f"IoU/{name}"):
            axes.plot(interval, [place + shift] * 2, color=colour, linewidth=1.4, alpha=0.6)
    values = [evaluation.per_class[name]["IoU"] for _, name in known]
    places = [place + shift for place, _ in known]
    axes.plot(values, places, color=colour, marker="o", markersize=4.5, linestyle="", label=evaluation.role)


def confusion_chart(run: SegmentationRun, model: SegmentationModel) -> Figure:
    """Draw a confusion matrix of many classes, a point per cell."""
    classes, role = run.truth.classes, model.evaluation.role
    with mpl.rc_context(STYLE):
        canvas, axes = small_canvas(height=4.2)
        axes.imshow(painted(model.evaluation.confusion), interpolation="nearest")
        axes.grid(visible=False)
        axes.set(title=role, xlabel="predicted class", ylabel="true class")
        if len(classes) <= MAX_NAMES:
            axes.set_xticks(np.arange(len(classes)), classes, rotation=90, fontsize=4.5)
            axes.set_yticks(np.arange(len(classes)), classes, fontsize=4.5)
        return Figure(role, svg(canvas), f"Confusion matrix of the {role}, rows are true classes.")

"""Figures as SVG, drawn small so that they stay readable on a phone: those that the reports of all tasks show."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from limbeck.report.collect import AnyRun, ModelRun
from limbeck.report.colours import COLOURS, INK, LINE_STYLES
from limbeck.report.formats import title_of
from limbeck.roles import Role

MAX_POINTS = 150
"""Points per curve; longer logs are averaged in equal stretches."""
MAX_PR_CLASSES = 12
"""Classes whose precision over recall is drawn."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limbeck",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#4a4f57",
    "ytick.color": "#4a4f57",
    "axes.grid": True,
    "grid.color": "#e4e6ea",
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn figure and the words for those who cannot see it."""

    title: str
    svg: str
    alt: str

    @property
    def uri(self) -> str:
        """The figure as a data URI; inside an image its ids cannot clash with those of other figures."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def metric_bars(models: Mapping[Role, ModelRun], names: Sequence[str]) -> Figure:
    """Draw metrics of the models as bars with the whiskers of their intervals.

    Args:
        models: The models.
        names: The metrics, the main one first.
    """
    with mpl.rc_context(STYLE):
        canvas, axes = small_canvas(height=1.0 + 0.32 * len(models) * len(names))
        ticks = []
        for group, name in enumerate(names):
            for place, role in enumerate(models):
                y = group * (len(models) + 0.8) + place
                _bar(axes, y, models[role], name)
                ticks.append((y, f"{title_of(name)} {role}"))
        axes.set_yticks([y for y, _ in ticks], [label for _, label in ticks])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        listed = _listed([title_of(name) for name in names])
        return Figure(f"{listed} with 95 % intervals", svg(canvas), _bars_alt(models, names[0], listed))


def _bar(axes: Axes, y: float, model: ModelRun, name: str) -> None:
    value = max(model.evaluation.metrics[name], 0.0)
    low, high = model.evaluation.intervals.get(name, (value, value))
    axes.barh(y, value, height=0.8, color=COLOURS[model.evaluation.role])
    axes.plot([low, high], [y, y], color=INK, linewidth=1.4, marker="|", markersize=6)
    axes.annotate(f"{value:.3f}", (max(high, value), y), (5, 0), textcoords="offset points", va="center")


def _bars_alt(models: Mapping[Role, ModelRun], main: str, listed: str) -> str:
    values = [f"{role} {model.evaluation.metrics[main]:.3f}" for role, model in models.items()]
    return f"Bar chart of {listed} with intervals. {main}: {', '.join(values)}."


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def curves(run: AnyRun, validated: Sequence[str]) -> list[Figure]:
    """Draw validation metrics and every loss term over the training, one figure each, all models in it.

    Args:
        run: The run.
        validated: The metrics, the main one first.
    """
    logs = {role: model.log for role, model in run.models.items()}
    first = [f"val/{name}" for name in validated]
    keys = {key for log in logs.values() for line in log for key in line if key.startswith("train/") or key in first}
    order = [*first, "train/loss"]  # then the terms of the loss
    return [_curve(key, logs) for key in sorted(keys, key=lambda k: (order.index(k) if k in order else len(order), k))]


def _curve(key: str, logs: Mapping[Role, Sequence[Mapping[str, float]]]) -> Figure:
    title = key.replace("val/", "validation ").replace("train/loss", "total loss").replace("train/", "loss term ")
    shown = []
    with mpl.rc_context(STYLE):
        canvas, axes = small_canvas()
        for role, log in logs.items():
            points = {line["step"]: line[key] for line in log if key in line and "step" in line}
            if points:
                shown.append(role)
                axes.plot(*_thinned(points), color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.legend(frameon=False)
        return Figure(title, svg(canvas), f"Curve of the {title} over the training steps: {', '.join(shown)}.")


def _thinned(points: Mapping[float, float]) -> tuple[list[float], list[float]]:
    """Return steps and values in order, averaged in stretches where there are too many."""
    ordered = np.array(sorted(points.items()))
    stretches = np.array_split(ordered, min(len(ordered), MAX_POINTS))
    means = np.array([stretch.mean(axis=0) for stretch in stretches])
    return means[:, 0].tolist(), means[:, 1].tolist()


def pr_curve(title: str, precisions: Mapping[Role, Sequence[float]], alt: str) -> Figure:
    """Draw precision over recall of all models.

    Args:
        title: What is found.
        precisions: The precisions of each model at evenly spaced recalls from 0 to 1.
        alt: The words for those who cannot see it.
    """
    with mpl.rc_context(STYLE):
        canvas, axes = small_canvas()
        for role, precision in precisions.items():
            recall = np.linspace(0, 1, len(precision))
            axes.plot(recall, precision, color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="recall", ylabel="precision", title=title)
        axes.legend(frameon=False, loc="lower left")
        return Figure(title, svg(canvas), alt)


def small_canvas(height: float = 2.6) -> tuple[Canvas, Axes]:
    """Return a figure as wide as all are, 4.2 inches, with one pair of axes; the height is in inches."""
    canvas = Canvas(figsize=(4.2, height))
    return canvas, canvas.subplots()


def svg(canvas: Canvas) -> str:
    """Return the drawing without the metadata block, which holds a date and links."""
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.DOTALL)

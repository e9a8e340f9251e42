"""The report's figures as SVG, drawn small so that they stay readable on a phone."""

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

from limbeck.metrics.fault_rates import RATES
from limbeck.report.collect import FaultRates, ModelRun, Run
from limbeck.report.colours import COLOURS, LINE_STYLES
from limbeck.roles import Role

MAX_POINTS = 150
"""Points per curve; longer logs are averaged in equal stretches."""
MAX_PR_CLASSES = 12
VALIDATED = ("val/AP", "val/AP50")
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


def metric_bars(models: Mapping[Role, ModelRun]) -> Figure:
    """Draw AP and AP50 of the models as bars with the whiskers of their intervals."""
    names = ("AP", "AP50")
    with mpl.rc_context(STYLE):
        canvas, axes = _canvas(height=1.0 + 0.32 * len(models) * len(names))
        ticks = []
        for group, name in enumerate(names):
            for place, role in enumerate(models):
                y = group * (len(models) + 0.8) + place
                _bar(axes, y, models[role], name)
                ticks.append((y, f"{name} {role}"))
        axes.set_yticks([y for y, _ in ticks], [label for _, label in ticks])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        return Figure("AP and AP50 with 95 % intervals", _svg(canvas), _bars_alt(models))


def _bar(axes: Axes, y: float, model: ModelRun, name: str) -> None:
    value = max(model.evaluation.metrics[name], 0.0)
    low, high = model.evaluation.intervals.get(name, (value, value))
    axes.barh(y, value, height=0.8, color=COLOURS[model.evaluation.role])
    axes.plot([low, high], [y, y], color="#1f2329", linewidth=1.4, marker="|", markersize=6)
    axes.annotate(f"{value:.3f}", (max(high, value), y), (5, 0), textcoords="offset points", va="center")


def _bars_alt(models: Mapping[Role, ModelRun]) -> str:
    values = [f"{role} {model.evaluation.metrics['AP']:.3f}" for role, model in models.items()]
    return f"Bar chart of AP and AP50 with intervals. AP: {', '.join(values)}."


def curves(run: Run) -> list[Figure]:
    """Draw validation AP and AP50 and every loss term over the training, one figure each, all models in it."""
    logs = {role: model.log for role, model in run.models.items()}
    keys = {
        key for log in logs.values() for line in log for key in line if key.startswith("train/") or key in VALIDATED
    }
    return [_curve(key, logs) for key in sorted(keys, key=_curve_order)]


def _curve_order(key: str) -> tuple[int, str]:
    """Validation first, then the total loss, then its terms."""
    first = [*VALIDATED, "train/loss"]
    return first.index(key) if key in first else len(first), key


def _curve(key: str, logs: Mapping[Role, Sequence[Mapping[str, float]]]) -> Figure:
    title = key.replace("val/", "validation ").replace("train/loss", "total loss").replace("train/", "loss term ")
    shown = []
    with mpl.rc_context(STYLE):
        canvas, axes = _canvas()
        for role, log in logs.items():
            points = {line["step"]: line[key] for line in log if key in line and "step" in line}
            if points:
                shown.append(role)
                axes.plot(*_thinned(points), color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.legend(frameon=False)
        return Figure(title, _svg(canvas), f"Curve of the {title} over the training steps: {', '.join(shown)}.")


def _thinned(points: Mapping[float, float]) -> tuple[list[float], list[float]]:
    """Return steps and values in order, averaged in stretches where there are too many."""
    ordered = np.array(sorted(points.items()))
    stretches = np.array_split(ordered, min(len(ordered), MAX_POINTS))
    means = np.array([stretch.mean(axis=0) for stretch in stretches])
    return means[:, 0].tolist(), means[:, 1].tolist()


def pr_curves(run: Run) -> list[Figure]:
    """Draw precision over recall at IoU 0.5 for the classes with the most objects, all models in each figure."""
    per_class = run.models["student"].evaluation.per_class
    names = [name for name, values in per_class.items() if values["objects"] > 0]
    names.sort(key=lambda name: -per_class[name]["objects"])
    return [_pr_curve(name, run.models) for name in names[:MAX_PR_CLASSES]]


def _pr_curve(name: str, models: Mapping[Role, ModelRun]) -> Figure:
    with mpl.rc_context(STYLE):
        canvas, axes = _canvas()
        for role, model in models.items():
            precision = model.evaluation.pr_curves.get(name, [])
            recall = np.linspace(0, 1, len(precision))
            axes.plot(recall, precision, color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="recall", ylabel="precision", title=name)
        axes.legend(frameon=False, loc="lower left")
        ap50 = [f"{role} {model.evaluation.per_class[name]['AP50']:.3f}" for role, model in models.items()]
        alt = f"Precision over recall for {name} at IoU 0.5. AP50: {', '.join(ap50)}."
        return Figure(name, _svg(canvas), alt)


def rate_curves(run: Run) -> list[Figure]:
    """Draw CDR, MDR and FDR over the threshold, one figure each, on the test images if there are any."""
    models = {role: model.evaluation for role, model in run.models.items()}
    part, found = "validation", {role: model.fault_rates for role, model in models.items()}
    if any(model.test for model in models.values()):
        part = "test"
        found = {role: model.test.fault_rates if model.test else None for role, model in models.items()}
    known = {role: rates for role, rates in found.items() if rates and rates.sweep}
    return [_rate_curve(name, f"{name} on the {part} images", known) for name in RATES] if known else []


def _rate_curve(name: str, title: str, models: Mapping[Role, FaultRates]) -> Figure:
    with mpl.rc_context(STYLE):
        canvas, axes = _canvas()
        for role, rates in models.items():
            thresholds, values = ([row[key] for row in rates.sweep] for key in ("threshold", name))
            axes.plot(thresholds, values, color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
            axes.plot(rates.threshold, rates.rates[name], color=COLOURS[role], marker="o", markersize=5, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="threshold", title=title)
        axes.legend(frameon=False)
        chosen = [f"{role} {rates.rates[name]:.3f} at {rates.threshold:.3f}" for role, rates in models.items()]
        return Figure(title, _svg(canvas), f"{title} over the threshold: {', '.join(chosen)}.")


def _canvas(height: float = 2.6) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(4.2, height))
    return canvas, canvas.subplots()


def _svg(canvas: Canvas) -> str:
    """Return the drawing without the metadata block, which holds a date and links."""
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.DOTALL)

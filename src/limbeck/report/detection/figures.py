"""The figures of detection: precision over recall, and image-level rates over the threshold."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl

from limbeck.metrics.fault_rates import RATES
from limbeck.report.colours import COLOURS, LINE_STYLES
from limbeck.report.detection.collect import DetectionModel, DetectionRun, FaultRates
from limbeck.report.figures import MAX_PR_CLASSES, STYLE, Figure, pr_curve, small_canvas, svg
from limbeck.roles import Role


def pr_curves(run: DetectionRun) -> list[Figure]:
    """Draw precision over recall at IoU 0.5 for the classes with the most objects, all models in each figure."""
    per_class = run.models["student"].evaluation.per_class
    names = [name for name, values in per_class.items() if values["objects"] > 0]
    names.sort(key=lambda name: -per_class[name]["objects"])
    return [_pr_curve(name, run.models) for name in names[:MAX_PR_CLASSES]]


def _pr_curve(name: str, models: Mapping[Role, DetectionModel]) -> Figure:
    ap50 = [f"{role} {model.evaluation.per_class[name]['AP50']:.3f}" for role, model in models.items()]
    alt = f"Precision over recall for {name} at IoU 0.5. AP50: {', '.join(ap50)}."
    return pr_curve(name, {role: model.evaluation.pr_curves.get(name, []) for role, model in models.items()}, alt)


def rate_curves(run: DetectionRun) -> list[Figure]:
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
        canvas, axes = small_canvas()
        for role, rates in models.items():
            thresholds, values = ([row[key] for row in rates.sweep] for key in ("threshold", name))
            axes.plot(thresholds, values, color=COLOURS[role], linestyle=LINE_STYLES[role], label=role)
            axes.plot(rates.threshold, rates.rates[name], color=COLOURS[role], marker="o", markersize=5, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="threshold", title=title)
        axes.legend(frameon=False)
        chosen = [f"{role} {rates.rates[name]:.3f} at {rates.threshold:.3f}" for role, rates in models.items()]
        return Figure(title, svg(canvas), f"{title} over the threshold: {', '.join(chosen)}.")

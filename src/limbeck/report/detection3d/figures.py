"""The figures of LiDAR detection: precision over recall."""

from __future__ import annotations

from limbeck.report.detection3d.collect import Detection3DRun
from limbeck.report.figures import MAX_PR_CLASSES, Figure, pr_curve
from limbeck.report.formats import metric

AT_2_M = "AP@2m"


def pr_curves(run: Detection3DRun) -> list[Figure]:
    """Draw precision over recall at 2 m for the classes with the most objects, all models in each figure."""
    per_class = run.models["student"].evaluation.per_class
    names = [name for name, values in per_class.items() if values["objects"] > 0]
    names.sort(key=lambda name: -per_class[name]["objects"])
    return [_pr_curve(run, name) for name in names[:MAX_PR_CLASSES]]


def _pr_curve(run: Detection3DRun, name: str) -> Figure:
    models = {role: model.evaluation for role, model in run.models.items()}
    aps = ", ".join(f"{role} {metric(model.per_class[name][AT_2_M])}" for role, model in models.items())
    alt = f"Precision over recall for {name} with centres within 2 m. AP: {aps}."
    return pr_curve(name, {role: model.pr_curves.get(name, []) for role, model in models.items()}, alt)

"""Precision over recall of a LiDAR run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from limbeck.report.detection3d.collect import collect
from limbeck.report.detection3d.figures import pr_curves


def test_classes_with_objects_have_a_curve_that_names_all_models(make_run: Any) -> None:
    run = collect(make_run())
    student = run.models["student"]
    per_class = {**student.evaluation.per_class, "ghost": {"AP@2m": -1.0, "objects": 0}}
    extended = replace(student, evaluation=replace(student.evaluation, per_class=per_class))
    figures = pr_curves(replace(run, models={**run.models, "student": extended}))

    assert sorted(figure.title for figure in figures) == ["car", "cyclist", "pedestrian"]
    for figure in figures:
        value = run.models["control"].evaluation.per_class[figure.title]["AP@2m"]
        assert f"control {value:.3f}" in figure.alt

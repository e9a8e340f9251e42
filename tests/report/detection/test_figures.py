"""Precision over recall, and rates over the threshold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

from limbeck.report.detection.collect import collect
from limbeck.report.detection.figures import pr_curves, rate_curves


def words(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


def test_precision_curves_leave_out_classes_without_objects(make_run: Any) -> None:
    run = collect(make_run(classes=["wheel", "a <b> $x$ & y"]))
    student = run.models["student"]
    per_class = {**student.evaluation.per_class, "ghost": {"AP": -1.0, "AP50": -1.0, "objects": 0}}
    extended = replace(student, evaluation=replace(student.evaluation, per_class=per_class))

    figures = pr_curves(replace(run, models={**run.models, "student": extended}))

    assert sorted(figure.title for figure in figures) == ["a <b> $x$ & y", "wheel"]
    assert any("a <b> $x$ & y" in words(figure.svg) for figure in figures)


def test_rates_over_the_threshold_are_those_of_the_test_images_if_there_are_any(make_run: Any) -> None:
    run = collect(make_run(test=True))
    figures = rate_curves(run)
    assert [figure.title for figure in figures] == [f"{name} on the test images" for name in ("CDR", "MDR", "FDR")]
    for role, model in run.models.items():
        rates = model.evaluation.test.fault_rates
        assert f"{role} {rates.rates['FDR']:.3f} at {rates.threshold:.3f}" in figures[2].alt
    validated = replace(run, models={role: untested(model) for role, model in run.models.items()})
    assert rate_curves(validated)[0].title == "CDR on the validation images"
    assert rate_curves(validated)[2].alt != figures[2].alt


def untested(model: Any) -> Any:
    return replace(model, evaluation=replace(model.evaluation, test=None))


def test_a_run_of_before_there_was_a_sweep_has_no_curves_of_it(make_run: Any) -> None:
    run = collect(make_run())
    rates = replace(run.models["student"].evaluation.fault_rates, sweep=[])
    student = replace(run.models["student"], evaluation=replace(run.models["student"].evaluation, fault_rates=rates))
    assert "student" not in rate_curves(replace(run, models={**run.models, "student": student}))[0].alt
    assert rate_curves(replace(run, models={"student": student})) == []

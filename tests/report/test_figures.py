"""The figures: what is in them, and that they hold no links."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest

from limbeck.report.collect import collect
from limbeck.report.figures import MAX_POINTS, _thinned, curves, metric_bars, pr_curves, rate_curves


def words(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


def test_bars_have_every_model_and_value(make_run: Any) -> None:
    run = collect(make_run())
    figure = metric_bars(run.models)

    for role, model in run.models.items():
        assert f"AP50 {role}" in words(figure.svg)
        assert f"{model.evaluation.metrics['AP']:.3f}" in words(figure.svg)
        assert f"{role} {model.evaluation.metrics['AP']:.3f}" in figure.alt


def test_curves_start_with_validation_and_hold_only_who_has_the_term(make_run: Any) -> None:
    figures = curves(collect(make_run()))
    by_title = {figure.title: figure for figure in figures}

    assert [figure.title for figure in figures[:2]] == ["validation AP", "total loss"]
    assert not any("APs" in title for title in by_title)
    assert by_title["loss term bckd_class"].alt.endswith(": student.")
    assert by_title["loss term qfl"].alt.endswith(": teacher, control, student.")


def test_a_resumed_log_counts_the_last_value_of_a_step(make_run: Any) -> None:
    """A training that was stopped behind its last checkpoint writes some steps twice."""
    folder = make_run(steps=5)
    path = folder / "control" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 5, "train/loss": 800.0}\n')
    jumped = words(curves(collect(folder))[1].svg)
    path.write_text(path.read_text() + '{"step": 5, "train/loss": 1.0}\n')

    assert "800" in jumped
    assert "800" not in words(curves(collect(folder))[1].svg)


def test_long_logs_are_averaged() -> None:
    steps, values = _thinned({float(step): float(step % 2) for step in range(10 * MAX_POINTS)})

    assert len(steps) == MAX_POINTS
    assert steps[0] == 4.5
    assert set(values) == {0.5}


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


@pytest.mark.parametrize("draw", [lambda run: metric_bars(run.models), lambda run: pr_curves(run)[0]])
def test_figures_hold_no_date_and_are_the_same_every_time(make_run: Any, draw: Any) -> None:
    run = collect(make_run())

    assert draw(run).svg == draw(run).svg
    assert "metadata" not in draw(run).svg
    assert draw(run).uri.startswith("data:image/svg+xml;base64,")

"""The figures: what is in them, and that they hold no links."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from limbeck.report.detection.collect import collect
from limbeck.report.figures import MAX_POINTS, _thinned, curves, metric_bars


def words(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


def test_bars_have_every_model_and_value(make_run: Any) -> None:
    run = collect(make_run())
    figure = metric_bars(run.models, ("AP", "AP50"))

    for role, model in run.models.items():
        assert f"AP50 {role}" in words(figure.svg)
        assert f"{model.evaluation.metrics['AP']:.3f}" in words(figure.svg)
        assert f"{role} {model.evaluation.metrics['AP']:.3f}" in figure.alt


def test_curves_start_with_validation_and_hold_only_who_has_the_term(make_run: Any) -> None:
    figures = curves(collect(make_run()), ("AP", "AP50"))
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
    jumped = words(curves(collect(folder), ("AP", "AP50"))[1].svg)
    path.write_text(path.read_text() + '{"step": 5, "train/loss": 1.0}\n')

    assert "800" in jumped
    assert "800" not in words(curves(collect(folder), ("AP", "AP50"))[1].svg)


def test_long_logs_are_averaged() -> None:
    steps, values = _thinned({float(step): float(step % 2) for step in range(10 * MAX_POINTS)})

    assert len(steps) == MAX_POINTS
    assert steps[0] == 4.5
    assert set(values) == {0.5}


def test_figures_hold_no_date_and_are_the_same_every_time(make_run: Any) -> None:
    models = collect(make_run()).models
    figure = metric_bars(models, ("AP", "AP50"))

    assert figure.svg == metric_bars(models, ("AP", "AP50")).svg
    assert "metadata" not in figure.svg
    assert figure.uri.startswith("data:image/svg+xml;base64,")

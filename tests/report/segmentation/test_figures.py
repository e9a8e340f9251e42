"""The charts of classes, and drawn confusion matrices."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

from limbeck.report.segmentation.collect import collect
from limbeck.report.segmentation.figures import MAX_CHARTS, PER_CHART, class_charts, confusion_chart


def words(svg: str) -> list[str]:
    return [text.strip() for text in ET.fromstring(svg).itertext() if text.strip()]


def test_a_chart_names_every_class_and_model(make_run: Any) -> None:
    run = collect(make_run())
    (chart,) = class_charts(run, run.truth.classes)

    for name in (*run.truth.classes, *run.models):
        assert name in words(chart.svg)
    assert f"sky {run.models['student'].evaluation.per_class['sky']['IoU']:.3f}" in chart.alt


def test_classes_are_spread_over_charts_and_too_many_left_out(make_run: Any) -> None:
    classes = [f"class {n}" for n in range(PER_CHART * MAX_CHARTS + 3)]
    run = collect(make_run(classes=classes, images=1, parity=None))
    few = class_charts(run, classes[: PER_CHART + 1])
    all_there = class_charts(run, classes)

    assert [sum(name.startswith("class ") for name in words(chart.svg)) for chart in few] == [5, 4]
    assert len({re.search(r'height="[^"]+"', chart.svg)[0] for chart in few}) == 1
    assert len(all_there) == MAX_CHARTS
    assert classes[-1] not in "".join(chart.alt for chart in all_there)


def test_an_undefined_class_has_no_dot(make_run: Any) -> None:
    run = collect(make_run())
    student = run.models["student"]
    per_class = {name: values | {"IoU": -1.0} for name, values in student.evaluation.per_class.items()}
    undefined = replace(student, evaluation=replace(student.evaluation, per_class=per_class))
    (chart,) = class_charts(replace(run, models={**run.models, "student": undefined}), run.truth.classes)
    (whole,) = class_charts(run, run.truth.classes)

    assert "road n/a" in chart.alt
    assert len(chart.svg) < len(whole.svg)


def test_a_drawn_confusion_matrix_names_its_classes(make_run: Any) -> None:
    run = collect(make_run())
    chart = confusion_chart(run, run.models["control"])

    assert words(chart.svg).count("building") == 2
    assert "<image" in chart.svg
    assert chart.alt == "Confusion matrix of the control, rows are true classes."

"""Sentences and tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.report.collect import Difference, Run
from limbeck.report.detection.collect import collect
from limbeck.report.wording import cards, cost_rows, metric_row, verdict


def changed(run: Run, low: float, high: float, gap: float | None) -> Run:
    change = Difference((low + high) / 2, low, high, 0.5)
    return replace(run, comparison=replace(run.comparison, gap_closed=gap, student_minus_control={"AP": change}))


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.01, 0.1, "better"), (0.0, 0.1, "level"), (-0.1, 0.1, "level"), (-0.1, 0.0, "level"), (-0.1, -0.01, "worse")],
)
def test_the_interval_decides(make_run: Any, low: float, high: float, outcome: str) -> None:
    assert verdict(changed(collect(make_run()), low, high, 0.2), "AP").outcome == outcome


@pytest.mark.parametrize(
    ("low", "high", "gap", "sentence"),
    [
        (0.01, 0.1, 0.25, "It closes 25 % of the gap between control and teacher."),
        (-0.1, 0.1, 0.25, "as uncertain as the difference"),
        (-0.1, -0.01, -0.25, "None of the gap between control and teacher is closed."),
        (0.01, 0.1, None, "The teacher is not better than the control"),
    ],
)
def test_the_gap_is_stated_with_its_caution(
    make_run: Any, low: float, high: float, gap: float | None, sentence: str
) -> None:
    assert sentence in verdict(changed(collect(make_run()), low, high, gap), "AP").details[1]


def test_cards_leave_out_what_was_not_measured(make_run: Any) -> None:
    run = collect(make_run())
    teacher = run.models["teacher"]
    unmeasured = replace(teacher.evaluation, latency_ms=None, multiply_adds=None)
    partial = replace(run, models={**run.models, "teacher": replace(teacher, evaluation=unmeasured)})

    assert [card.title for card in cards(run, "AP")][3:] == [
        "of the teacher's parameters",
        "of the teacher's multiply-adds",
        "of the teacher's latency",
    ]
    assert [card.title for card in cards(partial, "AP")][3:] == ["of the teacher's parameters"]
    assert cards(run, "AP")[3].value == "10 %"


def test_the_costs_of_the_models(make_run: Any) -> None:
    run = collect(make_run())
    evaluations = [model.evaluation for model in run.models.values()]
    rows = {
        row.title: row for row in cost_rows([replace(evaluations[0], train_seconds=None), *evaluations[1:]], run.facts)
    }

    assert [value for value, _ in rows["Training time"].cells] == ["n/a", "1 min 36 s", "1 min 36 s"]
    assert [value for value, _ in rows["Parameters"].cells] == ["23.5 M", "2.35 M", "2.35 M"]


def test_a_metric_with_and_without_interval_and_not_measured(make_run: Any) -> None:
    student = collect(make_run()).models["student"].evaluation
    with_interval = metric_row("AP", "the AP", "a note", [student, None])
    assert (with_interval.title, with_interval.note) == ("the AP", "a note")
    assert with_interval.cells[0][0] == f"{student.metrics['AP']:.3f}"
    assert " to " in with_interval.cells[0][1]
    assert with_interval.cells[1] == ("n/a", "")
    assert metric_row("AP75", "AP75", "", [student]).cells[0][1] == ""


def test_memory_and_checkpoint(make_run: Any) -> None:
    run = collect(make_run())
    models = [model.evaluation for model in run.models.values()]
    rows = {row.title: row for row in cost_rows([replace(models[0], train_memory_bytes=None), *models[1:]], run.facts)}
    assert [value for value, _ in rows["Memory, training"].cells] == ["n/a", "912.0 MB", "912.0 MB"]
    assert rows["Memory, testing"].cells[0][0] == "412.0 MB"
    assert rows["Training checkpoint"].cells[2][0] == "28.4 MB"

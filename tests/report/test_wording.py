"""Sentences and tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.report.collect import Difference, FaultRates, Run, collect
from limbeck.report.wording import cards, model_rows, verdict


def changed(run: Run, low: float, high: float, gap: float | None) -> Run:
    change = Difference((low + high) / 2, low, high, 0.5)
    return replace(run, comparison=replace(run.comparison, gap_closed=gap, student_minus_control={"AP": change}))


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.01, 0.1, "better"), (0.0, 0.1, "level"), (-0.1, 0.1, "level"), (-0.1, 0.0, "level"), (-0.1, -0.01, "worse")],
)
def test_the_interval_decides(make_run: Any, low: float, high: float, outcome: str) -> None:
    assert verdict(changed(collect(make_run()), low, high, 0.2)).outcome == outcome


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
    assert sentence in verdict(changed(collect(make_run()), low, high, gap)).details[1]


def test_cards_leave_out_what_was_not_measured(make_run: Any) -> None:
    run = collect(make_run())
    teacher = run.models["teacher"]
    unmeasured = replace(teacher.evaluation, latency_ms=None, multiply_adds=None)
    partial = replace(run, models={**run.models, "teacher": replace(teacher, evaluation=unmeasured)})

    assert [card.title for card in cards(run)][3:] == [
        "of the teacher's parameters",
        "of the teacher's multiply-adds",
        "of the teacher's latency",
    ]
    assert [card.title for card in cards(partial)][3:] == ["of the teacher's parameters"]
    assert cards(run)[3].value == "10 %"


def test_the_table_of_models(make_run: Any) -> None:
    evaluations = [model.evaluation for model in collect(make_run()).models.values()]
    rows = {row.title: row for row in model_rows([replace(evaluations[0], train_seconds=None), *evaluations[1:]])}

    assert [value for value, _ in rows["Training time"].cells] == ["n/a", "1 min 36 s", "1 min 36 s"]
    assert rows["AP"].cells[0][0] == f"{evaluations[0].metrics['AP']:.3f}"
    assert " to " in rows["AP"].cells[0][1]
    assert rows["AP75"].cells[0][1] == ""


def test_the_image_level_rates_with_their_threshold(make_run: Any) -> None:
    evaluations = [model.evaluation for model in collect(make_run(rates=False)).models.values()]
    of_before = {"CDR", "Threshold", "AP, test images", "Training checkpoint", "Memory, training"}
    assert not of_before & {row.title for row in model_rows(evaluations)}
    intervals = dict.fromkeys(("CDR", "MDR", "FDR"), (0.1, 0.95))
    found = FaultRates(0.4321, 6, 5, {"CDR": 0.9, "MDR": 0.06, "FDR": 0.04}, intervals)
    known = [replace(evaluations[0], fault_rates=found), *evaluations[1:]]
    rows = {row.title: row for row in model_rows(known)}
    assert rows["CDR"].cells[0] == ("0.900", "0.100 to 0.950")
    assert rows["FDR"].cells[0][0] == "0.040"
    assert rows["Threshold"].cells[0][0] == "0.432"
    assert rows["Threshold"].cells[1][0] == rows["MDR"].cells[1][0] == "n/a"


def test_what_was_measured_on_the_test_images_has_rows_of_its_own(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run(test=True)).models.values()]
    rows = {row.title: row for row in model_rows([replace(models[0], test=None), *models[1:]])}
    student = models[2].test
    assert student is not None
    assert student.fault_rates is not None
    assert rows["AP50, test images"].cells[2][0] == f"{student.metrics['AP50']:.3f}"
    assert rows["MDR, test images"].cells[2][0] == f"{student.fault_rates.rates['MDR']:.3f}"
    assert rows["FDR, test images"].cells[0] == rows["AP, test images"].cells[0] == ("n/a", "")
    assert not any("test images" in row.title for row in model_rows([replace(model, test=None) for model in models]))


def test_memory_and_checkpoint(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run()).models.values()]
    rows = {row.title: row for row in model_rows([replace(models[0], train_memory_bytes=None), *models[1:]])}
    assert [value for value, _ in rows["Memory, training"].cells] == ["n/a", "912.0 MB", "912.0 MB"]
    assert rows["Memory, testing"].cells[0][0] == "412.0 MB"
    assert rows["Training checkpoint"].cells[2][0] == "28.4 MB"

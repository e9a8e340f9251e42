"""The tables of numbers of a LiDAR run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.report.collect import Difference
from limbeck.report.detection3d.collect import Detection3DRun, collect
from limbeck.report.detection3d.wording import class_columns, class_rows, range_rows, score_rows


def with_student(run: Detection3DRun, **changes: Any) -> Detection3DRun:
    student = run.models["student"]
    changed = replace(student, evaluation=replace(student.evaluation, **changes))
    return replace(run, models={**run.models, "student": changed})


def test_metrics_have_their_intervals_where_there_are_any(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run()).models.values()]
    rows = {row.title: row for row in score_rows(models)}

    assert list(rows) == ["mAP", "NDS", "AP_3D", "AP_BEV", "mAPH", "mATE", "mASE", "mAOE", "mAVE"]
    low, high = models[2].intervals["mAP"]
    assert rows["mAP"].cells[2] == (f"{models[2].metrics['mAP']:.3f}", f"{low:.3f} to {high:.3f}")
    assert rows["AP_3D"].cells[2][1] == ""


def test_metrics_that_nothing_is_known_of_are_left_out(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run()).models.values()]
    unknown = [replace(model, metrics=model.metrics | {"mAVE": -1.0}) for model in models]

    assert "mAVE" not in {row.title for row in score_rows(unknown)}
    assert "mAVE" in {row.title for row in score_rows([*unknown[:2], models[2]])}


def test_test_clouds_stand_below(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run(test=True)).models.values()]
    titles = [row.title for row in score_rows(models)]

    assert titles[-5:] == [f"{name}, test clouds" for name in ("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH")]


def test_overlap_has_a_column_per_level_where_there_are_levels(make_run: Any, tmp_path: Any) -> None:
    without = class_columns(collect(make_run()))
    assert without["AP_3D"] == {"AP_3D": "overlap"}
    assert list(without["AP by centre distance"]) == ["AP", "AP@0.5m", "AP@1m", "AP@2m", "AP@4m"]
    assert list(without["mean errors"]) == ["ATE", "ASE", "AOE", "AVE"]


def test_levels_are_shown_by_name(make_run: Any) -> None:
    columns = class_columns(collect(make_run(levels=True)))
    assert columns["AP_BEV"] == {
        "AP_BEV_easy": "easy",
        "AP_BEV_moderate": "moderate",
        "AP_BEV_hard": "hard",
    }


def test_errors_that_nothing_is_known_of_have_no_column(make_run: Any) -> None:
    run = collect(make_run())
    per_class = run.models["student"].evaluation.per_class
    without = {name: values | {"AVE": -1.0} for name, values in per_class.items()}
    assert list(class_columns(with_student(run, per_class=without))["mean errors"]) == ["ATE", "ASE", "AOE"]


def test_classes_come_with_the_most_objects_first_and_the_best_is_marked(make_run: Any) -> None:
    run = collect(make_run())
    rows = class_rows(run)

    assert [row.objects for row in rows] == sorted((row.objects for row in rows), reverse=True)
    for row in rows:
        for metric, best in (("AP", max), ("ATE", min)):
            values = {role: value.value for role, value in row.values[metric].items()}
            marked = [role for role, value in row.values[metric].items() if value.best]
            assert [values[role] for role in marked] == [best(values.values())]


@pytest.mark.parametrize(("low", "high", "clear"), [(0.1, 0.2, "up"), (-0.2, -0.1, "down"), (-0.1, 0.1, "")])
def test_the_change_of_a_class_is_that_of_the_paired_bootstrap(
    make_run: Any, low: float, high: float, clear: str
) -> None:
    run = collect(make_run())
    changes = {"AP/car": Difference(0.15, low, high, 0.9)}
    run = replace(run, comparison=replace(run.comparison, student_minus_control=changes))
    rows = {row.name: row for row in class_rows(run)}

    assert rows["car"].change.clear == clear
    assert rows["cyclist"].change is None


def test_distances_and_classes_without_objects_are_left_out(make_run: Any) -> None:
    run = collect(make_run())
    rows = range_rows(run)
    assert [row.what for row in rows if row.objects is not None] == ["0-30 m", "30-50 m"]
    assert [row.what for row in rows[:4]] == ["0-30 m", "car", "pedestrian", "cyclist"]
    of_all = run.models["student"].evaluation.by_range["0-30 m"]
    assert rows[0].objects == of_all["objects"]
    assert rows[0].values["APH"]["student"].value == of_all["APH"]
    assert rows[1].values["AP"]["student"].value == of_all["AP/car"]

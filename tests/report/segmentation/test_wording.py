"""The rows of the metrics and of the classes, and the sentences on the export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.report.collect import Difference
from limbeck.report.segmentation.collect import SegmentationRun, collect
from limbeck.report.segmentation.wording import agreement_rows, class_rows, score_rows


def with_change(run: SegmentationRun, low: float, high: float) -> SegmentationRun:
    change = {"IoU/sky": Difference((low + high) / 2, low, high, 0.5)}
    return replace(run, comparison=replace(run.comparison, student_minus_control=change))


def with_class(run: SegmentationRun, role: Any, name: str, **values: float) -> SegmentationRun:
    evaluation = run.models[role].evaluation
    per_class = evaluation.per_class | {name: evaluation.per_class[name] | values}
    model = replace(run.models[role], evaluation=replace(evaluation, per_class=per_class))
    return replace(run, models={**run.models, role: model})


def row_of(run: SegmentationRun, name: str) -> Any:
    (row,) = [row for row in class_rows(run) if row.name == name]
    return row


def test_metrics_have_intervals_where_there_are_any(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run()).models.values()]
    rows = {row.title: row for row in score_rows(models)}

    assert list(rows) == ["mIoU", "mF", "Pixel accuracy", "Mean accuracy", "fwIoU", "Boundary F"]
    assert rows["Boundary F"].cells[2][0] == f"{models[2].metrics['boundary_F']:.3f}"
    assert " to " in rows["Boundary F"].cells[2][1]
    assert rows["fwIoU"].cells[0] == ("0.700", "")


def test_test_images_have_rows_of_their_own(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run(test=True)).models.values()]
    rows = {row.title: row for row in score_rows([replace(models[0], test=None), *models[1:]])}

    assert rows["mIoU, test images"].cells[0] == ("n/a", "")
    assert rows["Pixel accuracy, test images"].cells[2][0] == f"{models[2].test.metrics['pixel_accuracy']:.3f}"


def test_the_classes_with_the_most_pixels_come_first(make_run: Any) -> None:
    rows = class_rows(collect(make_run()))

    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
    assert sum(row.share for row in rows) == pytest.approx(1)


@pytest.mark.parametrize(("low", "high", "clear"), [(0.01, 0.2, "up"), (-0.1, 0.2, ""), (-0.2, -0.01, "down")])
def test_a_change_is_clear_where_its_interval_leaves_out_zero(
    make_run: Any, low: float, high: float, clear: str
) -> None:
    run = with_change(collect(make_run()), low, high)

    assert row_of(run, "sky").change.clear == clear
    assert row_of(run, "road").change is None


def test_a_class_that_is_undefined_has_no_change(make_run: Any) -> None:
    run = with_class(with_change(collect(make_run()), -1, -1), "control", "sky", IoU=-1.0)

    assert row_of(run, "sky").change is None
    assert not row_of(run, "sky").values["IoU"]["control"].best


def test_the_best_of_the_models_is_marked(make_run: Any) -> None:
    run = collect(make_run())
    for role, value in {"teacher": 0.7, "control": 0.7, "student": 0.2}.items():
        run = with_class(with_class(run, role, "sky", IoU=value), role, "road", IoU=0.4)

    assert {role: value.best for role, value in row_of(run, "sky").values["IoU"].items()} == {
        "teacher": True,
        "control": True,
        "student": False,
    }
    assert not any(value.best for value in row_of(run, "road").values["IoU"].values())


def test_one_that_is_alone_is_not_the_best(make_run: Any) -> None:
    run = collect(make_run())
    for role, value in {"teacher": -1.0, "control": -1.0, "student": 0.0}.items():
        run = with_class(run, role, "sky", precision=value)

    assert not any(value.best for value in row_of(run, "sky").values["precision"].values())


def test_how_the_export_agrees(make_run: Any) -> None:
    parity = collect(make_run(parity=False)).bundle.parity

    assert agreement_rows(parity) == [
        (
            "On equal pixels",
            "12 of 110592 pixels with another class, 0 of them clearly; confidences differ by at most 3.1e-06",
        ),
        (
            "From the image files",
            "900 of 110592 pixels with another class, 850 of them clearly; confidences differ by at most 3.1e-06",
        ),
        ("mIoU", "0.612 PyTorch, 0.310 ONNX"),
    ]

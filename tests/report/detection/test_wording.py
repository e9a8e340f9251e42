"""The rows of the metrics and rates, and of the classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from limbeck.report.detection.collect import FaultRates, collect
from limbeck.report.detection.wording import class_rows, score_rows


def test_the_image_level_rates_with_their_threshold(make_run: Any) -> None:
    evaluations = [model.evaluation for model in collect(make_run(rates=False)).models.values()]
    assert [row.title for row in score_rows(evaluations)] == ["AP", "AP50", "AP75", "AR100"]
    intervals = dict.fromkeys(("CDR", "MDR", "FDR"), (0.1, 0.95))
    found = FaultRates(0.4321, 6, 5, {"CDR": 0.9, "MDR": 0.06, "FDR": 0.04}, intervals)
    known = [replace(evaluations[0], fault_rates=found), *evaluations[1:]]
    rows = {row.title: row for row in score_rows(known)}
    assert rows["CDR"].cells[0] == ("0.900", "0.100 to 0.950")
    assert rows["FDR"].cells[0][0] == "0.040"
    assert rows["Threshold"].cells[0][0] == "0.432"
    assert rows["Threshold"].cells[1][0] == rows["MDR"].cells[1][0] == "n/a"


def test_what_was_measured_on_the_test_images_has_rows_of_its_own(make_run: Any) -> None:
    models = [model.evaluation for model in collect(make_run(test=True)).models.values()]
    rows = {row.title: row for row in score_rows([replace(models[0], test=None), *models[1:]])}
    student = models[2].test
    assert student is not None
    assert student.fault_rates is not None
    assert rows["AP50, test images"].cells[2][0] == f"{student.metrics['AP50']:.3f}"
    assert rows["MDR, test images"].cells[2][0] == f"{student.fault_rates.rates['MDR']:.3f}"
    assert rows["FDR, test images"].cells[0] == rows["AP, test images"].cells[0] == ("n/a", "")
    assert not any("test images" in row.title for row in score_rows([replace(model, test=None) for model in models]))


def test_the_classes_with_the_most_objects_come_first(make_run: Any) -> None:
    run = collect(make_run())
    rows = class_rows(run)
    assert [row.objects for row in rows] == sorted((row.objects for row in rows), reverse=True)
    student, control = (run.models[role].evaluation.per_class[rows[0].name]["AP"] for role in ("student", "control"))
    assert rows[0].change == student - control
    undefined = {name: {**values, "AP": -1.0} for name, values in run.models["control"].evaluation.per_class.items()}
    control = replace(run.models["control"], evaluation=replace(run.models["control"].evaluation, per_class=undefined))
    assert class_rows(replace(run, models={**run.models, "control": control}))[0].change is None

"""The tables of numbers of a LiDAR run: the models side by side, class by class, and by distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.metrics.kitti_ap import LEVEL_NAMES
from limbeck.report.collect import Difference
from limbeck.report.detection3d.collect import Agreement, Detection3DEvaluation, Detection3DParity, Detection3DRun
from limbeck.report.formats import metric
from limbeck.report.wording import Row, Value, marked, metric_row
from limbeck.roles import Role

METRIC_ROWS = {
    "mAP": "mean over the classes and the centre distances 0.5, 1, 2 and 4 m",
    "NDS": "detection score of nuScenes: mAP and the mean errors below",
    "AP_3D": "overlap of the volumes, 40 recalls",
    "AP_BEV": "overlap seen from above, 40 recalls",
    "mAPH": "overlap of the volumes, weighted by the heading, level 2",
    "mATE": "error of the place in m; of errors the lowest is the best, and 1 stands where nothing is hit",
    "mASE": "error of the size, 1 - IoU",
    "mAOE": "error of the heading in radians",
    "mAVE": "error of the velocity in m/s; 1 where a model says none",
}
"""The metrics that are shown, and what they say; those that nothing is known of are left out."""
TESTED = ("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH")
"""Those that are shown of the test clouds too."""
BY_DISTANCE = {"AP": "mean", "AP@0.5m": "0.5 m", "AP@1m": "1 m", "AP@2m": "2 m", "AP@4m": "4 m"}
BY_HEADING = {"APH_L1": "level 1", "APH_L2": "level 2"}
ERRORS = {"ATE": "ATE", "ASE": "ASE", "AOE": "AOE", "AVE": "AVE"}
"""The lowest of which is the best."""
RANGE_METRICS = ("AP", "APH")
"""What is shown by distance."""


def score_rows(models: Sequence[Detection3DEvaluation]) -> Iterator[Row]:
    """Yield the metrics of the models side by side, those on the test clouds below if there are any."""
    for name, note in METRIC_ROWS.items():
        if any(model.metrics[name] >= 0 for model in models):
            yield metric_row(name, name, note, models)
    tests = [model.test for model in models]
    if any(tests):
        for name in TESTED:
            yield metric_row(name, f"{name}, test clouds", "", tests)


@dataclass(frozen=True, slots=True)
class ClassRows:
    """A class with what the models reach on it.

    Attributes:
        name: Name of the class.
        objects: Number of objects to be found.
        values: What each model reaches, by metric.
        change: AP of the student minus that of the control; None where it was not measured.
    """

    name: str
    objects: int
    values: dict[str, dict[Role, Value]]
    change: Difference | None


def class_columns(run: Detection3DRun) -> dict[str, dict[str, str]]:
    """Return the columns of the table of classes: title by metric, in groups by their titles."""
    columns = {"AP by centre distance": BY_DISTANCE}
    columns |= {name: _by_level(name, run) for name in ("AP_3D", "AP_BEV")}
    columns |= {"APH": BY_HEADING, "mean errors": _known(ERRORS, run)}
    return columns


def _by_level(name: str, run: Detection3DRun) -> dict[str, str]:
    """Return the columns of a metric that is measured at each level, if the objects have levels."""
    return _known({f"{name}_{level}": level for level in LEVEL_NAMES}, run) or {name: "overlap"}


def _known(columns: Mapping[str, str], run: Detection3DRun) -> dict[str, str]:
    """Return the columns of metrics that are known of some class."""
    classes = run.models["student"].evaluation.per_class.values()
    return {key: title for key, title in columns.items() if any(values.get(key, -1) >= 0 for values in classes)}


def class_rows(run: Detection3DRun) -> list[ClassRows]:
    """Return the rows of the table of classes, those with the most objects first."""
    metrics = [name for group in class_columns(run).values() for name in group]
    rows = [_class_rows(run, name, metrics) for name in run.truth.classes]
    return sorted(rows, key=lambda row: -row.objects)


def _class_rows(run: Detection3DRun, name: str, metrics: Sequence[str]) -> ClassRows:
    reached = {role: model.evaluation.per_class[name] for role, model in run.models.items()}
    values = {
        metric: marked({role: found[metric] for role, found in reached.items()}, lower_is_better=metric in ERRORS)
        for metric in metrics
    }
    objects = round(reached["student"]["objects"])
    change = run.comparison.student_minus_control.get(f"AP/{name}") if objects else None
    return ClassRows(name, objects, values, change)


@dataclass(frozen=True, slots=True)
class RangeRow:
    """What the models reach at a distance from the LiDAR, on one class or over all of them.

    Attributes:
        what: The distance, or name of the class.
        objects: Number of objects there; None for a single class.
        values: What each model reaches, by metric.
    """

    what: str
    objects: int | None
    values: dict[str, dict[Role, Value]]


def range_rows(run: Detection3DRun) -> list[RangeRow]:
    """Return the table by distance, without the distances and classes at which there is no object."""
    return [row for within in run.models["student"].evaluation.by_range for row in _range_rows(run, within)]


def _range_rows(run: Detection3DRun, within: str) -> Iterator[RangeRow]:
    reached = {role: model.evaluation.by_range[within] for role, model in run.models.items()}
    objects = round(reached["student"]["objects"])
    if objects:
        yield RangeRow(within, objects, _range_values(reached, ""))
    for name in run.truth.classes:
        if reached["student"][f"AP/{name}"] >= 0:
            yield RangeRow(name, None, _range_values(reached, f"/{name}"))


def _range_values(reached: Mapping[Role, Mapping[str, float]], suffix: str) -> dict[str, dict[Role, Value]]:
    return {name: marked({role: found[name + suffix] for role, found in reached.items()}) for name in RANGE_METRICS}


def agreement_rows(parity: Detection3DParity) -> list[tuple[str, str]]:
    """Return how closely the exported LiDAR detector agrees with the trained one, a title and a sentence each."""
    return [
        ("On equal pillars", _agreement(parity.network)),
        ("From the cloud files", _agreement(parity.runtime)),
        ("mAP", f"{metric(parity.map_torch)} PyTorch, {metric(parity.map_onnx)} ONNX"),
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"boxes differ by at most {found.box_difference:.3g} m or radians, scores by at most "
        f"{found.score_difference:.2g}; {found.unmatched} of {found.boxes} boxes without a counterpart"
    )

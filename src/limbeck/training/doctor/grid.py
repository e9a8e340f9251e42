"""What the doctor says of point clouds and the grid of a LiDAR detector: whether what is to be learnt lies in it.

Nothing crashes where a range is in the wrong place or a cloud is in another unit. The detector then sees empty ground
and learns that there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from limbeck.core.centre import CentreSpec
from limbeck.core.model import ModelConfig, ModelSpec
from limbeck.data.cloud_points import read_points
from limbeck.errors import DataError
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.training.doctor.clouds import counted_objects
from limbeck.training.doctor.findings import Finding, failures
from limbeck.training.doctor.intensity import intensity_finding

MAX_CLOUDS = 5
"""So many training clouds are read."""
MOST, SOME = 0.5, 0.01
"""Larger shares of the objects beyond the grid fail, or are worth a word."""
FEWEST_POINTS, FEW_POINTS = 0.02, 0.2
"""Smaller shares of the points within the grid fail, or are worth a word."""


def value_findings(task: Detection3DTask, role: str, spec: ModelSpec) -> Iterator[Finding]:
    """Yield a failure where a model reads another number of values of a point than the data gives."""
    given = task.train.form.features
    if isinstance(spec, CentreSpec) and spec.point_features != len(given):
        text = f"the {role} reads {spec.point_features} values of a point and the data gives {len(given)}"
        mend = f"set {role}.point_features to {len(given)}, or name {spec.point_features} values in data.features"
        yield Finding("fail", f"points of the {role}", f"{text} ({', '.join(given)}): {mend}")


def grid_findings(task: Detection3DTask, spec: ModelSpec, settings: ModelConfig) -> Iterator[Finding]:
    """Yield how the student's grid lies over the objects and over the points of a few training clouds.

    Args:
        task: The data.
        spec: Spec of the student; of one without a grid nothing is said.
        settings: Its settings.
    """
    if not isinstance(spec, CentreSpec):
        return
    some = np.linspace(0, len(task.train.records) - 1, min(MAX_CLOUDS, len(task.train.records))).round().astype(int)
    try:
        points = np.concatenate([read_points(task.train.records[n], task.train) for n in some])
    except DataError as error:
        yield from failures("points of the student", error)
        return
    found = _point_finding(points, len(some), spec)
    yield found
    if found.status == "fail":
        return
    yield from intensity_finding(points, task.train.form.features, settings)
    boxes, labels = _objects(task)
    yield _object_finding(boxes, spec)
    yield from _flip_findings(task, spec)
    yield from _size_finding(task, boxes, labels, spec)
    yield from _place_finding(task, spec)


def _objects(task: Detection3DTask) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes (M,7) and labels (M,) of the training objects that count."""
    pairs = list(zip(task.train.records, counted_objects(task, task.train), strict=True))
    boxes = np.concatenate([record.boxes[counts] for record, counts in pairs])
    return boxes, np.concatenate([record.labels[counts] for record, counts in pairs])


def _inside(xyz: NDArray[np.float32], spec: CentreSpec) -> NDArray[np.bool_]:
    """Return along which axes positions (P,3) lie in the grid, (P,3) bool."""
    low, high = np.array(spec.grid.range_xyz).reshape(2, 3)
    inside: NDArray[np.bool_] = (xyz >= low) & (xyz < high)
    return inside


def _extent(low: NDArray[np.floating], high: NDArray[np.floating]) -> str:
    return ", ".join(f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True))


def _places(xyz: NDArray[np.float32], spec: CentreSpec) -> str:
    """Return where the grid and where 98 % of the positions (P,3) are."""
    grid = _extent(*np.array(spec.grid.range_xyz).reshape(2, 3))
    return f"student.range is {grid} m, they lie at {_extent(*np.percentile(xyz, [1, 99], axis=0))}"


def _point_finding(points: NDArray[np.float32], clouds: int, spec: CentreSpec) -> Finding:
    check, xyz = "points of the student", points[:, :3]
    share = _inside(xyz, spec).all(axis=1).mean()
    text = f"{share:.0%} of the points of {clouds} training clouds are in its range"
    if share >= FEW_POINTS:
        return Finding("ok", check, text)
    text += f"; {_places(xyz, spec)}"
    if share >= FEWEST_POINTS:
        return Finding("warn", check, f"{text}; is the range in the wrong place?")
    return Finding("fail", check, f"{text}: a range in the wrong place, or points not in metres with z up")


def _object_finding(boxes: NDArray[np.float32], spec: CentreSpec) -> Finding:
    check, inside = "range of the student", _inside(boxes[:, :3], spec)
    count = int((~inside.all(axis=1)).sum())
    if not count:
        return Finding("ok", check, f"holds the centres of all {len(boxes)} training objects")
    beside, above = int((~inside[:, :2].all(axis=1)).sum()), int((~inside[:, 2]).sum())
    text = f"{count} of {len(boxes)} training objects are out of it ({beside} in x or y, {above} in z)"
    if count > MOST * len(boxes):
        return Finding("fail", check, f"{text}: {_places(boxes[:, :3], spec)}; give another range")
    if count > SOME * len(boxes):
        mend = "enlarge student.range, or leave them out by data.max_range"
        return Finding("warn", check, f"{text}: the student cannot find such objects; {mend}")
    return Finding("ok", check, text)


def _flip_findings(task: Detection3DTask, spec: CentreSpec) -> Iterator[Finding]:
    """Yield a warning where an augmentation mirrors a grid that lies on one side of the LiDAR out of the clouds."""
    augment, (x0, y0, _, x1, y1, _) = task.config.augment, spec.grid.range_xyz
    flips = ("flip_front_back", "x", x0, x1), ("flip_left_right", "y", y0, y1)
    for name, axis, low, high in flips:
        if getattr(augment, name) > 0 and (low >= 0 or high <= 0):
            text = f"data.augment.{name} mirrors {axis}, but student.range has {axis} from {low:g} to {high:g} m only"
            yield Finding("warn", "augmentation", f"{text}: mirrored clouds lie outside; set it to 0")


def _size_finding(
    task: Detection3DTask, boxes: NDArray[np.float32], labels: NDArray[np.int64], spec: CentreSpec
) -> Iterator[Finding]:
    """Yield a warning where the median object of a class is smaller than a cell of the head."""
    cell_x, cell_y = spec.cell_xy
    small = []
    for k in np.unique(labels).tolist():
        length, width = np.median(boxes[labels == k, 3:5], axis=0).tolist()
        if max(length, width) < min(cell_x, cell_y):
            small.append(f"{task.classes[k]} {length:.2f} x {width:.2f} m")
    if small:
        text = f"a cell of the head is {cell_x:g} x {cell_y:g} m, larger than the median {', '.join(small)}"
        mend = "objects side by side share a cell; take smaller pillars, or fewer pillars per cell"
        yield Finding("warn", "cells of the student", f"{text}: {mend}")


def _place_finding(task: Detection3DTask, spec: CentreSpec) -> Iterator[Finding]:
    """Yield a warning where a cloud has more objects of one group of classes than places."""
    most = 0
    for record, counts in zip(task.train.records, counted_objects(task, task.train), strict=True):
        per_class = np.bincount(record.labels[counts], minlength=len(task.classes))
        most = max(most, *(int(per_class[list(group)].sum()) for group in spec.class_groups))
    if most > spec.max_objects:
        text = f"a training cloud has {most} objects of one group, and the student has {spec.max_objects} places"
        yield Finding("warn", "places for objects", f"{text}: the others are not learnt; raise peaks.max_objects")

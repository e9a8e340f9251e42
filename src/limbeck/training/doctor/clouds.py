"""What the doctor says of point clouds with boxes in space, and of a teacher that finds such boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.cloud_ignore import ignored_objects
from limbeck.data.cloud_records import CloudData
from limbeck.metrics.boxes3d import Found3D, Truth3D
from limbeck.ops.boxes3d import bev_iou
from limbeck.tasks.detection3d import CloudTally, Detection3DTask
from limbeck.training.doctor.class_order import add_labels, order_finding
from limbeck.training.doctor.findings import Finding, Status

CHANCE_MAP = 0.01
"""A teacher below this mAP on its own validation data has nothing to teach."""
FOUND_IOU = 0.3
"""Seen from above; small objects and coarse cells leave less overlap than boxes in images have."""
MOST = 0.5
"""That a larger share of the objects is ignored is worth a look."""


def cloud_label_findings(task: Detection3DTask) -> Iterator[Finding]:
    """Yield what is labelled; without an object that counts in either part there is nothing to train or to measure."""
    train, val = _objects(task, task.train), _objects(task, task.val)
    classes = "1 class" if len(task.classes) == 1 else f"{len(task.classes)} classes"
    text = (
        f"{len(task.train.records)} training clouds with {train.sum()} objects of {classes}, "
        f"{len(task.val.records)} validation clouds with {val.sum()}"
    )
    if task.test is not None:
        text += f", {len(task.test.records)} test clouds with {_objects(task, task.test).sum()}"
    for part, data, counts in (("training", task.train, train), ("validation", task.val, val)):
        if not counts.any():
            yield Finding("fail", "data", f"{text}; no {part} object counts{_reasons(task, data)}")
            return
    pairs = zip(task.classes, train.tolist(), val.tolist(), strict=True)
    each = ", ".join(f"{name} {here} and {there}" for name, here, there in pairs)
    yield Finding("ok", "data", f"{text}; in training and validation: {each}")
    if task.skipped:
        yield Finding("warn", "data", f"{len(task.skipped)} broken entries are left out; the first: {task.skipped[0]}")
    for part, counts in (("training", train), ("validation", val)):
        if missing := [name for name, count in zip(task.classes, counts, strict=True) if count == 0]:
            yield Finding("warn", "classes", f"no {part} cloud has an object that counts of: {', '.join(missing)}")
    yield from _ignored_finding(task)


def counted_objects(task: Detection3DTask, data: CloudData) -> list[NDArray[np.bool_]]:
    """Return which objects of each cloud of a part count, (M,) bool each."""
    limits = task.config.max_range, task.config.min_points
    return [~ignored_objects(record, task.classes, *limits) for record in data.records]


def _objects(task: Detection3DTask, data: CloudData) -> NDArray[np.int64]:
    """Return how many objects of each class count, (K,)."""
    labels = [record.labels[counts] for record, counts in zip(data.records, counted_objects(task, data), strict=True)]
    return np.bincount(np.concatenate(labels), minlength=len(task.classes))


def _ignored_finding(task: Detection3DTask) -> Iterator[Finding]:
    """Yield how many training objects are ignored, if any are."""
    total = sum(len(record.boxes) for record in task.train.records)
    ignored = total - sum(int(counts.sum()) for counts in counted_objects(task, task.train))
    if ignored:
        text = f"{ignored} of {total} training objects ({ignored / total:.0%}) are neither learnt nor background"
        status: Status = "warn" if ignored > MOST * total else "ok"
        yield Finding(status, "ignored objects", f"{text}{_reasons(task, task.train)}")


def _reasons(task: Detection3DTask, data: CloudData) -> str:
    """Return why objects of a part are ignored, each counted once; empty where none is."""
    limits = task.config.max_range, task.config.min_points
    stages = [(None, 0), (limits[0], 0), limits]
    totals = [
        sum(int(ignored_objects(record, task.classes, *stage).sum()) for record in data.records) for stage in stages
    ]
    counts = np.diff(totals, prepend=0).tolist()
    names = "marked so", "farther than data.max_range", f"with fewer than {limits[1]} points (data.min_points)"
    given = [f"{count} {name}" for count, name in zip(counts, names, strict=True) if count]
    return f": {', '.join(given)}" if given else ""


def cloud_score_findings(task: Detection3DTask, tally: CloudTally) -> Iterator[Finding]:
    """Yield whether a teacher's labels are right, and whether it finds anything."""
    order = order_finding(task.classes, cloud_label_counts(task.truth, tally.found))
    if order is not None:
        yield order
    if order is None or order.status != "fail":
        yield _score_finding(tally)


def cloud_label_counts(truth: Truth3D, found: Found3D) -> NDArray[np.int64]:
    """Count which label an object is found with, whatever its own: (K,K), row its class, column the label.

    An object's label is that of the detection with the highest score among those that overlap it seen from above by at
    least `FOUND_IOU`; objects without one, and those to be ignored, are not counted.
    """
    counts = np.zeros((len(truth.classes), len(truth.classes)), dtype=np.int64)
    for objects, detections in zip(truth.frames, found.frames, strict=True):
        wanted = ~objects.ignore
        ious = bev_iou(torch.from_numpy(objects.boxes[wanted]), torch.from_numpy(detections.boxes))
        add_labels(counts, objects.labels[wanted], ious.numpy() >= FOUND_IOU, detections.scores, detections.labels)
    return counts


def _score_finding(tally: CloudTally) -> Finding:
    check, found = "score of the teacher", tally.metrics()
    text = f"mAP {found['mAP']:.3f}, NDS {found['NDS']:.3f} on the validation clouds"
    if found["mAP"] < CHANCE_MAP:
        return Finding("fail", check, f"{text}: no better than chance; train it longer or give another one")
    return Finding("ok", check, text)

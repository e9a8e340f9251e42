"""What the doctor says of data with boxes, and of a teacher that finds boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from limbeck.data.records import BoxData
from limbeck.metrics.coco import CocoResult, evaluate
from limbeck.tasks.detection2d import BoxTally, Detection2DTask
from limbeck.training.doctor.class_order import label_counts, order_finding
from limbeck.training.doctor.findings import Finding

CHANCE_AP50 = 0.01
"""A teacher below this AP50 on its own validation data has nothing to teach."""


def box_label_findings(task: Detection2DTask) -> Iterator[Finding]:
    """Yield what is labelled; without any box in either part there is nothing to train or to measure."""
    train, val = _boxes(task.train), _boxes(task.val)
    classes = "1 class" if len(task.classes) == 1 else f"{len(task.classes)} classes"
    text = (
        f"{len(task.train.records)} training images with {train} boxes of {classes}, "
        f"{len(task.val.records)} validation images with {val}"
    )
    if task.test is not None:
        text += f", {len(task.test.records)} test images with {_boxes(task.test)}"
    yield Finding("ok" if train and val else "fail", "data", text)
    if task.skipped:
        yield Finding("warn", "data", f"{len(task.skipped)} broken entries are left out; the first: {task.skipped[0]}")
    found = {int(label) for record in task.train.records for label in record.labels[~record.ignore]}
    missing = [name for label, name in enumerate(task.classes) if label not in found]
    if missing:
        yield Finding("warn", "classes", f"no training image shows: {', '.join(missing)}")


def _boxes(data: BoxData) -> int:
    return sum(int((~record.ignore).sum()) for record in data.records)


def box_score_findings(task: Detection2DTask, tally: BoxTally) -> Iterator[Finding]:
    """Yield whether a teacher's labels are right, and whether it is better than chance."""
    order = order_finding(task.classes, label_counts(task.truth, tally.results))
    if order is not None:
        yield order
    if order is None or order.status != "fail":
        yield _score_finding(task, tally.metrics())


def _score_finding(task: Detection2DTask, metrics: Mapping[str, float]) -> Finding:
    check = "score of the teacher"
    text = f"AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f} on the validation images"
    if metrics["AP50"] < CHANCE_AP50:
        return Finding("fail", check, f"{text}: no better than chance; train it longer or give another one")
    blind = evaluate(task.truth, typical_boxes(task)).metrics["AP50"]
    if metrics["AP50"] <= blind:
        text += f": the typical box of each class, drawn into every image, reaches AP50 {blind:.3f}"
        return Finding("warn", check, f"{text}; it has little to teach")
    return Finding("ok", check, text)


def typical_boxes(task: Detection2DTask) -> list[CocoResult]:
    """Answer every validation image alike, without a look: with the median of the training boxes of each class.

    Where the camera stands still this finds something, and a teacher must do better.
    """
    boxes: defaultdict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for record in task.train.records:
        for label, box in zip(record.labels[~record.ignore], record.boxes_xyxy[~record.ignore], strict=True):
            boxes[int(label)].append(box / np.array([*record.size_wh, *record.size_wh]))
    answers: list[CocoResult] = []
    for label, relative in boxes.items():
        left, top, right, bottom = np.median(relative, axis=0)
        shape = np.array([left, top, right - left, bottom - top])
        answers += [
            {
                "image_id": record.id,
                "category_id": task.val.category_ids[label],
                "bbox": (shape * np.array([*record.size_wh, *record.size_wh])).tolist(),
                "score": 1.0,
            }
            for record in task.val.records
        ]
    return answers

"""What the doctor says of the teacher: its classes, the order of its logits, and what it has to teach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.config import RunConfig
from limbeck.core.model import Model
from limbeck.inference import predict_all
from limbeck.lookup import find_method
from limbeck.metrics.coco import CocoResult
from limbeck.tasks import Detection2DTask
from limbeck.training.doctor.class_order import MIN_FOUND, label_counts, likely_order, wrong_labels
from limbeck.training.doctor.findings import Finding
from limbeck.training.fit import seeded_model
from limbeck.weights import load_weights

CHANCE_AP50 = 0.01
"""A teacher below this AP50 on its own validation data has nothing to teach."""
_SHOWN = 3


def teacher_of(config: RunConfig, task: Detection2DTask) -> Model[Any, Any, Any, Any] | None:
    """Return the teacher of a run, or a stand-in with random weights for one that is trained first.

    Raises:
        CheckpointError: Its weights are missing or broken.
    """
    if not config.uses_teacher or config.teacher is None:
        return None
    if config.teacher_checkpoint is None:
        return seeded_model(config.teacher, task.classes, config.seed + 1)  # unlike the student
    return load_weights(config.teacher_checkpoint)[0]


def class_finding(config: RunConfig, teacher: Model[Any, Any, Any, Any], task: Detection2DTask) -> Finding:
    """Say whether the teacher's classes are the data's, in the same order."""
    check, its, wanted = "classes of the teacher", list(teacher.spec.classes), list(task.classes)
    if its == wanted:
        return Finding("ok", check, f"the same as the data's: {wanted}")
    if sorted(its) != sorted(wanted):
        text = f"its classes are {its}, the data has {wanted}"
        if _only_features(config):
            return Finding("warn", check, f"{text}: its features can teach, but it cannot be measured")
        return Finding("fail", check, f"{text}; give a teacher of these classes")
    differ = [
        f"{position} is '{name}' and not '{other}'"
        for position, (name, other) in enumerate(zip(its, wanted, strict=True))
        if name != other
    ]
    more = [f"and {len(differ) - _SHOWN} more"] if len(differ) > _SHOWN else []
    text = f"the same as the data's in another order: {', '.join(differ[:_SHOWN] + more)}; set data.classes to {its}"
    return Finding("fail", check, text)


def _only_features(config: RunConfig) -> bool:
    """Whether all methods are for every task: such a method cannot know what a class is."""
    return all(find_method(method.name).tasks is None for method in config.methods)


def score_findings(
    teacher: Model[Any, Any, Any, Any], task: Detection2DTask, device: torch.device | str
) -> Iterator[Finding]:
    """Yield whether a trained teacher's labels are what they are called, and whether it is better than chance."""
    results = predict_all(teacher, task, device=device)
    order = _order_finding(task, results)
    if order is not None:
        yield order
    if order is None or order.status != "fail":
        yield _score_finding(task, results)


def _order_finding(task: Detection2DTask, results: list[CocoResult]) -> Finding | None:
    """Say whether the labels are right; None for a teacher that finds too little to say."""
    check, counts = "labels of the teacher", label_counts(task.truth, results)
    right, found = int(counts.trace()), int(counts.sum())
    if found < MIN_FOUND:
        return None
    if wrong := wrong_labels(counts):
        order = likely_order(task.classes, wrong)
        mend = "correct the classes in the json beside its weights" + (f", probably to {order}" if order else "")
        text = f"{_found_as(task, counts, wrong)}: its logits are not in the order of its classes; {mend}"
        return Finding("fail", check, text)
    if 2 * right < found:
        most = {k: int(row.argmax()) for k, row in enumerate(counts) if row.any() and row.argmax() != k}
        text = f"{_found_as(task, counts, most)}: it mixes them up, or its logits are not in the order of its classes"
        return Finding("warn", check, text)
    return Finding("ok", check, f"right for {right} of the {found} objects that it finds")


def _found_as(task: Detection2DTask, counts: NDArray[np.int64], label: dict[int, int]) -> str:
    pairs = [
        f"{counts[k, other]} of {counts[k].sum()} '{task.classes[k]}' are found as '{task.classes[other]}'"
        for k, other in label.items()
    ]
    return ", ".join(pairs[:_SHOWN] + ([f"and so on for {len(pairs) - _SHOWN} more"] if len(pairs) > _SHOWN else []))


def _score_finding(task: Detection2DTask, results: list[CocoResult]) -> Finding:
    check, metrics = "score of the teacher", task.evaluate(results).metrics
    text = f"AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f} on the validation images"
    if metrics["AP50"] < CHANCE_AP50:
        return Finding("fail", check, f"{text}: no better than chance; train it longer or give another one")
    blind = task.evaluate(typical_boxes(task)).metrics["AP50"]
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

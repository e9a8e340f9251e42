"""Whether a teacher's logits stand in the order of its class list.

A checkpoint from elsewhere may list its classes by the alphabet while its logits follow other ids. Nothing crashes
then; the teacher only finds every wagon under the name of something else, and teaches that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.metrics.coco import CocoResult, CocoTruth, TruthBox
from limbeck.ops.boxes2d import pairwise_iou
from limbeck.training.doctor.findings import Finding

FOUND_IOU = 0.5
MIN_FOUND = 5
"""Of a class of which fewer objects were found nothing is said."""
MIN_SHARE = 0.7
"""So many of the found objects of a class must bear one label for it to be the label of this class."""
_SHOWN = 3


def label_counts(truth: CocoTruth, results: Sequence[CocoResult]) -> NDArray[np.int64]:
    """Count which label an object is found with, whatever its own: (K,K), row its class, column the label.

    An object's label is that of the detection with the highest score among those that overlap it with an IoU of at
    least `FOUND_IOU`; objects without one are not counted.
    """
    index = {number: k for k, (number, _) in enumerate(truth.categories)}
    objects: defaultdict[int | str, list[TruthBox]] = defaultdict(list)
    found: defaultdict[int | str, list[CocoResult]] = defaultdict(list)
    for box in truth.boxes:
        if not box.crowd:
            objects[box.image_id].append(box)
    for result in results:
        found[result["image_id"]].append(result)
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for image, boxes in objects.items():
        if detections := found[image]:
            expected = torch.tensor([box.bbox_xywh for box in boxes], dtype=torch.float64)
            detected = torch.tensor([result["bbox"] for result in detections], dtype=torch.float64)
            add_labels(
                counts,
                np.array([index[box.category_id] for box in boxes]),
                pairwise_iou(_xyxy(expected), _xyxy(detected)).numpy() >= FOUND_IOU,
                np.array([result["score"] for result in detections]),
                np.array([index[result["category_id"]] for result in detections]),
            )
    return counts


def _xyxy(boxes_xywh: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], dim=1)


def add_labels(
    counts: NDArray[np.int64],
    labels: NDArray[np.integer[Any]],
    hits: NDArray[np.bool_],
    scores: NDArray[np.floating[Any]],
    found_as: NDArray[np.integer[Any]],
) -> None:
    """Add the objects of one image or cloud to the counts of `label_counts`.

    Args:
        counts: (K,K); it is added to.
        labels: (M,) class of each object.
        hits: (M,D) which detections overlap which object.
        scores: (D,) of the detections.
        found_as: (D,) their labels.
    """
    if hits.shape[1] == 0:
        return
    best = np.where(hits, scores, -1.0).argmax(axis=1)
    seen = hits.any(axis=1)
    np.add.at(counts, (labels[seen], found_as[best[seen]]), 1)


def order_finding(classes: Sequence[str], counts: NDArray[np.int64]) -> Finding | None:
    """Say whether the labels of a detector are right; None for one that finds too little to say.

    Args:
        classes: Class names.
        counts: (K,K), see `label_counts`.
    """
    check, right, found = "labels of the teacher", int(counts.trace()), int(counts.sum())
    if found < MIN_FOUND:
        return None
    if wrong := wrong_labels(counts):
        order = likely_order(classes, wrong)
        mend = "correct the classes in the json beside its weights" + (f", probably to {order}" if order else "")
        text = f"{_found_as(classes, counts, wrong)}: its logits are not in the order of its classes; {mend}"
        return Finding("fail", check, text)
    if 2 * right < found:
        most = {k: int(row.argmax()) for k, row in enumerate(counts) if row.any() and row.argmax() != k}
        text = (
            f"{_found_as(classes, counts, most)}: it mixes them up, or its logits are not in the order of its classes"
        )
        return Finding("warn", check, text)
    return Finding("ok", check, f"right for {right} of the {found} objects that it finds")


def _found_as(classes: Sequence[str], counts: NDArray[np.int64], label: dict[int, int]) -> str:
    pairs = [
        f"{counts[k, other]} of {counts[k].sum()} '{classes[k]}' are found as '{classes[other]}'"
        for k, other in label.items()
    ]
    return ", ".join(pairs[:_SHOWN] + ([f"and so on for {len(pairs) - _SHOWN} more"] if len(pairs) > _SHOWN else []))


def wrong_labels(counts: NDArray[np.int64]) -> dict[int, int]:
    """Return the label of every class whose objects are clearly found as another class; empty for a sound order.

    A label that two classes share is a teacher that mixes them up, and one such class alone may be a question of what
    is called what. Only two or more classes with wrong labels of their own are an order that is wrong.

    Args:
        counts: (K,K), see `label_counts`.
    """
    found, label = counts.sum(axis=1), counts.argmax(axis=1)
    clear = (found >= MIN_FOUND) & (counts.max(axis=1) >= MIN_SHARE * found)
    labels = label[clear].tolist()
    wrong = {int(k): int(label[k]) for k in np.flatnonzero(clear) if label[k] != k and labels.count(int(label[k])) == 1}
    return wrong if len(wrong) > 1 else {}


def likely_order(classes: Sequence[str], wrong: dict[int, int]) -> list[str] | None:
    """Return the classes in the order of the logits, or None if the wrong labels do not tell all of it."""
    if wrong.keys() != set(wrong.values()):
        return None
    order = list(classes)
    for k, label in wrong.items():
        order[label] = classes[k]
    return order

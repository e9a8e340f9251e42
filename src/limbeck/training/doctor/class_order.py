"""Whether a teacher's logits stand in the order of its class list.

A checkpoint from elsewhere may list its classes by the alphabet while its logits follow other ids. Nothing crashes
then; the teacher only finds every wagon under the name of something else, and teaches that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.metrics.coco import CocoResult, CocoTruth, TruthBox
from limbeck.ops.boxes2d import pairwise_iou

FOUND_IOU = 0.5
MIN_FOUND = 5
"""Of a class of which fewer objects were found nothing is said."""
MIN_SHARE = 0.7
"""So many of the found objects of a class must bear one label for it to be the label of this class."""


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
            scores = torch.tensor([result["score"] for result in detections])
            hits = pairwise_iou(_xyxy(expected), _xyxy(detected)) >= FOUND_IOU  # (M,D)
            best = torch.where(hits, scores, -1.0).argmax(dim=1).tolist()
            for row in hits.any(dim=1).nonzero().flatten().tolist():
                counts[index[boxes[row].category_id], index[detections[best[row]]["category_id"]]] += 1
    return counts


def _xyxy(boxes_xywh: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], dim=1)


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

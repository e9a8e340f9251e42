"""Golden checks of the segmentation metrics."""

from collections.abc import Callable
from typing import Any

import numpy as np
from golden_vectors import Case

from limbeck.metrics.segmentation import SegmentationCounts, evaluate

Results = dict[str, Any]


def _segmentation_confusion(case: Case) -> Results:
    """The metrics of all images of the entry; a single image may come without the axis of the images."""
    shape = case.arrays["in.label"].shape[-2:]
    labels, predicted = (case.arrays[f"in.{name}"].astype(np.uint8).reshape(-1, *shape) for name in ("label", "pred"))
    names = [f"class {number}" for number in range(case.params["num_classes"])]
    measured = evaluate(SegmentationCounts.of(names, zip(labels, predicted, strict=True)))
    by_class = {
        name: np.array([_nan_where_undefined(row[name]) for row in measured.per_class.values()])
        for name in ("IoU", "F", "precision", "recall")
    }
    return {
        "out.confusion": measured.confusion,
        "out.iou": by_class["IoU"],
        "out.precision": by_class["precision"],
        "out.recall": by_class["recall"],
        "out.fscore": by_class["F"],
        "out.miou": measured.metrics["mIoU"],
        "out.mean_fscore": measured.metrics["mF"],
        "out.pixel_accuracy": measured.metrics["pixel_accuracy"],
        "out.mean_recall": measured.metrics["mean_accuracy"],
        "out.frequency_weighted_iou": measured.metrics["fwIoU"],
    }


def _nan_where_undefined(value: float) -> float:
    return float("nan") if value == -1 else value


SEGMENTATION_CHECKS: dict[str, Callable[[Case], Results]] = {"segmentation_confusion": _segmentation_confusion}

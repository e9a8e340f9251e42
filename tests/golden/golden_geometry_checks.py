"""Golden checks of turned boxes, and of suppression."""

from collections.abc import Callable
from typing import Any

from golden_vectors import Case
from torchvision.ops import batched_nms, nms

from limbeck.ops.boxes3d import (
    bev_iou,
    bev_overlap,
    circle_nms,
    corners_bev,
    iou_3d,
    paired_bev_iou,
    paired_iou_3d,
    rotated_nms,
)

Results = dict[str, Any]


def _box_corners_bev(case: Case) -> Results:
    return {"out.corners": corners_bev(case.given("boxes"))}


def _iou_pairs(case: Case) -> Results:
    a, b = case.given("boxes_a"), case.given("boxes_b")
    return {"out.bev_intersection": bev_overlap(a, b), "out.bev_iou": bev_iou(a, b), "out.iou_3d": iou_3d(a, b)}


def _iou_degenerate(case: Case) -> Results:
    a, b = case.given("boxes_a"), case.given("boxes_b")
    return {"out.bev_iou": paired_bev_iou(a, b), "out.iou_3d": paired_iou_3d(a, b)}


def _rotated_nms(case: Case) -> Results:
    boxes, scores = case.given("boxes"), case.given("scores")
    thresholds = [name.removeprefix("out.keep_") for name in case.arrays if name.startswith("out.keep_")]
    return {f"out.keep_{t}": rotated_nms(boxes, scores, float(t)) for t in thresholds}


def _circle_nms(case: Case) -> Results:
    found = case.given("dets")
    thresholds = enumerate(case.params["thresholds"])
    return {f"out.keep_{number}": circle_nms(found[:, :2], found[:, 2], t) for number, t in thresholds}


def _nms_2d(case: Case) -> Results:
    """Suppression of upright boxes is torchvision's, as `limbeck.ops.detections` uses it."""
    boxes, scores, labels = case.given("boxes"), case.given("scores").to(case.dtype), case.given("labels")
    results: Results = {}
    for name in case.arrays:
        kind, _, threshold = name.removeprefix("out.keep_").rpartition("_")
        if kind == "agnostic":
            results[name] = nms(boxes, scores, float(threshold))
        elif kind == "per_class":
            results[name] = batched_nms(boxes, scores, labels, float(threshold))
    return results


GEOMETRY_CHECKS: dict[str, Callable[[Case], Results]] = {
    "box_corners_bev": _box_corners_bev,
    "circle_nms": _circle_nms,
    "iou_degenerate": _iou_degenerate,
    "iou_pairs": _iou_pairs,
    "nms_2d": _nms_2d,
    "rotated_nms": _rotated_nms,
}

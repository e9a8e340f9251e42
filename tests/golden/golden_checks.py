"""How every kind of golden entry is computed with limbeck.

A check takes a case and returns its results by array name (`out.rows`, `grad.logits`, ...). The kind of an entry is the
longest name in the tables below that the entry's name equals or continues after an underscore.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import torch
from golden_centre_checks import CENTRE_CHECKS
from golden_dense_checks import bckd_levels, gfl_head
from golden_geometry_checks import GEOMETRY_CHECKS
from golden_hsd_checks import HSD_CHECKS
from golden_itkd_checks import ITKD_CHECKS
from golden_lix_checks import LIX_CHECKS
from golden_normal_checks import NORMAL_CHECKS
from golden_sdd_checks import SDD_CHECKS
from golden_segmentation_checks import SEGMENTATION_CHECKS
from golden_vectors import Case
from torch import Tensor, nn

from limbeck.losses.box import iou_rows
from limbeck.losses.detection import distribution_focal_rows, quality_focal_rows
from limbeck.losses.divergence import binary_class_distillation, class_kl_rows, localisation_kl_rows
from limbeck.losses.feature import channel_kl_rows, squared_difference_rows, standardise_channels
from limbeck.losses.reduce import weighted_mean
from limbeck.metrics.coco import CocoTruth, evaluate
from limbeck.metrics.fault_rates import ImageScores, rates_at
from limbeck.nn.masked_generation import MaskedGeneration
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import decode_distances, encode_distances, integral, paired_iou
from limbeck.ops.pyramid import PriorGrid

Results = dict[str, Any]


def _weighted(case: Case, rows: Tensor, leaf: Tensor, gradient: str, factor: float) -> Results:
    """The results of a row loss with weights and averaging factor."""
    loss = factor * weighted_mean(rows, case.given("weight"), case.params["avg_factor"])
    loss.backward()
    return {"out.rows": rows, "out.loss": loss, gradient: leaf.grad}


def _bcdl(case: Case) -> Results:
    student = case.leaf("student_logits")
    rows, _ = binary_class_distillation(student, case.given("teacher_logits"), case.params["beta"])
    if "in.weight" in case.arrays:
        return _weighted(case, rows, student, "grad.student_logits", case.params["alpha"])
    rows.sum().backward()
    return {"out.rows": rows, "grad.student_logits": student.grad}


def _ildl(case: Case) -> Results:
    student = case.leaf("student_boxes")
    rows = iou_rows(student, case.given("teacher_boxes"), case.params["iou_type"], case.params["eps"])
    return _weighted(case, rows, student, "grad.student_boxes", case.params["alpha"])


def _giou_degenerate(case: Case) -> Results:
    a, b, eps = case.given("boxes_a"), case.given("boxes_b"), case.params["eps"]
    return {"out.iou": paired_iou(a, b, "iou", eps), "out.giou": paired_iou(a, b, "giou", eps)}


def _qfl(case: Case) -> Results:
    logits = case.leaf("logits")
    rows = quality_focal_rows(logits, case.given("labels"), case.given("quality"), case.params["beta"])
    return _weighted(case, rows, logits, "grad.logits", case.params["loss_weight"])


def _dfl(case: Case) -> Results:
    logits = case.leaf("logits")
    rows = distribution_focal_rows(logits, case.given("target"))
    return _weighted(case, rows, logits, "grad.logits", case.params["loss_weight"])


def _ld_kl(case: Case) -> Results:
    student = case.leaf("student_logits")
    rows = localisation_kl_rows(student, case.given("teacher_logits"), case.params["T"])
    return _weighted(case, rows, student, "grad.student_logits", case.params["loss_weight"])


def _kd_kl(case: Case) -> Results:
    student = case.leaf("student_logits")
    rows = class_kl_rows(student, case.given("teacher_logits"), case.params["tau"])
    rows.mean().backward()
    return {"out.rows": rows, "out.loss": rows.mean(), "grad.student_logits": student.grad}


def _kd_kl_map(case: Case) -> Results:
    student = case.leaf("student_logits")
    rows = class_kl_rows(student.movedim(1, -1), case.given("teacher_logits").movedim(1, -1), case.params["tau"])
    per_image = rows.sum() / student.shape[0]
    per_image.backward()
    return {"out.batchmean": per_image, "out.per_pixel_mean": rows.mean(), "grad.student_logits": student.grad}


def _pkd(case: Case) -> Results:
    """FitNet with normalised channels is PKD but for the factor 1/2 and the sum over the levels."""
    student = [case.leaf(f"student_{n}") for n in (0, 1)]
    teacher = [case.given(f"teacher_{n}") for n in (0, 1)]
    levels = [
        squared_difference_rows(standardise_channels(mine), standardise_channels(its)).mean() / 2
        for mine, its in zip(student, teacher, strict=True)
    ]
    loss = case.params["loss_weight"] * torch.stack(levels).sum()
    loss.backward()
    gradients = {f"grad.student_{n}": maps.grad for n, maps in enumerate(student)}
    return {"out.loss": loss, "out.level0_unweighted": levels[0], **gradients}


def _cwd(case: Case) -> Results:
    student = case.leaf("student")
    loss = channel_kl_rows(student, case.given("teacher"), case.params["tau"]).mean()
    loss.backward()
    return {"out.loss": loss, "grad.student": student.grad}


def _mgd(case: Case) -> Results:
    student, teacher = case.leaf("student"), case.given("teacher")
    align = case.load(nn.Conv2d(student.shape[1], teacher.shape[1], 1), lambda name: f"align.{name}")
    block = case.load(MaskedGeneration(teacher.shape[1]))
    generated = block(align(student), case.given("mask"))
    loss = case.params["alpha"] * squared_difference_rows(generated, teacher).mean() * teacher[0].numel()
    loss.backward()
    gradients = case.gradients(align, lambda name: f"align.{name}") | case.gradients(block)
    return {"out.generated": generated, "out.loss": loss, "grad.student": student.grad, **gradients}


def _integral_decode(case: Case) -> Results:
    logits = case.leaf("logits")
    distances = integral(logits.unflatten(1, (4, -1)))
    boxes = decode_distances(case.given("centers"), distances)
    (boxes * case.cotangent("boxes")).sum().backward()
    return {"out.distances": distances, "out.boxes": boxes, "grad.logits": logits.grad}


def _distance_encode(case: Case) -> Results:
    limit = case.params["reg_max"] - case.params["margin"]
    return {"out.distances": encode_distances(case.given("centers"), case.given("boxes"), limit)}


def _anchor_grid(case: Case) -> Results:
    sizes = [tuple(size) for size in case.params["feature_sizes_hw"]]
    grid = PriorGrid(tuple(case.params["strides"]), scales=(case.params["scale"],))
    levels = grid.boxes_xyxy(sizes, dtype=case.dtype).split([h * w for h, w in sizes])
    return {f"out.anchors_{n}": boxes for n, boxes in enumerate(levels)}


def _atss(case: Case) -> Results:
    sizes, topk = case.params["num_level_priors"], case.params["topk"]
    index = atss(case.given("priors"), sizes, case.given("gt_boxes"), topk)
    labels = torch.full_like(index, -1)
    labels[index >= 0] = case.given("gt_labels")[index[index >= 0]]
    return {"out.gt_index": index + 1, "out.labels": labels}


def _image_level_rates(case: Case) -> Results:
    scores = ImageScores(case.given("has_object").bool().numpy(), case.given("top_score").double().numpy(), 0)
    return {"out.fdr_mdr_cdr": rates_at(scores, case.params["thresholds"])[:, ::-1]}


def _coco(case: Case) -> Results:
    folder = case.entry.folder
    truth = json.loads((folder / case.params["gt_file"]).read_text(encoding="utf-8"))
    predictions = json.loads((folder / case.params["detections_file"]).read_text(encoding="utf-8"))
    return _box_metrics(truth, predictions, case.params["category_ids"])


def _coco_one_box(case: Case) -> Results:
    box = case.given("gt_xywh").tolist()
    truth = {
        "images": [{"id": 1, "width": 640, "height": 480}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}],
    }
    prediction = {"image_id": 1, "category_id": 1, "bbox": case.given("det_xywh").tolist(), "score": 0.9}
    return _box_metrics(truth, [prediction], [1])


def _box_metrics(truth: dict[str, Any], predictions: list[dict[str, Any]], category_ids: list[int]) -> Results:
    measured = evaluate(CocoTruth.from_json(truth), predictions)
    names = {category["id"]: category["name"] for category in truth["categories"]}
    per_class = [measured.per_class[names[number]] for number in category_ids]
    order = [list(names).index(number) for number in category_ids]
    return {
        **{f"out.{name}": value for name, value in measured.metrics.items()},
        "out.AP_per_category": [row["AP"] for row in per_class],
        "out.AP50_per_category": [row["AP50"] for row in per_class],
        "out.precision_iou50": measured.precision_iou50[:, order],
        "out.recall_per_iou_category": measured.recall_per_iou[:, order],
    }


CHECKS: dict[str, Callable[[Case], Results]] = {
    "anchor_grid": _anchor_grid,
    "atss": _atss,
    "bcdl": _bcdl,
    "bckd_levels": bckd_levels,
    "coco": _coco,
    "coco_one_box": _coco_one_box,
    "cwd": _cwd,
    "dfl": _dfl,
    "distance_encode": _distance_encode,
    "gfl_head": gfl_head,
    "giou_degenerate": _giou_degenerate,
    "ildl": _ildl,
    "image_level_rates": _image_level_rates,
    "integral_decode": _integral_decode,
    "kd_kl": _kd_kl,
    "kd_kl_map": _kd_kl_map,
    "ld_kl": _ld_kl,
    "mgd": _mgd,
    "pkd": _pkd,
    "qfl": _qfl,
    **CENTRE_CHECKS,
    **GEOMETRY_CHECKS,
    **HSD_CHECKS,
    **ITKD_CHECKS,
    **LIX_CHECKS,
    **NORMAL_CHECKS,
    **SDD_CHECKS,
    **SEGMENTATION_CHECKS,
}

LATER: dict[str, tuple[str, ...]] = {
    "the classic distillation losses are not written yet": ("fbkd_loss", "fgd"),
}
"""Kinds of later issues by the reason why they are skipped."""


def kind_of(name: str, kinds: Iterable[str]) -> str | None:
    """The longest kind that ``name`` equals or continues after an underscore; None where no kind fits."""
    return max((kind for kind in kinds if name == kind or name.startswith(f"{kind}_")), key=len, default=None)

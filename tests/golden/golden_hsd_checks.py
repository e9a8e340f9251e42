"""Golden checks of HSD: neck, head and losses."""

import re
from collections.abc import Callable
from typing import Any

import torch
from golden_dense_checks import dense_spec, gradients, levels, raw_output_of
from golden_vectors import Case

from limbeck.core.dense2d import positive_scores
from limbeck.core.outputs import DenseAssignment2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import distribution_focal_rows
from limbeck.losses.divergence import localisation_kl_rows
from limbeck.methods.hsd import Hsd
from limbeck.models.hsd_fti_fdet import hsd_losses
from limbeck.nn.coordinate_attention import CoordinateAttention
from limbeck.nn.heads import DenseHead
from limbeck.nn.necks import HKN

Results = dict[str, Any]


def _coordinate_attention(case: Case) -> Results:
    attention = case.load(CoordinateAttention(case.params["channels"]))
    x = case.leaf("x")
    y = attention(x)
    (y * case.cotangent("y_eval")).sum().backward()
    results = {"out.y_eval": y, "grad.x": x.grad, "grad.gate_h.weight": attention.gate_h.weight.grad}
    return results | {"out.y_train": attention.train()(x)}


def _hkn_name(name: str) -> str:
    name = re.sub(r"^laterals\.", "lateral", re.sub(r"^attentions\.", "attention", name))
    if part := re.match(r"(outputs|extras)\.(\d+)\.(\d)\.(.*)", name):
        level = int(part[2]) + (3 if part[1] == "extras" else 0)
        return f"out{level}.{('depthwise', 'pointwise')[int(part[3])]}.{part[4]}"
    return name


def _hkn(case: Case) -> Results:
    results: Results = {}
    for kind in ("released", "intended"):
        channels = case.params["in_channels"][1:]
        neck = case.load(HKN(channels, case.params["out_channels"], 2, attention=kind == "intended"), _hkn_name)
        maps = [case.leaf(f"c{level}") for level in (3, 4, 5)]
        pyramid = neck(maps)
        (sum(level.square().sum() for level in pyramid) / 2).backward()
        results |= {f"out.p{level}_{kind}": value for level, value in enumerate(pyramid, start=3)}
        results |= {f"grad.{kind}_c{level}": value.grad for level, value in enumerate(maps, start=3)}
    return results


def _hkh_name(name: str) -> str:
    name = name.replace("class_", "cls_").replace("box_", "reg_").replace("scales.", "scale")
    if part := re.match(r"(cls|reg)_tower\.(\d+)\.(.*)", name):
        stack, place = divmod(int(part[2]), 6)
        layer = {0: "depthwise", 1: "depthwise_norm", 3: "pointwise", 4: "pointwise_norm"}[place]
        return f"{part[1]}_tower{stack}.{layer}.{part[3]}"
    return name


def _hkh_head(case: Case) -> Results:
    params = case.params
    head = DenseHead(
        params["channels"],
        params["num_classes"],
        4 * (params["reg_max"] + 1),
        depth=params["stacked"],
        norm="group",
        depthwise=False,
        towers="hkh",
        level_scales=2,
    )
    maps = [case.leaf(f"x_{level}") for level in (0, 1)]
    answer = case.load(head, _hkh_name)(maps)
    (sum(out.square().sum() for out in (*answer.classes, *answer.boxes)) / 2).backward()
    results = {f"out.cls_{level}": value for level, value in enumerate(answer.classes)}
    results |= {f"out.reg_{level}": value for level, value in enumerate(answer.boxes)}
    return results | {f"grad.x_{level}": value.grad for level, value in enumerate(maps)}


def _edge_kd(case: Case) -> Results:
    student, params, weight = case.leaf("student_logits"), case.params, case.given("weight")
    scale = params["loss_weight"] / params["avg_factor"]
    dfl = scale * (weight * distribution_focal_rows(student, case.given("target"))).sum()
    kd = scale * (weight * localisation_kl_rows(student, case.given("teacher_logits"), params["tau"])).sum()
    return {
        "out.dfl": dfl,
        "out.kd": kd,
        "grad.dfl_student_logits": torch.autograd.grad(dfl, student)[0],
        "grad.kd_student_logits": torch.autograd.grad(kd, student)[0],
    }


def _giou_additive_eps(case: Case) -> Results:
    pred = case.leaf("pred")
    rows = iou_rows(pred, case.given("target"), "giou", case.params["eps"], eps_added=True)
    loss = case.params["loss_weight"] * (case.given("weight") * rows).sum() / case.params["avg_factor"]
    loss.backward()
    return {"out.rows": rows, "out.loss": loss, "grad.pred": pred.grad}


def _hsd_head_loss(case: Case) -> Results:
    params = case.params
    student, leaves = raw_output_of(case, "student", with_gradient=True)
    teacher_maps = [case.given(f"teacher_reg_{level}") for level in range(len(params["strides"]))]
    box_logits = torch.cat([m.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (4, -1)) for m in teacher_maps], dim=1)
    teacher, _ = raw_output_of(case, "student", with_gradient=False)
    teacher.box_logits = box_logits
    labels = levels(case, "labels")
    assignment = DenseAssignment2D(
        torch.tensor(params["N"], dtype=case.dtype), labels, levels(case, "label_weight"), levels(case, "box_targets")
    )
    losses = hsd_losses(student, assignment)
    spec = dense_spec(case)
    hsd = Hsd(Hsd.Config(weight=params["w_kd"], temperature=params["tau"]), student=spec, teacher=spec)
    kd = hsd.level_terms(student, teacher, assignment)
    total = sum(losses.values()).sum() + kd.sum()
    positive = assignment.positive(params["num_classes"])
    return {
        "out.cls": losses["class"].to(torch.float32),
        "out.giou_box": losses["box"],
        "out.dfl": losses["distribution_focal"],
        "out.kd": kd,
        "out.weight_sum": positive_scores(student.class_logits[positive], offset=0).sum(),
        "out.total": total,
        **gradients(total, leaves, "grad."),
    }


HSD_CHECKS: dict[str, Callable[[Case], Results]] = {
    "coord_attention": _coordinate_attention,
    "edge_kd": _edge_kd,
    "giou_additive_eps": _giou_additive_eps,
    "hkh_head": _hkh_head,
    "hkn": _hkn,
    "hsd_head_loss": _hsd_head_loss,
}

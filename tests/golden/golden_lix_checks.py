"""Golden checks of the building blocks of LIX and of the classic distillation of segmenters."""

from collections.abc import Callable
from typing import Any

import torch
from golden_vectors import Case
from torch import Tensor
from torch.nn import functional

from limbeck.core.outputs import SegmentationAssignment
from limbeck.core.segmentation import pixel_cross_entropy
from limbeck.losses.divergence import class_kl_rows
from limbeck.losses.dkd import dkd_rows
from limbeck.losses.feature import attention_rows, squared_difference_rows, standardise_channels
from limbeck.losses.relation import pearson_distance
from limbeck.losses.similarity import cka, hsic, laplace_gram, map_cka_rows, rbf_gram

Results = dict[str, Any]


def _dkd(case: Case) -> Results:
    student, teacher = case.leaf("student_logits"), case.given("teacher_logits")
    target, params = case.given("target"), case.params
    tckd, nckd = (dkd_rows(student, teacher, target, *pair, params["tau"]).mean() for pair in ((1.0, 0.0), (0.0, 1.0)))
    loss = dkd_rows(student, teacher, target, params["alpha"], params["beta"], params["tau"]).mean()
    loss.backward()
    return {
        "out.loss": loss,
        "out.second_reference": loss,
        "out.tckd": tckd,
        "out.nckd": nckd,
        "grad.student_logits": student.grad,
    }


def _dkd_dense(case: Case) -> Results:
    student, teacher = case.leaf("student_logits"), case.given("teacher_logits")
    labels, params = case.given("label"), case.params
    valid = labels != params["ignore_label"]

    def rows(alpha: Tensor | float, beta: Tensor | float) -> Tensor:
        return dkd_rows(student, teacher, labels, alpha, beta, params["tau"])

    loss = rows(params["alpha"], params["beta"]).sum() / valid.sum()
    weighted = rows(case.given("alpha_i"), case.given("beta_i")).sum() / valid.sum()
    label = labels.where(valid, 0)[:, None]
    rest = 1 - (teacher / params["tau"]).softmax(1).gather(1, label)[:, 0]
    return {
        "out.loss": loss,
        "out.weighted_loss": weighted,
        "out.tckd_map": rows(1.0, 0.0),
        "out.nckd_map": rows(0.0, 1.0),
        "out.kl": rows(1.0, rest).sum() / valid.sum(),
        "grad.student_logits": torch.autograd.grad(loss, student)[0],
        "grad.weighted_student_logits": torch.autograd.grad(weighted, student)[0],
    }


def _dkd_closed_form_gradients(case: Case) -> Results:
    results: Results = {}
    for name, weights in (("tckd", (1.0, 0.0)), ("nckd", (0.0, 1.0))):
        student = case.leaf("student_logits")
        total = dkd_rows(student, case.given("teacher_logits"), case.given("target"), *weights).sum()
        total.backward()
        results |= {f"out.{name}_sum": total, f"grad.{name}": student.grad}
    return results


def _cka(case: Case) -> Results:
    x, y = case.leaf("x"), case.given("y")
    rbf, laplace = case.params["rbf_sigma"], case.params["laplace_sigma"]
    maps = [samples.T[None, :, :, None] for samples in (x, y)]
    linear = map_cka_rows(*maps)[0]
    linear.backward()
    return {
        "out.linear": linear,
        "out.linear_self": map_cka_rows(maps[0], maps[0])[0],
        "out.rbf": cka(rbf_gram(x, rbf), rbf_gram(y, rbf)),
        "out.rbf_median": map_cka_rows(*maps, "rbf")[0],
        "out.laplace": cka(laplace_gram(x, laplace), laplace_gram(y, laplace)),
        "grad.x": x.grad,
    }


def _cka_maps(case: Case) -> Results:
    student, teacher = case.leaf("student"), case.given("teacher")
    linear = map_cka_rows(student, teacher)
    loss = 1 - linear.mean()
    loss.backward()
    return {
        "out.linear_per_image": linear,
        "out.rbf_median_per_image": map_cka_rows(student, teacher, "rbf"),
        "out.loss_linear": loss,
        "grad.student": student.grad,
    }


def _hsic_unbiased(case: Case) -> Results:
    first, second = (samples @ samples.T for samples in (case.given("x"), case.given("y")))
    return {
        "out.hsic_xy": hsic(first, second, unbiased=True),
        "out.hsic_xx": hsic(first, first, unbiased=True),
        "out.hsic_yy": hsic(second, second, unbiased=True),
        "out.cka": cka(first, second, unbiased=True),
    }


def _dist(case: Case) -> Results:
    student, teacher, params = case.leaf("student_logits"), case.given("teacher_logits"), case.params
    mine, its = ((logits / params["tau"]).softmax(dim=1) for logits in (student, teacher))
    parts = [(params["inter_weight"], 1), (params["intra_weight"], 0)]
    loss = sum(weight * params["tau"] ** 2 * pearson_distance(mine, its, dim).mean() for weight, dim in parts)
    loss.backward()
    return {"out.loss": loss, "grad.student_logits": student.grad}


def _attention_transfer(case: Case) -> Results:
    """The entry is a mean over the cells; ours is the paper's sum over them."""
    student = case.leaf("student")
    loss = attention_rows(student, case.given("teacher")).mean() / student[0, 0].numel()
    loss.backward()
    return {"out.loss": loss, "grad.student": student.grad}


def _pkd_resize(case: Case) -> Results:
    """The map is resized here, as the entry asks: limbeck itself averages the larger map down instead."""
    student, teacher = case.leaf("student"), case.given("teacher")
    resized = functional.interpolate(student, size=teacher.shape[2:], mode="bilinear")
    loss = squared_difference_rows(standardise_channels(resized), standardise_channels(teacher)).mean() / 2
    loss.backward()
    return {"out.loss": loss, "grad.student": student.grad}


def _segmentation_logit_kd(case: Case) -> Results:
    student, teacher, labels = case.leaf("student_logits"), case.given("teacher_logits"), case.given("label")
    weights = (labels != 255).to(case.dtype)
    entropy = pixel_cross_entropy(student, SegmentationAssignment(weights.sum(), labels, weights))
    kd = (weights * class_kl_rows(student, teacher, dim=1)).sum() / weights.sum()
    return {
        "out.cross_entropy": entropy,
        "out.kd": kd,
        "grad.ce_student_logits": torch.autograd.grad(entropy, student)[0],
        "grad.kd_student_logits": torch.autograd.grad(kd, student)[0],
    }


LIX_CHECKS: dict[str, Callable[[Case], Results]] = {
    "attention_transfer": _attention_transfer,
    "cka": _cka,
    "cka_maps": _cka_maps,
    "dist": _dist,
    "dkd": _dkd,
    "dkd_closed_form_gradients": _dkd_closed_form_gradients,
    "dkd_dense": _dkd_dense,
    "hsic_unbiased": _hsic_unbiased,
    "pkd_resize": _pkd_resize,
    "segmentation_logit_kd": _segmentation_logit_kd,
}

"""Golden checks that run a whole dense head: the GFL losses and BCKD over all levels."""

from typing import Any

import torch
from golden_vectors import Case
from torch import Tensor

from limbeck.core.dense2d import assign_batch, positive_scores
from limbeck.core.dense_heads import raw_output
from limbeck.core.model import DenseSpec2D
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.methods.bckd import Bckd
from limbeck.models.gfl import gfl_losses
from limbeck.ops.assign2d import atss
from limbeck.ops.pyramid import PriorGrid

Results = dict[str, Any]


def gfl_head(case: Case) -> Results:
    """The supervised terms, BCKD's terms, the assignment and the gradients of a GFL head."""
    student, leaves = raw_output_of(case, "student", with_gradient=True)
    teacher, _ = raw_output_of(case, "teacher", with_gradient=False)
    assignment = _assignment(case, student)
    losses = gfl_losses(student, assignment)
    bcdl, ildl = _bckd(case, gate=True).level_terms(student, teacher, assignment)
    total, distill_total = sum(losses.values()).sum() + bcdl.sum() + ildl.sum(), bcdl.sum() + ildl.sum()
    positive = assignment.positive(case.params["num_classes"])
    results = {
        "out.qfl": losses["quality_focal"],
        "out.giou_box": losses["box"],
        "out.dfl": losses["distribution_focal"],
        "out.bcdl": bcdl,
        "out.ildl": ildl,
        "out.num_pos": assignment.normaliser,
        "out.weight_sum": positive_scores(student.class_logits[positive]).sum() + 1e-6,
        "out.total": total,
        "out.distill_total": distill_total,
    }
    labels = assignment.labels.split(list(student.level_sizes), dim=1)
    results |= {f"out.labels_{level}": value for level, value in enumerate(labels)}
    results |= gradients(total, leaves, "grad.")
    return results | gradients(distill_total, leaves, "grad.distill_")


def bckd_levels(case: Case) -> Results:
    """BCKD's terms and gradients with given labels and weights, with and without the level gate."""
    student, leaves = raw_output_of(case, "student", with_gradient=True)
    teacher, _ = raw_output_of(case, "teacher", with_gradient=False)
    normaliser = torch.tensor(case.params["N"], dtype=case.dtype)
    labels = levels(case, "labels")
    assignment = DenseAssignment2D(normaliser, labels, levels(case, "label_weight"), torch.zeros(*labels.shape, 4))
    results: Results = {}
    for gate, suffix in ((True, ""), (False, "_no_gate")):
        bcdl, ildl = _bckd(case, gate).level_terms(student, teacher, assignment)
        total = bcdl.sum() + ildl.sum()
        results |= {f"out.bcdl{suffix}": bcdl, f"out.ildl{suffix}": ildl, f"out.total{suffix}": total}
        results |= gradients(total, leaves, "grad." if gate else "grad.no_gate_")
    return results


def raw_output_of(case: Case, who: str, with_gradient: bool) -> tuple[DenseRaw2D, dict[str, Tensor]]:
    """The raw output of the student or the teacher, and the maps it was made of by name."""
    names = [f"{who}_{what}_{level}" for what in ("cls", "reg") for level in range(len(case.params["strides"]))]
    maps = {name: case.leaf(name) if with_gradient else case.given(name) for name in names}
    half = len(names) // 2
    values = list(maps.values())
    height, width = case.params["feature_sizes_hw"][0]
    stride = case.params["strides"][0]
    return raw_output([], values[:half], values[half:], _grid(case), (height * stride, width * stride)), maps


def _grid(case: Case) -> PriorGrid:
    return PriorGrid(tuple(case.params["strides"]), scales=(case.params.get("prior_scale", 8),))


def levels(case: Case, name: str) -> Tensor:
    """Per-location inputs of all levels, (B,N)."""
    return torch.cat([case.given(f"{name}_{level}") for level in range(len(case.params["strides"]))], dim=1)


def _assignment(case: Case, student: DenseRaw2D) -> DenseAssignment2D:
    """ATSS with the label weights of the entry."""
    targets = []
    for image in range(student.class_logits.shape[0]):
        labels = case.given(f"gt_labels_{image}")
        targets.append(Boxes2D(case.given(f"gt_boxes_{image}"), labels, torch.zeros_like(labels, dtype=torch.bool)))
    assignment = assign_batch(
        student,
        Batch(inputs={}, targets=targets, frames=[]),
        lambda raw, boxes: atss(raw.priors_xyxy, raw.level_sizes, boxes, case.params["topk"]),
    )
    assignment.weights = levels(case, "label_weight")
    return assignment


def dense_spec(case: Case) -> DenseSpec2D:
    """The spec of a head with the classes, the grid and the bins of the entry."""
    classes = tuple(f"class {number}" for number in range(case.params["num_classes"]))
    strides = tuple(case.params["strides"])
    return DenseSpec2D(
        task="detection2d",
        classes=classes,
        inputs=("image",),
        channels=(8,) * len(strides),
        strides=strides,
        mean=(0.0,),
        std=(1.0,),
        priors=_grid(case),
        reg_max=case.params["reg_max"],
    )


def _bckd(case: Case, gate: bool) -> Bckd:
    spec = dense_spec(case)
    config = Bckd.Config(
        alpha_cls=case.params["alpha_cls"], alpha_loc=case.params["alpha_loc"], skip_levels_without_positives=gate
    )
    return Bckd(config, student=spec, teacher=spec)


def gradients(loss: Tensor, leaves: dict[str, Tensor], prefix: str) -> Results:
    gradients = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, materialize_grads=True)
    return {f"{prefix}{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}

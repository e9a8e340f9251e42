"""BCKD: sigmoid-consistent distillation of dense detectors (arXiv 2308.14286; released code TinyTigerPan/BCKD)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import check_same_locations, check_same_outputs
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.divergence import binary_class_distillation
from limbeck.losses.reduce import EPS32
from limbeck.ops.pyramid import sum_by_level


class Bckd(Method[Boxes2D, DenseRaw2D, DenseAssignment2D]):
    """Binary classification distillation and IoU-based localisation distillation.

    Teacher and student must have the same classes and the same prior at every location; backbones, widths and the way
    the boxes are coded may differ.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: Classes or priors differ.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configurations."""

        name: Literal["bckd"] = "bckd"
        alpha_cls: float = Field(1.0, ge=0)
        alpha_loc: float = Field(4.0, ge=0)
        beta: float = Field(1.0, gt=0)
        iou_type: Literal["giou", "iou"] = "giou"
        skip_levels_without_positives: bool = True

    tasks = ("detection2d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_locations("bckd", student, teacher)
        self.config = config

    def forward(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Terms:
        """Return the terms ``bckd_cls`` and ``bckd_loc``."""
        teacher_out = check_same_outputs("bckd", step.student_out, step.teacher_out)
        cls, loc = self.level_terms(step.student_out, teacher_out, step.assignment)
        terms = {"bckd_cls": (self.config.alpha_cls, cls.sum()), "bckd_loc": (self.config.alpha_loc, loc.sum())}
        return Terms({name: term for name, (alpha, term) in terms.items() if alpha > 0})

    def level_terms(
        self, student: DenseRaw2D, teacher: DenseRaw2D, assignment: DenseAssignment2D
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted class and localisation terms per level, (L,) each.

        Class: alpha_cls / N * sum_i lambda_i sum_j |p_t - p_s|^beta BCE(p_t, p_s), the weight not detached.
        Localisation: alpha_loc / N * sum_i lambda_i max_j |p_t - p_s| (1 - IoU(b_s, b_t)), the weight detached.
        lambda is 0 at ignored locations and N the shared normaliser. A level without a positive location contributes
        nothing if ``skip_levels_without_positives`` (the gate of the released code).

        Args:
            student: Raw output with gradient.
            teacher: Raw output at the same locations.
            assignment: The student's assignment.
        """
        class_rows, difference = binary_class_distillation(student.class_logits, teacher.class_logits, self.config.beta)
        stride = student.location_strides[:, None]
        box_rows = difference * iou_rows(student.boxes_xyxy / stride, teacher.boxes_xyxy / stride, self.config.iou_type)
        scale = self._gate(student, assignment) / (assignment.normaliser + EPS32)
        return (
            self.config.alpha_cls * scale * sum_by_level(assignment.weights * class_rows, student.level_sizes),
            self.config.alpha_loc * scale * sum_by_level(assignment.weights * box_rows, student.level_sizes),
        )

    def _gate(self, student: DenseRaw2D, assignment: DenseAssignment2D) -> Tensor:
        """Return (L,): 1 for levels that count, 0 for those that are skipped."""
        positive = assignment.positive(student.class_logits.shape[2]).to(assignment.weights.dtype)
        count = sum_by_level(positive, student.level_sizes)
        return (count > 0).to(count.dtype) if self.config.skip_levels_without_positives else torch.ones_like(count)

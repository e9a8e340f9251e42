"""LD: localisation distillation on the side distributions (arXiv 2102.12252; HikariTJU/LD)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import (
    check_same_bins,
    check_same_locations,
    check_same_outputs,
    positive_scores,
    side_logits,
)
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.divergence import class_kl_rows, localisation_kl_rows
from limbeck.ops.assign2d import valuable_region

MAIN_FACTOR = 4
VLR_FACTOR = 16
"""What the released code divides the sums over the two regions by."""


class Ld(Method[Boxes2D, DenseRaw2D, DenseAssignment2D]):
    """Softened KL divergence between the side distributions of teacher and student.

    It is taken over the positives (the paper's main region) and over the valuable localisation region around them. The
    released code also has a softmax term for the classes, which is off here unless ``class_weight`` is above 0: on a
    single class it is always zero.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: Classes, priors or the number of bins differ, or a head has no side distributions.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configurations."""

        name: Literal["ld"] = "ld"
        weight: float = Field(0.25, gt=0)
        vlr_weight: float = Field(0.25, ge=0)
        temperature: float = Field(10.0, gt=0)
        class_weight: float = Field(0.0, ge=0)
        class_temperature: float = Field(2.0, gt=0)

    tasks = ("detection2d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_locations("ld", student, teacher)
        check_same_bins("ld", student, teacher)
        self.config = config

    def forward(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Terms:
        """Return the term ``ld`` and, where their weights are above 0, ``ld_vlr`` and ``ld_cls``."""
        student, teacher = step.student_out, check_same_outputs("ld", step.student_out, step.teacher_out)
        positive = step.assignment.positive(student.class_logits.shape[2])
        score = positive_scores(student.class_logits[positive])
        terms = {"ld": self.config.weight * self._divergence(student, teacher, positive, score) / MAIN_FACTOR}
        if self.config.vlr_weight > 0:
            region = self._valuable_region(student, step.batch).masked_fill(positive, 0)
            rows = self._divergence(student, teacher, region > 0, region[region > 0])
            terms["ld_vlr"] = self.config.vlr_weight * rows / VLR_FACTOR
        if self.config.class_weight > 0:
            rows = class_kl_rows(
                student.class_logits[positive], teacher.class_logits[positive], self.config.class_temperature
            )
            terms["ld_cls"] = self.config.class_weight * rows.sum() / step.assignment.normaliser
        return Terms(terms)

    def _divergence(self, student: DenseRaw2D, teacher: DenseRaw2D, where: Tensor, weights: Tensor) -> Tensor:
        """Return sum_i w_i sum_sides KL over the locations chosen; as in the release it is not divided by sum w."""
        mine, its = side_logits("ld", student, teacher)
        rows = localisation_kl_rows(mine[where], its[where], self.config.temperature)
        return (weights * rows.sum(dim=1)).sum()

    @torch.no_grad()
    def _valuable_region(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> Tensor:
        """Return (B,N), see `limbeck.ops.assign2d.valuable_region`."""
        boxes = [target.objects().boxes_xyxy for target in batch.targets]
        return torch.stack([valuable_region(raw.priors_xyxy, raw.level_sizes, image) for image in boxes])

"""HSD: self-distillation of box edges into a student with another neck and head (arXiv 2307.00701)."""

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
from limbeck.core.dense_heads import SIDES
from limbeck.core.method import Inheritance, Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Boxes2D
from limbeck.losses.divergence import localisation_kl_rows
from limbeck.ops.pyramid import sum_chosen_by_level


class Hsd(Method[Boxes2D, DenseRaw2D, DenseAssignment2D]):
    """Softened KL divergence between the edge distributions of teacher and student, over the positives.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: Classes, priors or the number of bins differ, or a head has no side distributions.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configuration."""

        name: Literal["hsd"] = "hsd"
        weight: float = Field(0.25, gt=0)
        temperature: float = Field(15.0, gt=0)
        normalise: bool = False
        inherit: bool = False

        def inherits(self) -> Inheritance | None:
            """Return whether the student starts from the teacher's weights."""
            return "equal" if self.inherit else None

    tasks = ("detection2d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_locations("hsd", student, teacher)
        check_same_bins("hsd", student, teacher)
        self.config = config

    def forward(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Terms:
        """Return the term ``hsd``."""
        teacher = check_same_outputs("hsd", step.student_out, step.teacher_out)
        return Terms({"hsd": self.level_terms(step.student_out, teacher, step.assignment).sum()})

    def level_terms(self, student: DenseRaw2D, teacher: DenseRaw2D, assignment: DenseAssignment2D) -> Tensor:
        """Return the weighted term per level, (L,).

        weight * sum_i s_i 1/4 sum_edges T^2 / (R + 1) sum_bins p_t (log p_t - log p_s), with s_i the best score of a
        positive (detached). As in the release it is not divided by the sum of s_i, unless ``normalise``.

        Args:
            student: Raw output with gradient.
            teacher: Raw output at the same locations.
            assignment: The student's assignment.
        """
        mine, its = side_logits("hsd", student, teacher)
        positive = assignment.positive(student.class_logits.shape[2])
        score = positive_scores(student.class_logits[positive], offset=0)
        edges = localisation_kl_rows(mine[positive], its[positive], self.config.temperature)
        rows = self.config.weight * score * edges.sum(dim=1) / SIDES
        if self.config.normalise:
            rows = rows / mean_over_processes(score.sum()).clamp(min=torch.finfo(score.dtype).tiny)
        return sum_chosen_by_level(rows, positive, student.level_sizes)

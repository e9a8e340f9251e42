"""LD: localisation distillation on the side distributions (arXiv 2102.12252; HikariTJU/LD)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from limbeck.core.dense2d import check_same_locations, check_same_outputs, positive_scores
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import DenseSpec2D, ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Boxes2D
from limbeck.errors import IncompatibleError
from limbeck.losses.divergence import class_kl_rows, localisation_kl_rows


class Ld(Method[Boxes2D, DenseRaw2D, DenseAssignment2D]):
    """Softened KL divergence between the side distributions of teacher and student at the positives.

    This is the main region of the paper. The released code also has a softmax term for the classes, which is off here
    unless ``class_weight`` is above 0: on a single class it is always zero.

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
        temperature: float = Field(10.0, gt=0)
        class_weight: float = Field(0.0, ge=0)
        class_temperature: float = Field(2.0, gt=0)

    tasks = ("detection2d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_locations("ld", student, teacher)
        bins = [spec.reg_max for spec in (teacher, student) if isinstance(spec, DenseSpec2D)]
        if None in bins or bins[0] != bins[1]:
            raise IncompatibleError(
                "The method 'ld' compares side distributions and needs the same reg_max in both heads; the teacher has "
                f"{bins[0]} and the student {bins[1]} (None means that the head has no distributions)."
            )
        self.config = config

    def forward(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Terms:
        """Return the term ``ld`` and, if asked for, ``ld_cls``."""
        student, teacher = step.student_out, check_same_outputs("ld", step.student_out, step.teacher_out)
        positive = step.assignment.positive(student.class_logits.shape[2])
        terms = {"ld": self.config.weight * self._localisation(student, teacher, positive)}
        if self.config.class_weight > 0:
            rows = class_kl_rows(
                student.class_logits[positive], teacher.class_logits[positive], self.config.class_temperature
            )
            terms["ld_cls"] = self.config.class_weight * rows.sum() / step.assignment.normaliser
        return Terms(terms)

    def _localisation(self, student: DenseRaw2D, teacher: DenseRaw2D, positive: Tensor) -> Tensor:
        """Return sum_i q_i sum_sides KL / 4 over the positives; as in the release it is not divided by sum q."""
        if student.box_logits is None or teacher.box_logits is None:
            raise IncompatibleError("The method 'ld' needs heads that give side distributions (box_logits).")
        rows = localisation_kl_rows(
            student.box_logits[positive], teacher.box_logits[positive], self.config.temperature
        ).sum(dim=1)
        return (positive_scores(student.class_logits[positive]) * rows).sum() / 4

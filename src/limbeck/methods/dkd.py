"""DKD: decoupled distillation of the class scores of every pixel (arXiv 2203.08679)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import SegmentationAssignment, SegmentationRaw
from limbeck.core.samples import SemanticMask
from limbeck.core.segmentation import check_same_maps, check_same_pixels
from limbeck.losses.dkd import dkd_rows


class Dkd(Method[SemanticMask, SegmentationRaw, SegmentationAssignment]):
    """The divergence of two softmax distributions in two parts that are weighted apart, pixel by pixel.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: A model is no segmenter, or the classes differ.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configuration for ImageNet."""

        name: Literal["dkd"] = "dkd"
        weight: float = Field(1.0, gt=0)
        alpha: float = Field(1.0, ge=0)
        beta: float = Field(0.5, ge=0)
        temperature: float = Field(1.0, gt=0)
        warm_up: float = Field(0.01, ge=0, le=1)

    tasks = ("segmentation",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_pixels("dkd", student, teacher)
        self.config = config
        self.two_classes = len(student.classes) == 2

    def forward(self, step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment]) -> Terms:
        """Return the term ``dkd``: the sum over the pixels by their weights, divided by the normaliser."""
        student, assignment = step.student_out, step.assignment
        teacher = check_same_maps("dkd", student, step.teacher_out)
        rows = dkd_rows(
            student.class_logits,
            teacher.class_logits,
            assignment.labels,
            self.config.alpha,
            self.config.beta,
            self.config.temperature,
        )
        weight = self.config.weight * step.progress.warm_up(self.config.warm_up)
        return Terms({"dkd": weight * (assignment.weights * rows).sum() / assignment.normaliser})

    def describe(self) -> list[str]:
        """Say that two classes leave one part only."""
        return ["with two classes the term of beta is always 0"] if self.two_classes else []

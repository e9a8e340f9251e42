"""KD: softmax distillation of the class scores at a temperature (arXiv 1503.02531), of detectors and segmenters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from limbeck.core.dense2d import check_same_locations, check_same_outputs
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, SegmentationAssignment, SegmentationRaw
from limbeck.core.samples import Boxes2D, SemanticMask
from limbeck.core.segmentation import check_same_maps, check_same_pixels
from limbeck.errors import IncompatibleError
from limbeck.losses.divergence import class_kl_rows


class Kd(Method[Any, Any, Any]):
    """Divergence of the student's softened class distribution from the teacher's, at every location or pixel.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: Classes or priors differ, or there is one class and no background.
    """

    class Config(MethodConfig):
        """Settings. The paper has classifiers in view; see the page of the method for what is chosen here."""

        name: Literal["kd"] = "kd"
        weight: float = Field(1.0, gt=0)
        temperature: float = Field(2.0, gt=0)
        locations: Literal["positive", "all"] = "positive"
        background: bool = True

    tasks = ("detection2d", "segmentation")
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        if student.task == "segmentation":
            check_same_pixels("kd", student, teacher)
            return
        check_same_locations("kd", student, teacher)
        if len(student.classes) == 1 and not config.background:
            raise IncompatibleError(
                f"The method 'kd' cannot teach the single class '{student.classes[0]}' without background: its softmax "
                "is always 1.",
                hint="set background: true",
            )

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``kd``: the weighted sum over locations or pixels, divided by the student's normaliser."""
        total = self._pixels(step) if isinstance(step.student_out, SegmentationRaw) else self._locations(step)
        return Terms({"kd": self.config.weight * total / step.assignment.normaliser})

    def _pixels(self, step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment]) -> Tensor:
        """Return the sum over the pixels of a segmenter by their weights."""
        teacher = check_same_maps("kd", step.student_out, step.teacher_out)
        rows = class_kl_rows(step.student_out.class_logits, teacher.class_logits, self.config.temperature, dim=1)
        return (step.assignment.weights * rows).sum()

    def _locations(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Tensor:
        """Return the sum over the locations of a dense detector by their weights."""
        student, assignment = step.student_out, step.assignment
        teacher = check_same_outputs("kd", student, step.teacher_out)
        chosen = assignment.weights > 0
        if self.config.locations == "positive":
            chosen &= assignment.positive(student.class_logits.shape[2])
        rows = class_kl_rows(self._logits(student, chosen), self._logits(teacher, chosen), self.config.temperature)
        return (assignment.weights[chosen] * rows).sum()

    def _logits(self, raw: DenseRaw2D, chosen: Tensor) -> Tensor:
        """Return the class logits of the locations chosen, (P,K), or (P,K+1) with the background's logit 0 behind.

        Softmax over a logit and 0 is the sigmoid score of that logit, which is what a dense head means by it.
        """
        logits = raw.class_logits[chosen]
        return functional.pad(logits, (0, 1)) if self.config.background else logits

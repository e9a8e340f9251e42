"""DIST: the correlation of class probabilities instead of their divergence (arXiv 2205.10536)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import SegmentationAssignment, SegmentationRaw
from limbeck.core.samples import SemanticMask
from limbeck.core.segmentation import check_same_maps, check_same_pixels
from limbeck.losses.relation import pearson_distance
from limbeck.ops.precision import at_least_float32


class Dist(Method[SemanticMask, SegmentationRaw, SegmentationAssignment]):
    """Pearson's correlation with the teacher, of the classes at every pixel and of the pixels in every class.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: A model is no segmenter, or the classes differ.
    """

    class Config(MethodConfig):
        """Settings; see the page of the method for what is chosen here."""

        name: Literal["dist"] = "dist"
        inter_weight: float = Field(1.0, gt=0)
        intra_weight: float = Field(1.0, ge=0)
        temperature: float = Field(1.0, gt=0)

    tasks = ("segmentation",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_pixels("dist", student, teacher)
        self.config = config

    def forward(self, step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment]) -> Terms:
        """Return the terms ``dist_inter`` and, where its weight is above 0, ``dist_intra``."""
        config, weights = self.config, step.assignment.weights
        teacher = check_same_maps("dist", step.student_out, step.teacher_out)
        mine, its = (
            (at_least_float32(raw.class_logits) / config.temperature).softmax(dim=1)
            for raw in (step.student_out, teacher)
        )
        inter = (weights * pearson_distance(mine, its, dim=1)).sum() / step.assignment.normaliser
        terms = Terms({"dist_inter": config.inter_weight * config.temperature**2 * inter})
        if config.intra_weight > 0:
            intra = pearson_distance(mine, its, dim=(0, 2, 3), weights=weights[:, None]).mean()
            terms.losses["dist_intra"] = config.intra_weight * config.temperature**2 * intra
        return terms

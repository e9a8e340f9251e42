"""KD: softmax distillation of the class scores at a temperature (arXiv 1503.02531), for the heads of all tasks."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from limbeck.core.centre import HEAT_MAP, CentreAssignment, CentreRaw, check_ran, check_same_cells
from limbeck.core.dense2d import check_same_locations, check_same_outputs
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, SegmentationAssignment, SegmentationRaw
from limbeck.core.samples import Boxes2D, Boxes3D, SemanticMask
from limbeck.core.segmentation import check_same_maps, check_same_pixels
from limbeck.errors import IncompatibleError
from limbeck.losses.divergence import class_kl_rows
from limbeck.ops.centre import gather_cells


class Kd(Method[Any, Any, Any]):
    """Divergence of the student's softened class distribution from the teacher's, at every location, pixel or cell.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: Classes, priors or cells differ, or there is one class and no background.
    """

    class Config(MethodConfig):
        """Settings. The paper has classifiers in view; see the page of the method for what is chosen here."""

        name: Literal["kd"] = "kd"
        weight: float = Field(1.0, gt=0)
        temperature: float = Field(2.0, gt=0)
        locations: Literal["positive", "all"] = "positive"
        background: bool = True
        scores: Literal["softmax", "sigmoid"] = "softmax"

    tasks = ("detection2d", "segmentation", "detection3d")
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        if student.task == "segmentation":
            check_same_pixels("kd", student, teacher)
            return
        if student.task == "detection3d":
            check_same_cells("kd", student, teacher)
        else:
            check_same_locations("kd", student, teacher)
        if config.scores == "softmax" and len(student.classes) == 1 and not config.background:
            raise IncompatibleError(
                f"The method 'kd' cannot teach the single class '{student.classes[0]}' without background: its softmax "
                "is always 1.",
                hint="set background: true",
            )

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``kd``: the weighted sum over locations, pixels or cells, over the student's normaliser."""
        if isinstance(step.student_out, SegmentationRaw):
            total = self._pixels(step)
        elif isinstance(step.student_out, CentreRaw):
            total = self._cells(step)
        else:
            total = self._locations(step)
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
        rows = self._rows(student.class_logits[chosen], teacher.class_logits[chosen])
        return (assignment.weights[chosen] * rows).sum()

    def _cells(self, step: Step[Boxes3D, CentreRaw, CentreAssignment]) -> Tensor:
        """Return the sum over the cells of the heat maps of all groups of classes."""
        teacher, total = check_ran("kd", step.teacher_out), []
        for mine, its, targets in zip(step.student_out.groups, teacher.groups, step.assignment.groups, strict=True):
            maps = mine[HEAT_MAP], its[HEAT_MAP]
            if self.config.locations == "positive":
                logits = [gather_cells(side, targets.index)[targets.mask] for side in maps]
            else:
                logits = [side.flatten(2).transpose(1, 2).flatten(0, 1) for side in maps]
            total.append(self._rows(*logits).sum())
        return torch.stack(total).sum()

    def _rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the divergence (P,) of the class logits (P,K) of a detector.

        Softmax over a logit and 0 is the sigmoid score of that logit, which is what a detector's head means by it: by
        ``background`` one 0 stands behind all classes, by ``scores: sigmoid`` each class has its own.
        """
        if self.config.scores == "sigmoid":
            mine, its = (functional.pad(logits[..., None], (0, 1)) for logits in (student, teacher))
            return class_kl_rows(mine, its, self.config.temperature).sum(dim=1)
        if self.config.background:
            student, teacher = functional.pad(student, (0, 1)), functional.pad(teacher, (0, 1))
        return class_kl_rows(student, teacher, self.config.temperature)

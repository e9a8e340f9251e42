"""SparseKD: heat maps of a LiDAR detector at a few pivotal cells, from a teacher's weights (arXiv 2205.15156)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.core.centre import (
    HEAT_MAP,
    CentreAssignment,
    CentreRaw,
    CentreTargets,
    box_codes,
    check_ran,
    check_same_cells,
)
from limbeck.core.method import Inheritance, Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.samples import Boxes3D
from limbeck.losses.centre import code_l1, heat_map_probs
from limbeck.ops.centre import gather_cells
from limbeck.ops.precision import at_least_float32

EPS = 1e-6
"""Added to the sum of the weights of the cells (the released code)."""


class Sparsekd(Method[Boxes3D, CentreRaw, CentreAssignment]):
    """Squared difference of the heat maps at pivotal cells, and of the boxes at the objects; no part of its own.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: The two have other classes, groups, branches or cells.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configurations of CenterPoint, without its label KD."""

        name: Literal["sparsekd"] = "sparsekd"
        weight: float = Field(10.0, ge=0)
        box_weight: float = Field(0.2, ge=0)
        positions: Literal["objects", "score", "rank"] = "objects"
        threshold: float = Field(0.0, ge=0, lt=1)
        rank: int = Field(500, ge=1)
        soft: bool = True
        inherit: bool = True

        def inherits(self) -> Inheritance | None:
            """Return whether the student starts with the teacher's weights, thinned where it is narrower."""
            return "thinned" if self.inherit else None

    tasks = ("detection3d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_cells("sparsekd", student, teacher)
        self.config = config

    def forward(self, step: Step[Boxes3D, CentreRaw, CentreAssignment]) -> Terms:
        """Return the terms ``sparsekd_heat_map`` and ``sparsekd_boxes``, the means over the groups of classes."""
        teacher, config, terms = check_ran("sparsekd", step.teacher_out), self.config, Terms()
        groups = list(zip(step.student_out.groups, teacher.groups, step.assignment.groups, strict=True))
        if config.weight > 0:
            heat = torch.stack([self.heat_map_term(*group) for group in groups]).mean()
            terms.losses["sparsekd_heat_map"] = config.weight * heat
        if config.box_weight > 0:
            boxes = torch.stack([box_term(*group) for group in groups]).mean()
            terms.losses["sparsekd_boxes"] = config.box_weight * boxes
        return terms

    def heat_map_term(self, student: dict[str, Tensor], teacher: dict[str, Tensor], targets: CentreTargets) -> Tensor:
        """Return sum_i w_i sum_k (p_s - p_t)^2 / (sum_i w_i + 1e-6) over the cells i."""
        mine, its = heat_map_probs(student[HEAT_MAP]), heat_map_probs(teacher[HEAT_MAP])
        weights = self.cells(its, targets)
        return ((mine - its).square() * weights).sum() / (weights.sum() + EPS)

    def cells(self, probs: Tensor, targets: CentreTargets) -> Tensor:
        """Return the weights of the cells, (B,1,H,W).

        A cell counts if the teacher's best score there is above the threshold. Of these, ``objects`` takes those on a
        peak of the labels, ``rank`` the teacher's best ones of each sample. ``soft`` weighs a cell by the teacher's
        score, and by the height of the peak.

        Args:
            probs: (B,K,H,W) the teacher's.
            targets: The objects.
        """
        best = probs.amax(dim=1, keepdim=True)
        weights = (best > self.config.threshold).to(best.dtype)
        if self.config.soft:
            weights = weights * best
        if self.config.positions == "objects":
            peak = targets.heat_map.amax(dim=1, keepdim=True)
            weights = weights * (peak if self.config.soft else (peak > 0).to(best.dtype))
        elif self.config.positions == "rank":
            flat = best.flatten(1)
            least = flat.topk(min(self.config.rank, flat.shape[1]), dim=1).values[:, -1]
            weights = weights * (best >= least[:, None, None, None])
        return weights


def box_term(student: dict[str, Tensor], teacher: dict[str, Tensor], targets: CentreTargets) -> Tensor:
    """Return the absolute difference of the box codes at the objects, summed and divided by their number."""
    its = at_least_float32(gather_cells(box_codes(teacher), targets.index))
    return code_l1(box_codes(student), its, targets.index, targets.mask, targets.count).sum()

"""itKD: interchange transfer and relation-aware attention at the objects, for LiDAR detectors (arXiv 2205.15531)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limbeck.core.centre import HEAT_MAP, CentreAssignment, CentreRaw, CentreTargets, check_ran, check_same_cells
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.samples import Boxes3D
from limbeck.core.segmentation import every_nth_pixel
from limbeck.losses.centre import heat_map_probs
from limbeck.losses.interchange import fused_difference, mean_difference, object_difference
from limbeck.nn.channel_autoencoder import Buffer, ChannelAutoencoder, Interchange
from limbeck.nn.head_attention import HeadAttention
from limbeck.ops.centre import gather_cells
from limbeck.ops.precision import at_least_float32

CentreStep = Step[Boxes3D, CentreRaw, CentreAssignment]


class Itkd(Method[Boxes3D, CentreRaw, CentreAssignment]):
    """Interchange transfer of the map seen from above, one code for both maps, and attention between head outputs.

    What the method makes of the teacher, its code and its fused outputs, is a target without gradient: were it free,
    as in the release, codes and fusion would become 0, where both losses are 0 and nothing is taught.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: The two have other classes, groups, branches or cells.
    """

    class Config(MethodConfig):
        """Settings; the page of the method says which are the paper's and which the released code's."""

        name: Literal["itkd"] = "itkd"
        variant: Literal["paper", "release"] = "paper"
        interchange_weight: float = Field(1.0, ge=0)
        compressed_weight: float = Field(1.0, ge=0)
        attention_weight: float = Field(1.0, ge=0)
        code: int = Field(32, ge=1)
        hidden: tuple[int, ...] = (128, 64)
        buffer: Buffer = "student"
        shared: bool = True
        interchange: bool = True
        targets: Literal["fixed", "free"] = "fixed"
        detach: bool = False
        objects: Literal["slots", "objects", "none"] = "slots"
        mask: Literal["none", "centres", "heat_map"] = "none"
        mask_threshold: float = Field(0.1, gt=0, le=1)
        stride: int = Field(1, ge=1, le=16)

        @model_validator(mode="after")
        def _settings_have_an_effect(self) -> Itkd.Config:
            if self.interchange_weight == self.compressed_weight == self.attention_weight == 0:
                raise ValueError("one of interchange_weight, compressed_weight and attention_weight must be above 0")
            if self.variant == "release" and (self.buffer != "student" or not self.interchange):
                raise ValueError("variant 'release' has buffer: student and interchange: true")
            return self

    tasks = ("detection3d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        its = check_same_cells("itkd", student, teacher)
        self.config = config
        self.fixed = config.targets == "fixed" and config.variant == "paper"
        self.autoencoder: ChannelAutoencoder | None = None
        if config.interchange_weight > 0 or config.compressed_weight > 0:
            self.autoencoder = ChannelAutoencoder(
                student.channels[0],
                its.channels[0],
                config.code,
                config.hidden,
                config.buffer,
                config.variant == "release",
                config.shared,
            )
        self.attention = nn.ModuleList()
        if config.attention_weight > 0:
            self.attention.extend(HeadAttention(list(group.values())) for group in its.groups)

    def forward(self, step: CentreStep) -> Terms:
        """Return the terms ``itkd_interchange``, ``itkd_compressed`` and ``itkd_attention``."""
        teacher = check_ran("itkd", step.teacher_out)
        config, terms = self.config, Terms()
        if self.autoencoder is not None:
            transfer, compressed = self.map_terms(self.autoencoder, step, teacher)
            if transfer is not None:
                terms.losses["itkd_interchange"] = config.interchange_weight * transfer
            if config.compressed_weight > 0:
                terms.losses["itkd_compressed"] = config.compressed_weight * compressed
        if len(self.attention) > 0:
            rows = zip(self.attention, step.student_out.groups, teacher.groups, step.assignment.groups, strict=True)
            attention = torch.stack([self.attention_term(*row) for row in rows]).sum()
            terms.losses["itkd_attention"] = config.attention_weight * attention
        return terms

    def map_terms(
        self, autoencoder: ChannelAutoencoder, step: CentreStep, teacher: CentreRaw
    ) -> tuple[Tensor | None, Tensor]:
        """Return L_it = L_s2t + L_t2s and L_cr of the maps seen from above; the first only where it has a weight.

        With ``stride`` s the means are over every s-th cell along both axes, from another first one in every step, so
        that s squared steps see all.
        """
        config, now = self.config, step.progress.step
        mine, its = step.student_out.features[0], teacher.features[0]
        first = now % config.stride, now // config.stride % config.stride
        few = [every_nth_pixel(side, config.stride, first) if config.stride > 1 else side for side in (mine, its)]
        found = autoencoder(*few, config.interchange)
        weights = self.cells(step.assignment, mine)
        if weights is not None and config.stride > 1:
            weights = every_nth_pixel(weights, config.stride, first)
        target = found.teacher_code.detach() if self.fixed else found.teacher_code
        compressed = mean_difference(found.student_code, target, weights)
        if config.interchange_weight == 0:
            return None, compressed
        transfer = mean_difference(found.restored_teacher, few[1]) + mean_difference(
            found.restored_student, few[0].detach() if config.detach else few[0]
        )
        if config.objects != "none":
            transfer = transfer + self.object_terms(autoencoder, found, step.assignment, mine, its)
        return transfer, compressed

    def object_terms(
        self,
        autoencoder: ChannelAutoencoder,
        found: Interchange,
        assignment: CentreAssignment,
        mine: Tensor,
        its: Tensor,
    ) -> Tensor:
        """Return the squared differences of restored and original maps at the objects of all groups."""
        places = sum(group.mask.numel() for group in assignment.groups)
        cells = [_at_objects(side, assignment) for side in (mine, its)]
        if self.config.stride == 1:
            restored = [_at_objects(side, assignment) for side in (found.restored_student, found.restored_teacher)]
        else:  # most objects lie between the cells that were looked at
            again = autoencoder(*(rows.T[None, :, :, None] for rows in cells), self.config.interchange)
            restored = [side[0, :, :, 0].T for side in (again.restored_student, again.restored_teacher)]
        target = cells[0].detach() if self.config.detach else cells[0]
        over = self.config.objects
        assert over != "none"
        return object_difference(restored[0], target, places, over) + object_difference(
            restored[1], cells[1], places, over
        )

    def cells(self, assignment: CentreAssignment, like: Tensor) -> Tensor | None:
        """Return which cells count in L_cr, (B,1,H,W); None for all."""
        if self.config.mask == "none":
            return None
        weights = like.new_zeros((len(like), 1, *like.shape[2:]), dtype=torch.float32)
        for group in assignment.groups:
            if self.config.mask == "heat_map":
                there = group.heat_map.amax(dim=1, keepdim=True) > self.config.mask_threshold
                weights = torch.maximum(weights, there.float())
            else:
                weights.view(len(like), -1).scatter_reduce_(1, group.index, group.mask.float(), "amax")
        return weights

    def attention_term(
        self, attention: nn.Module, student: dict[str, Tensor], teacher: dict[str, Tensor], targets: CentreTargets
    ) -> Tensor:
        """Return L_attn of one group of classes."""
        mine, its = self.head_values(student, targets, student=True), self.head_values(teacher, targets, student=False)
        target = attention(its)
        return fused_difference(attention(mine), target.detach() if self.fixed else target, targets.count)

    def head_values(self, maps: dict[str, Tensor], targets: CentreTargets, *, student: bool) -> Tensor:
        """Return the outputs of all branches at the objects, (B,M,C), 0 in places without one.

        The heat maps of both are probabilities. The released code compares the student's with the teacher's logits.
        """
        probs = student or self.config.variant == "paper"
        values = [heat_map_probs(side) if name == HEAT_MAP and probs else side for name, side in maps.items()]
        rows = [gather_cells(at_least_float32(side), targets.index) for side in values]
        return torch.cat(rows, dim=2) * targets.mask[..., None]

    def describe(self) -> list[str]:
        """Say how large what is dropped after the training is."""
        size = sum(parameter.numel() for parameter in self.parameters())
        return [f"autoencoder and attention have {size} parameters, which are dropped after the training"]


def _at_objects(maps: Tensor, assignment: CentreAssignment) -> Tensor:
    """Return what maps (B,C,H,W) hold at the objects of all groups, (N,C)."""
    return torch.cat([gather_cells(maps, group.index)[group.mask] for group in assignment.groups])

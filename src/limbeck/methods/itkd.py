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
from limbeck.errors import IncompatibleError
from limbeck.losses.centre import heat_map_probs
from limbeck.losses.interchange import fused_difference, mean_difference, object_difference
from limbeck.nn.channel_autoencoder import Buffer, ChannelAutoencoder
from limbeck.nn.head_attention import HeadAttention
from limbeck.ops.centre import cells_of, gather_cells, in_batch
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
        IncompatibleError: The two have other classes, groups, branches or cells, or fewer cells than the stride.
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
        stride: int = Field(4, ge=1)

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
        if config.stride > min(its.map_hw):
            raise IncompatibleError(
                f"The maps have {min(its.map_hw)} cells along a side; stride {config.stride} is more."
            )
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
        that s squared steps see all. The objects are always seen.
        """
        config, features, groups = self.config, step.student_out.features[0], step.assignment.groups
        some = self.some_cells(features, step.progress.step)
        objects = torch.cat([in_batch(group.index, features)[group.mask] for group in groups])
        parts = len(some), len(objects)
        seen = torch.cat([some, objects])
        mine, its = (cells_of(maps).index_select(0, seen) for maps in (features, teacher.features[0]))
        codes = autoencoder.encode(mine, its)
        code, its_code = (side.split(parts)[0] for side in codes)
        weights = self.weights(step.assignment, features)
        compressed = mean_difference(
            code, its_code.detach() if self.fixed else its_code, None if weights is None else weights.flatten()[some]
        )
        if config.interchange_weight == 0:
            return None, compressed
        targets = mine.detach() if config.detach else mine, its
        places = sum(group.mask.numel() for group in groups)
        transfer = []
        for restored, target in zip(autoencoder.restore(*codes, config.interchange), targets, strict=True):
            (cells, at_objects), (target_cells, target_objects) = restored.split(parts), target.split(parts)
            transfer.append(mean_difference(cells, target_cells))
            if config.objects != "none":
                transfer.append(object_difference(at_objects, target_objects, places, config.objects))
        return torch.stack(transfer).sum(), compressed

    def some_cells(self, maps: Tensor, now: int) -> Tensor:
        """Return the cells of maps (B,C,H,W) that the means of a step are over, (N,), see `cells_of`."""
        batch, _, height, width = maps.shape
        stride = self.config.stride
        numbers = torch.arange(batch * height * width, device=maps.device).view(batch, height, width)
        return numbers[:, now % stride :: stride, now // stride % stride :: stride].flatten()

    def weights(self, assignment: CentreAssignment, maps: Tensor) -> Tensor | None:
        """Return how much each cell of maps (B,C,H,W) counts in L_cr, (B,H,W); None where all count alike."""
        if self.config.mask == "none":
            return None
        weights = maps.new_zeros((len(maps), *maps.shape[2:]), dtype=torch.float32)
        for group in assignment.groups:
            if self.config.mask == "heat_map":
                weights = torch.maximum(weights, (group.heat_map.amax(dim=1) > self.config.mask_threshold).float())
            else:
                weights.view(len(maps), -1).scatter_reduce_(1, group.index, group.mask.float(), "amax")
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
        values = {name: at_least_float32(gather_cells(side, targets.index)) for name, side in maps.items()}
        rows = [heat_map_probs(value) if name == HEAT_MAP and probs else value for name, value in values.items()]
        return torch.cat(rows, dim=2) * targets.mask[..., None]

    def describe(self) -> list[str]:
        """Say how large what is dropped after the training is."""
        size = sum(parameter.numel() for parameter in self.parameters())
        return [f"autoencoder and attention have {size} parameters, which are dropped after the training"]

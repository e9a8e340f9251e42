"""SDD: a teacher made of labels and of the student's own maps trains along with it (arXiv 2312.05832)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.core.method import Method, MethodConfig, Progress, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.samples import Boxes2D
from limbeck.errors import IncompatibleError
from limbeck.losses.divergence import class_kl_rows
from limbeck.losses.feature import channel_kl_rows, squared_difference_rows, standardise_cells, standardise_channels
from limbeck.nn.dynamic_teacher import DynamicTeacher
from limbeck.nn.masked_generation import MaskedGeneration, random_mask

MGD_WEIGHT, MGD_HIDDEN = 2e-5, 0.65
"""Factor and share of hidden cells of the release's mgd."""


class Sdd(Method[Boxes2D, Any, Any]):
    """The student's head is also run on the dynamic teacher's maps, and the student's maps become like these.

    Args:
        config: Settings.
        student: Spec of the student, with the size of the run's input.
        teacher: Not used.

    Raises:
        IncompatibleError: The student's pyramid does not fit the settings.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of the released configuration where it is sound."""

        name: Literal["sdd"] = "sdd"
        variant: Literal["corrected", "release"] = "corrected"
        weight: float = Field(1.0, gt=0)
        loss: Literal["kl", "mse", "cwd", "mgd"] = "kl"
        temperature: float = Field(15.0, gt=0)
        heads: int = Field(8, ge=1)
        groups: int = Field(4, ge=1)
        adapter_only: float = Field(1 / 6, ge=0, le=1)
        frozen_backbone: float = Field(1 / 9, ge=0, le=1)

    tasks = ("detection2d",)
    uses_teacher = False

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        channels, sizes_hw = _pyramid(config, student)
        self.config = config
        self.backbone = student.backbone
        self.dynamic_teacher = DynamicTeacher(channels, len(student.classes), sizes_hw, config.heads, config.groups)
        self.adapter = Adapter(channels)
        self.generation = MaskedGeneration(channels) if config.loss == "mgd" else None
        if config.variant == "release":  # there the adaptors stand in a plain list, where no optimizer finds them
            self.dynamic_teacher.adaptors.requires_grad_(False)

    def forward(self, step: Step[Boxes2D, Any, Any]) -> Terms:
        """Return ``sdd`` and, with ``sdd_teacher_`` before the name, the student's own terms on the teacher's maps."""
        maps, images = step.student_out.features, step.batch.images
        teacher = self.dynamic_teacher(maps, step.batch.targets, (images.shape[2], images.shape[3]))
        raw = step.student.head(teacher, step.batch)
        losses = step.student.losses(raw, step.student.assign(raw, step.batch), step.batch)
        alone = step.progress.fraction < self.config.adapter_only
        adapted = [self.adapter(level.detach() if alone else level) for level in maps]
        term = self.config.weight * self.distance(adapted, [level.detach() for level in teacher])
        return Terms({f"sdd_teacher_{name}": value for name, value in losses.items()} | {"sdd": term})

    def distance(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return how far adapted maps of the student are from the teacher's, a scalar.

        ``kl``: instance-normalised maps of all levels as one vector z of D numbers per image; T^2 times the divergence
        of softmax(z_s / T) from softmax(z_t / T), mean over the images. The release takes the first image alone and
        divides by D. ``mse``: mean of (z_s - z_t)^2, as in LGD. ``cwd`` and ``mgd``: of maps that are normalised per
        channel, mean over the levels.

        Args:
            student: (B,C,H_l,W_l) per level.
            teacher: (B,C,H_l,W_l) per level, without gradient.
        """
        if self.config.loss in ("kl", "mse"):
            mine, its = (
                torch.cat([standardise_cells(m).flatten(1) for m in maps], dim=1) for maps in (student, teacher)
            )
            if self.config.loss == "mse":
                return squared_difference_rows(mine, its).mean()
            rows = class_kl_rows(mine, its, self.config.temperature)
            return rows[0] / mine.shape[1] if self.config.variant == "release" else rows.mean()
        levels = [
            self._level_distance(standardise_channels(mine), standardise_channels(its))
            for mine, its in zip(student, teacher, strict=True)
        ]
        return torch.stack(levels).mean()

    def _level_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.generation is None:
            return channel_kl_rows(student, teacher, self.config.temperature).mean()
        generated = self.generation(student, random_mask(student, MGD_HIDDEN))
        return MGD_WEIGHT * squared_difference_rows(generated, teacher).mean() * teacher[0].numel()

    def frozen_student_parts(self, progress: Progress) -> Iterable[str]:
        """Name the backbone as long as it is frozen."""
        if self.backbone is None or progress.fraction >= self.config.frozen_backbone:
            return ()
        return (self.backbone,)

    def describe(self) -> list[str]:
        """Say what is frozen for how long, and how large the dynamic teacher is."""
        size = sum(parameter.numel() for parameter in self.parameters())
        sentences = [f"the dynamic teacher has {size / 1e6:.2f} M parameters, which are dropped after the training"]
        if self.config.frozen_backbone > 0:
            share = f"the first {self.config.frozen_backbone:.0%} of the training"
            sentences.append(
                f"the student's backbone is frozen for {share}; without pretrained weights set frozen_backbone: 0"
            )
        return sentences


class Adapter(nn.Sequential):
    """Three 1x1 convolutions with ReLU between them, shared by the levels, between the student's maps and the loss.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            *(nn.Conv2d(channels, channels, 1), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 1), nn.ReLU()),
            nn.Conv2d(channels, channels, 1),
        )


def _pyramid(config: Sdd.Config, student: ModelSpec) -> tuple[int, list[tuple[int, int]]]:
    """Return the channels of the student's pyramid and the rows and columns of its levels at the size of the run.

    Raises:
        IncompatibleError: The levels differ in width, cannot be cut into heads or groups, or the size is not known.
    """
    if student.canvas_hw is None:
        raise IncompatibleError("The method 'sdd' needs to know the size of the run's input, and was not told.")
    channels = student.channels[0]
    if set(student.channels) != {channels}:
        raise IncompatibleError(
            f"The method 'sdd' needs maps of equal width; the student's have {list(student.channels)} channels."
        )
    for setting, value in (("heads", config.heads), ("groups", config.groups)):
        if channels % value:
            raise IncompatibleError(
                f"The method 'sdd' cannot cut the student's {channels} channels into {value} {setting}.",
                hint=f"set '{setting}' to a divisor of {channels}",
            )
    if student.backbone is None and config.frozen_backbone > 0:
        raise IncompatibleError(
            "The method 'sdd' cannot freeze the student's backbone: its spec does not name one.",
            hint="set frozen_backbone: 0",
        )
    height, width = student.canvas_hw
    return channels, [(-(-height // stride), -(-width // stride)) for stride in student.strides]

"""CWD: channel-wise distillation of maps (arXiv 2011.13256)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from limbeck.core.method import Method, MethodConfig, Step, TapPaths, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.segmentation import check_same_maps, check_same_pixels
from limbeck.losses.feature import channel_kl_rows
from limbeck.nn.adapters import FeaturePairs


class Cwd(Method[Any, Any, Any]):
    """Every channel of a map becomes a distribution over its positions; the student's is drawn to the teacher's.

    On the logits a channel is a class, and teacher and student must be segmenters with the same classes. On features
    the maps are those that the heads work on, of any two models.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: There is no teacher, the classes differ, or there are no maps to compare.
    """

    class Config(MethodConfig):
        """Settings; the defaults are those of a released configuration for logits."""

        name: Literal["cwd"] = "cwd"
        weight: float = Field(5.0, gt=0)
        temperature: float = Field(1.0, gt=0)
        maps: Literal["logits", "features"] = "logits"

    tasks = None
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        self.pairs: FeaturePairs | None = None
        if config.maps == "logits":
            check_same_pixels("cwd", student, teacher)
        else:
            self.pairs = FeaturePairs("cwd", student, teacher, TapPaths(), always=False)

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``cwd``: weight times the mean over images and, on features, over the pairs."""
        if self.pairs is None:
            teacher = check_same_maps("cwd", step.student_out, step.teacher_out)
            maps = [(step.student_out.class_logits, teacher.class_logits)]
        else:
            maps = self.pairs(step)
        means = [channel_kl_rows(mine, its, self.config.temperature).mean() for mine, its in maps]
        return Terms({"cwd": self.config.weight * torch.stack(means).mean()})

    def describe(self) -> list[str]:
        """Say how every pair of maps is compared."""
        return [] if self.pairs is None else self.pairs.describe()

"""FitNet: the student's feature maps become like the teacher's (arXiv 1412.6550)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from limbeck.core.method import Method, MethodConfig, Step, TapPaths, Terms
from limbeck.core.model import ModelSpec
from limbeck.losses.feature import squared_difference_rows, standardise_channels
from limbeck.nn.adapters import FeaturePairs


class Fitnet(Method[Any, Any, Any]):
    """Mean squared difference between maps of the teacher and adapted maps of the student.

    Only features are looked at, so that task, classes and heads do not matter. By default these are the maps that the
    heads work on, level by level; with taps any module of any two models.

    Args:
        config: Settings.
        student: Spec of the student, with the shapes of its taps.
        teacher: Spec of the teacher, with the shapes of its taps.

    Raises:
        IncompatibleError: There is no teacher, or there are no maps to compare.
    """

    class Config(MethodConfig):
        """Settings. The paper trains in two stages and has no weight; see the page of the method."""

        name: Literal["fitnet"] = "fitnet"
        weight: float = Field(1.0, gt=0)
        normalise: Literal["none", "channel"] = "none"
        adapter: Literal["auto", "always"] = "auto"
        student_taps: tuple[str, ...] = ()
        teacher_taps: tuple[str, ...] = ()

        @model_validator(mode="after")
        def _taps_are_pairs(self) -> Fitnet.Config:
            mine, its = len(self.student_taps), len(self.teacher_taps)
            if mine != its:
                raise ValueError(
                    f"the taps are compared in pairs; there are {mine} of the student and {its} of the teacher"
                )
            return self

        def taps(self) -> TapPaths:
            """Return the taps of the settings."""
            return TapPaths(self.student_taps, self.teacher_taps)

    tasks = None
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        self.pairs = FeaturePairs("fitnet", student, teacher, self.taps, always=config.adapter == "always")

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``fitnet``: weight times the mean over the pairs."""
        maps = self.pairs(step)
        if self.config.normalise == "channel":
            maps = [(standardise_channels(student), standardise_channels(teacher)) for student, teacher in maps]
        means = [squared_difference_rows(student, teacher).mean() for student, teacher in maps]
        return Terms({"fitnet": self.config.weight * torch.stack(means).mean()})

    def describe(self) -> list[str]:
        """Say how every pair of maps is compared."""
        return self.pairs.describe()

"""AT: attention transfer (arXiv 1612.03928)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.losses.feature import attention_rows
from limbeck.nn.adapters import LevelPairs


class At(Method[Any, Any, Any]):
    """The student's maps become active where the teacher's are, whatever the channels.

    Only features are looked at, so that task, classes and heads do not matter, and nothing of its own is trained.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: There is no teacher, or no stride is in both models.
    """

    class Config(MethodConfig):
        """Settings; see the page of the method for what is chosen here."""

        name: Literal["at"] = "at"
        weight: float = Field(1.0, gt=0)

    tasks = None
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        self.pairs = LevelPairs("at", student, teacher)

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``at``: weight times the mean over images and levels."""
        means = [attention_rows(mine, its).mean() for mine, its in self.pairs.maps(step)]
        return Terms({"at": self.config.weight * torch.stack(means).mean()})

    def describe(self) -> list[str]:
        """Say which levels are compared."""
        return self.pairs.describe()

"""CKA: the student's maps become similar to the teacher's up to a rotation of the channels (arXiv 1905.00414)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.losses.similarity import map_cka_rows
from limbeck.nn.adapters import LevelPairs


class Cka(Method[Any, Any, Any]):
    """One minus the centred kernel alignment of maps of equal stride, whatever the channels.

    Only features are looked at, so that task, classes and heads do not matter, and nothing of its own is trained.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: There is no teacher, or no stride is in both models.
    """

    class Config(MethodConfig):
        """Settings. The paper measures by CKA and does not train by it; see the page of the method."""

        name: Literal["cka"] = "cka"
        weight: float = Field(1.0, gt=0)
        kernel: Literal["linear", "rbf", "laplace"] = "linear"

    tasks = None
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        self.pairs = LevelPairs("cka", student, teacher)

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return the term ``cka``: weight times 1 minus the mean over images and levels."""
        maps = self.pairs.maps(step)
        means = [map_cka_rows(mine, its, self.config.kernel).mean() for mine, its in maps]
        return Terms({"cka": self.config.weight * (1 - torch.stack(means).mean())})

    def describe(self) -> list[str]:
        """Say which levels are compared."""
        return self.pairs.describe()

"""Plain training: no distillation. This is the control run next to every claim."""

from __future__ import annotations

from typing import Any, Literal

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec


class Plain(Method[Any, Any, Any]):
    """Adds nothing to the supervised loss of the student."""

    class Config(MethodConfig):
        """No settings."""

        name: Literal["plain"] = "plain"

    tasks = None
    uses_teacher = False

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Return no terms."""
        return Terms()

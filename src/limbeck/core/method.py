"""The contract of a distillation method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from limbeck.core.model import AssignmentT, Model, ModelSpec, RawT, Task
from limbeck.core.samples import Batch, TargetT


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the training stands.

    Attributes:
        step: Optimizer steps done so far.
        total_steps: Optimizer steps of the whole training.
        epoch: Passes over the data done so far.
    """

    step: int
    total_steps: int
    epoch: int

    @property
    def fraction(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.step / max(self.total_steps, 1)

    def warm_up(self, share: float) -> float:
        """Return the factor of a term that grows linearly over the first ``share`` of the training, up to 1.

        It is above 0 from the first step on: a term that is off is absent, never a zero.
        """
        steps = share * self.total_steps
        return min(1.0, (self.step + 1) / steps) if steps > 0 else 1.0


@dataclass(slots=True)
class Step(Generic[TargetT, RawT, AssignmentT]):
    """All that a method may look at in one training step.

    Attributes:
        batch: The samples.
        student: The model in training; passed in and never stored, so that it is not registered twice.
        student_out: Its raw output, with gradient.
        teacher_out: The teacher's raw output, without gradient; None for methods without a teacher.
        assignment: The student's assignment of predictions to objects.
        task_losses: The student's supervised loss terms.
        progress: Where the training stands.
        student_taps: What the method's taps of the student gave, by path, with gradient.
        teacher_taps: What its taps of the teacher gave, without gradient.
    """

    batch: Batch[TargetT]
    student: Model[TargetT, RawT, AssignmentT, Any]
    student_out: RawT
    teacher_out: RawT | None
    assignment: AssignmentT
    task_losses: dict[str, Tensor]
    progress: Progress
    student_taps: Mapping[str, Tensor] = field(default_factory=dict)
    teacher_taps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(slots=True)
class Terms:
    """What a method adds to the loss.

    Attributes:
        losses: Scalar terms by name, already weighted, with gradient. A term that is off is absent, never a zero.
        logs: Detached scalars worth a line in the log.
    """

    losses: dict[str, Tensor] = field(default_factory=dict)
    logs: dict[str, Tensor] = field(default_factory=dict)


Inheritance = Literal["equal", "thinned"]
"""Weights of a teacher that a student starts with: those of equal shape, or every k-th channel of wider ones too."""


@dataclass(frozen=True, slots=True)
class TapPaths:
    """The submodules whose output a method wants to see; `limbeck.taps` says how a path is written.

    Attributes:
        student: Paths in the student.
        teacher: Paths in the teacher.
    """

    student: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()

    @classmethod
    def union(cls, wanted: Iterable[TapPaths]) -> TapPaths:
        """Return the taps of several methods, each once."""
        taps = list(wanted)
        return cls(
            student=tuple(dict.fromkeys(path for paths in taps for path in paths.student)),
            teacher=tuple(dict.fromkeys(path for paths in taps for path in paths.teacher)),
        )


class MethodConfig(BaseModel):
    """Base of the settings of a method; ``name`` is the file in ``limbeck/methods`` or a dotted path to a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str

    def taps(self) -> TapPaths:
        """Return what the method taps beside the raw outputs; by default nothing."""
        return TapPaths()

    def inherits(self) -> Inheritance | None:
        """Return with which weights of the teacher the student starts; by default with none."""
        return None


class Method(nn.Module, ABC, Generic[TargetT, RawT, AssignmentT]):
    """A distillation method. Abstract; concrete methods are final, one file each, and never import one another.

    Parameters of the method itself (adapters, encoders) are trained with the student and dropped after training. The
    teacher is never part of it: the engine runs the teacher and hands its output over in the `Step`.

    Args:
        config: The method's settings.
        student: Spec of the student, with the shapes of its taps.
        teacher: Spec of the teacher, with the shapes of its taps; None if the method uses none.

    Raises:
        IncompatibleError: Teacher and student do not fit the method.

    Attributes:
        tasks: The tasks it works for; None for every task.
        uses_teacher: Whether a frozen teacher must run beside the student.
        taps: What the engine captures for it in every step.
    """

    Config: ClassVar[type[MethodConfig]]
    tasks: ClassVar[tuple[Task, ...] | None]
    uses_teacher: ClassVar[bool]

    @abstractmethod
    def __init__(self, config: MethodConfig, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__()
        self.taps = config.taps()

    @abstractmethod
    def forward(self, step: Step[TargetT, RawT, AssignmentT]) -> Terms:
        """Return the loss terms of this step."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Return optimizer groups of the method's own parameters; by default one group with the student's settings."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        return [{"params": parameters}] if parameters else []

    def describe(self) -> list[str]:
        """Say in a sentence each what was chosen for this pair of models; by default there is nothing to say."""
        return []

    def frozen_student_parts(self, progress: Progress) -> Iterable[str]:
        """Name the student's submodules that get no gradient at this step (SDD's warm-up); by default none."""
        return ()

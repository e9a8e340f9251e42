"""Seconds of a step inside a whole training: `limbeck.training.fit` on batches that are in memory.

Control, teacher and distilled student take turns on the same weights and batches. A method without terms looks at the
clock in every step; so the time between two looks holds all that the trainer does: the losses, the backward pass, the
optimizer, the moving average, the log.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from limbeck.config import TrainConfig
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import Model, ModelSpec
from limbeck.core.samples import Batch
from limbeck.lookup import method_config
from limbeck.training.fit import build_methods, fit
from limbeck.training.precision import autocast
from limbeck.training.teacher import FrozenTeacher
from limbeck.weights import WeightsInfo

WARMUP_STEPS = 2


class Clock(Method[Any, Any, Any]):
    """Adds nothing to the loss and notes when it was asked."""

    class Config(MethodConfig):
        """No settings."""

        name: Literal["clock"] = "clock"

    tasks = None
    uses_teacher = False

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        self.times: list[float] = []

    def forward(self, step: Step[Any, Any, Any]) -> Terms:
        """Look at the clock."""
        self.times.append(time.perf_counter())
        return Terms()

    def seconds(self) -> list[float]:
        """Return the seconds of every step but the first ones."""
        pairs = zip(self.times[WARMUP_STEPS:-1], self.times[WARMUP_STEPS + 1 :], strict=True)
        return [after - before for before, after in pairs]


class OneBatch:
    """What a training needs of a task: one batch again and again, and no validation images."""

    main_metric = "AP"

    def __init__(self, batch: Batch[Any], steps: int) -> None:
        self._loader = DataLoader([batch] * steps, batch_size=None)

    def train_loader(self, batch_size: int, **_: Any) -> DataLoader[Batch[Any]]:
        """Return the batches of an epoch."""
        return self._loader

    def val_loader(self) -> Iterator[Batch[Any]]:
        """Return nothing."""
        return iter(())

    def evaluate(self, results: object) -> SimpleNamespace:
        """Return a score for the best weights to be written."""
        return SimpleNamespace(metrics={"AP": 0.0})


def trainer_row(
    teacher: Model[Any, Any, Any, Any],
    student: Model[Any, Any, Any, Any],
    batch: Batch[Any],
    method: str,
    precision: Literal["bf16", "fp32"],
    *,
    steps: int,
    rounds: int,
) -> dict[str, float]:
    """Return the seconds of a step of the control and of the method, of a teacher forward, and the ratio.

    Args:
        teacher: The teacher.
        student: The student; copies of it are trained.
        batch: What is trained on.
        method: Name of the method.
        precision: Number format.
        steps: Steps of a training.
        rounds: Trainings of each kind, in turns.
    """
    frozen = FrozenTeacher(deepcopy(teacher))
    plan = TrainConfig(epochs=1, precision=precision, workers=0)
    taught = method_config({"name": method})
    seconds: dict[str, list[float]] = {"control": [], "teacher": [], "method": []}
    for _ in range(rounds):
        seconds["control"] += _training(deepcopy(student), [], None, batch, plan, steps)
        seconds["teacher"] += _forwards(frozen, batch, precision, steps)
        copied = deepcopy(student)
        methods = build_methods([taught], copied, teacher, [batch])
        seconds["method"] += _training(copied, methods, frozen, batch, plan, steps)
    control, forward, step = (statistics.median(values) for values in seconds.values())
    return {
        "student_step": round(control, 4),
        "teacher_forward": round(forward, 4),
        "method_step": round(step, 4),
        "time_ratio": round(step / (control + forward), 4),
    }


def _training(
    student: Model[Any, Any, Any, Any],
    methods: list[Method[Any, Any, Any]],
    teacher: FrozenTeacher | None,
    batch: Batch[Any],
    plan: TrainConfig,
    steps: int,
) -> list[float]:
    clock = Clock(Clock.Config(), student=student.spec, teacher=None)
    info = WeightsInfo(model={}, classes=student.spec.classes, size=(0, 0), resize="stretch")
    task: Any = OneBatch(batch, steps + WARMUP_STEPS)
    with TemporaryDirectory() as folder:
        fit(student, [*methods, clock], teacher, task, plan, info, folder=Path(folder), seed=0)
    return clock.seconds()


def _forwards(teacher: FrozenTeacher, batch: Batch[Any], precision: Literal["bf16", "fp32"], steps: int) -> list[float]:
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        with autocast(precision, torch.device("cpu")):
            teacher(batch)
        seconds.append(time.perf_counter() - started)
    return seconds

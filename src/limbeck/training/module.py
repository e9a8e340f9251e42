"""One training step: student, teacher, methods, in the order in which it happens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import nn

from limbeck.config import TrainConfig
from limbeck.core.method import Method, Progress, Step, TapPaths, Terms
from limbeck.core.model import Model, inputs_of
from limbeck.core.samples import Batch
from limbeck.errors import IncompatibleError, TrainingError
from limbeck.taps import capture
from limbeck.training.teacher import FrozenTeacher

NOT_FINITE_HINT = "the last good checkpoint is kept; try a lower lr"


class Distillation(lightning.LightningModule):
    """Student and methods in one module, so that DDP synchronises both; the teacher stays outside the module tree.

    Args:
        student: The model to train.
        methods: What adds to its loss.
        teacher: The frozen teacher, if a method needs one.
        config: How to train.
        seed: Random numbers of a step depend on (seed, step, process) alone, so that a resumed run draws the same.
        total_steps: Optimizer steps of the whole training.
    """

    def __init__(
        self,
        student: Model[Any, Any, Any, Any],
        methods: Sequence[Method[Any, Any, Any]],
        teacher: FrozenTeacher | None,
        config: TrainConfig,
        *,
        seed: int,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.student = student.to(memory_format=torch.channels_last)
        self.methods = nn.ModuleList(methods)
        self.teacher = teacher if any(method.uses_teacher for method in methods) else None
        self.inputs = inputs_of(student.spec, self.teacher.spec if self.teacher is not None else None)
        self.taps = TapPaths.union(method.taps for method in methods)
        self.config = config
        self.seed = seed
        self.total_steps = total_steps

    def on_train_batch_start(self, batch: Batch[Any], batch_idx: int) -> None:
        """Seed the random numbers of this step."""
        batches_done = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        torch.manual_seed(step_seed(self.seed, batches_done, self.global_rank))

    def training_step(self, batch: Batch[Any], batch_idx: int) -> dict[str, Any]:
        """Return the total loss, the student's supervised terms plus those of every method, and what goes into the log.

        Raises:
            TrainingError: The loss is not finite.
        """
        terms = self.loss_terms(batch)
        total = torch.stack(list(terms.losses.values())).sum()
        if not torch.isfinite(total):
            raise TrainingError(_not_finite(terms, batch), hint=NOT_FINITE_HINT)
        losses = {name: value.detach() for name, value in terms.losses.items()}
        return {"loss": total, "values": losses | terms.logs | {"loss": total.detach()}}

    def loss_terms(self, batch: Batch[Any]) -> Terms:
        """Run student, teacher and methods on a batch; returns all loss terms by name, already weighted."""
        # The teacher goes first: its activations are gone before the student's are kept for the backward pass.
        teacher_out, teacher_taps = self.teacher.tapped(batch, self.taps.teacher) if self.teacher else (None, {})
        with capture(self.student, self.taps.student, "student") as student_taps:
            student_out = self.student(batch)
        assignment = self.student.assign(student_out, batch)
        task_losses = self.student.losses(student_out, assignment, batch)
        step = Step(
            batch=batch,
            student=self.student,
            student_out=student_out,
            teacher_out=teacher_out,
            assignment=assignment,
            task_losses=task_losses,
            progress=self._progress(),
            student_taps=student_taps,
            teacher_taps=teacher_taps,
        )
        merged = Terms(dict(task_losses))
        for method in self.methods:
            _merge(merged, method(step))
        return merged

    def on_after_backward(self) -> None:
        """Drop the gradients of the student's parts that a method keeps frozen at this step."""
        for method in self.methods:
            assert isinstance(method, Method)
            for part in method.frozen_student_parts(self._progress()):
                for parameter in self.student.get_submodule(part).parameters():
                    parameter.grad = None

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Check the gradient and clip its norm. Lightning's own clipping refuses fused optimizers under autocast.

        Raises:
            TrainingError: The gradient is not finite, though the loss was.
        """
        parameters = [parameter for parameter in self.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(norm):
            raise TrainingError(f"The gradient is not finite in step {self.global_step}.", hint=NOT_FINITE_HINT)
        if self.config.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.config.clip_norm, norm)

    def configure_optimizers(self) -> Any:
        """Return the optimizer over student and methods, and the schedule per optimizer step."""
        groups = _student_groups(self.student, self.config.weight_decay)
        for method in self.methods:
            assert isinstance(method, Method)
            groups += method.param_groups()
        optimizer = _optimizer(groups, self.config)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, self.total_steps, self.config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _progress(self) -> Progress:
        if self._trainer is None:
            return Progress(step=0, total_steps=self.total_steps, epoch=0)
        return Progress(step=self.global_step, total_steps=self.total_steps, epoch=self.current_epoch)


def step_seed(seed: int, batches_done: int, rank: int) -> int:
    """Return the seed of one step in one process, within the 63 bits that every generator of torch takes."""
    return ((seed * 1_000_003 + batches_done) * 1_009 + rank) % 2**63


def lr_factor(step: int, total_steps: int, config: TrainConfig) -> float:
    """Return the learning rate of a step as a share of ``config.lr``: a linear warm-up, then the schedule."""
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    done = min(step / max(total_steps, 1), 1.0)
    if config.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule == "step":
        return warmup * 0.1 ** sum(done >= milestone for milestone in config.milestones)
    return warmup


def _student_groups(student: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups: weights, and norms and biases, which are not decayed."""
    parameters = [p for p in student.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        # Not fused: the fused kernel fails where a part that was frozen so far has no momentum yet and the others have.
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def _merge(into: Terms, new: Terms) -> None:
    twice = (into.losses | into.logs).keys() & (new.losses | new.logs).keys()
    if twice:
        raise IncompatibleError(f"Two methods, or a method and the student, both give: {', '.join(sorted(twice))}.")
    into.losses.update(new.losses)
    into.logs.update(new.logs)


def _not_finite(terms: Terms, batch: Batch[Any]) -> str:
    bad = [f"{name} = {value.item()}" for name, value in terms.losses.items() if not torch.isfinite(value)]
    files = ", ".join(str(frame.path) for frame in batch.frames)
    return f"The loss is not finite ({'; '.join(bad) or 'the sum overflows'}) on the samples {files}."

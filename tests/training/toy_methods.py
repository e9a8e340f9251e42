"""Methods that no one should use, and that show what the contract allows; found as ``toy_methods:Class``."""

import os
import signal
from multiprocessing import active_children
from typing import Any

import torch
from torch import nn

from limbeck.core.method import Method, MethodConfig, Step, TapPaths, Terms


class Toy(Method[Any, Any, Any]):
    """Keeps its settings; the rest is up to the subclass."""

    class Config(MethodConfig):
        step: int = 0

    tasks = None
    uses_teacher = False

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.config = config


class Adapter(Toy):
    """Compares the finest feature map with the teacher's through a trained 1x1 convolution, in a group of its own."""

    uses_teacher = True

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.adapter = nn.Conv2d(student.channels[0], teacher.channels[0], 1)

    def forward(self, step: Step) -> Terms:
        difference = self.adapter(step.student_out.features[0]) - step.teacher_out.features[0]
        return Terms({"adapter": difference.float().square().mean()}, {"gap": difference.detach().abs().mean()})

    def param_groups(self):
        return [{"params": list(self.parameters()), "lr": 0.5}]


class Forgetful(Adapter):
    """Has a trainable adapter and keeps it from the optimizer."""

    def param_groups(self):
        return []


class Detached(Adapter):
    """Cuts its adapter off from the loss."""

    def forward(self, step: Step) -> Terms:
        return Terms({"adapter": step.student_out.features[0].float().square().mean()})


class Tapped(Toy):
    """Taps level ``step`` of both necks, keeps the step it was given and says what it was told."""

    uses_teacher = True

    class Config(Toy.Config):
        def taps(self):
            return TapPaths((f"trunk.neck#{self.step}",), (f"trunk.neck#{self.step}", "trunk.neck#0"))

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.told = student.taps, teacher.taps

    def forward(self, step: Step) -> Terms:
        self.seen = step
        return Terms({f"tapped_{self.config.step}": step.student_taps[self.taps.student[0]].float().square().mean()})

    def describe(self):
        return [f"level {self.config.step} is tapped"]


class Freeze(Toy):
    """Keeps the head of the student frozen until ``step``."""

    def forward(self, step: Step) -> Terms:
        return Terms()

    def frozen_student_parts(self, progress):
        return ("dense_head",) if progress.step < self.config.step else ()


class Zero(Toy):
    """Gives a term that is always zero."""

    def forward(self, step: Step) -> Terms:
        return Terms({"nothing": 0 * step.student_out.class_logits.mean()})


class NotANumber(Toy):
    """Gives a term that is not a number from ``step`` on."""

    def forward(self, step: Step) -> Terms:
        factor = 1.0 if step.progress.step < self.config.step else torch.nan
        return Terms({"broken": factor * step.student_out.class_logits.mean()})


class Explode(Toy):
    """Gives a finite term with an infinite gradient."""

    def forward(self, step: Step) -> Terms:
        return Terms({"root": (step.student_out.class_logits.sum() * 0).abs().sqrt()})


class Crash(Toy):
    """Ends the training in ``step`` as a power cut would: nothing is written any more."""

    def forward(self, step: Step) -> Terms:
        if step.progress.step == self.config.step:
            raise SystemExit("the power is gone")
        return Terms()


class Signal(Toy):
    """Presses Ctrl-C once in ``step``; the processes that load the data hear it too, as they do in a terminal."""

    presses = 1

    def forward(self, step: Step) -> Terms:
        if step.progress.step == self.config.step and self.presses:
            self.presses -= 1
            for pid in (os.getpid(), *(child.pid for child in active_children())):
                os.kill(pid, signal.SIGINT)
        return Terms()


class DynamicTeacher(Toy):
    """As in SDD: runs the student's own head on features of its own, and trains them by the student's losses."""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.enhance = nn.ModuleList(nn.Conv2d(channels, channels, 1) for channels in student.channels)

    def forward(self, step: Step) -> Terms:
        enhanced = [layer(f.detach()) for layer, f in zip(self.enhance, step.student_out.features, strict=True)]
        raw = step.student.head(enhanced, step.batch)
        losses = step.student.losses(raw, step.student.assign(raw, step.batch), step.batch)
        pull = (step.student_out.class_logits - raw.class_logits.detach()).square().mean()
        return Terms({f"dynamic_{name}": value for name, value in losses.items()} | {"pull": pull})

"""Methods with one fault each that the doctor must find, and one that only looks faulty; ``faulty_methods:Class``."""

from typing import Any

import torch
from torch import nn

from limbeck.core.method import Method, MethodConfig, Step, Terms


class Faulty(Method[Any, Any, Any]):
    """Has a 1x1 convolution on the finest map of the student; the rest is up to the subclass."""

    class Config(MethodConfig):
        factor: float = 1.0

    tasks = None
    uses_teacher = False

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.config = config
        self.adapter = nn.Conv2d(student.channels[0], 8, 1)

    def forward(self, step: Step) -> Terms:
        value = self.value(step.student_out.features[0])
        return Terms({type(self).__name__.lower(): value.float().square().mean()})

    def value(self, maps):
        return self.adapter(maps)


class Weighed(Faulty):
    """Multiplies its term by ``factor``."""

    def forward(self, step: Step) -> Terms:
        terms = super().forward(step)
        return Terms({name: self.config.factor * loss for name, loss in terms.losses.items()})


class HalfUsed(Faulty):
    """Has a second convolution that nothing runs through."""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.spare = nn.Conv2d(8, 8, 1)


class TimesZero(Faulty):
    """Multiplies what its convolution gives by zero."""

    def value(self, maps):
        return maps.mean(dim=1, keepdim=True) + 0 * self.adapter(maps)


class Selfish(Faulty):
    """Trains its convolution on maps that are cut off from the student."""

    def value(self, maps):
        return self.adapter(maps.detach())


class Idle(Faulty):
    """Gives a term without any gradient."""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        del self.adapter

    def value(self, maps):
        return maps.detach()


class Sleeper(Faulty):
    """Is sound: a second convolution starts at zero, and lets a gradient through once it has moved."""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.gate = nn.Conv2d(8, 8, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.ones_(self.gate.bias)

    def value(self, maps):
        return self.gate(self.adapter(maps))


class WrongChannels(Faulty):
    """Takes one channel more than the maps have."""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.adapter = nn.Conv2d(student.channels[0] + 1, 8, 1)


class BrokenBackward(Faulty):
    """Gives a term that cannot be sent back."""

    def value(self, maps):
        roots = self.adapter(maps).exp()
        given = roots * 1
        roots.add_(1)
        return given


class OutOfMemory(Faulty):
    """Asks for more memory than a GPU has."""

    def value(self, maps):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")

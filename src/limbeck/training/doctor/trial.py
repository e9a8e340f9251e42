"""A training step that is watched part by part: what the student and each method give, and what their terms reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from limbeck.config import TrainConfig
from limbeck.core.method import Terms
from limbeck.core.samples import Batch
from limbeck.errors import IncompatibleError, LimbeckError
from limbeck.tasks.base import AnyTask
from limbeck.training.doctor.memory import parameter_bytes, saved_bytes
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast, resolve_precision

PROBE_IMAGES = 2
"""Images on which the memory is measured; batch norm needs two where the coarsest map is a single cell."""


@dataclass(slots=True)
class Part:
    """The student or one method in a step.

    Attributes:
        name: ``the student``, or ``the method`` and its name.
        prefix: How the names of its own parameters begin.
        losses: Its terms.
        connected: Names of all parameters, of any part, that its terms are computed from.
        reached: Names of those that its terms send a gradient to which is not zero.
        broken: Names of those whose gradient is not finite.
    """

    name: str
    prefix: str
    losses: dict[str, Tensor]
    connected: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)


class Trial:
    """Does training steps with a module that is thrown away afterwards.

    Args:
        module: Student, methods and teacher, where the training will run.
        methods: Names of the methods in their order.
        task: The data.
        config: How to train.
        device: Where the module is.
        seed: Seed of the batches and of random layers.

    Attributes:
        trainable: All parameters to train, by name.
        optimizer: What trains them.
    """

    def __init__(
        self,
        module: Distillation,
        methods: Sequence[str],
        task: AnyTask,
        config: TrainConfig,
        device: torch.device,
        seed: int,
    ) -> None:
        self.module = module
        self.names = [f"the method {name}" for name in methods]
        self.task = task
        self.config = config
        self.device = device
        self.seed = seed
        self.trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimizer: torch.optim.Optimizer = module.configure_optimizers()["optimizer"]

    def batch(self, size: int, number: int = 0) -> Batch[Any]:
        """Return a training batch that shows something; one of empty images says nothing about the terms."""
        batch = None
        for batch in self.task.train_loader(size, seed=self.seed + number, workers=0, inputs=self.module.inputs):
            if not all(target.is_empty for target in batch.targets):
                break
        assert batch is not None
        return batch.to(self.device)

    def needed_bytes(self) -> int:
        """Return what a training takes on top of the weights, measured on a very small batch.

        These are gradients, two optimizer moments, the average and its copy for the evaluation, and what is kept for
        the backward pass. The whole batch is not tried: the system may end a process that asks for too much.
        """
        probe = self.batch(min(self.config.batch_size, PROBE_IMAGES))
        with saved_bytes(self.module) as saved:
            self.run(probe)
        activations = saved[0] * self.config.batch_size * self._growth(probe) // len(probe)
        return 5 * parameter_bytes(self.module) + int(activations)

    def _growth(self, probe: Batch[Any]) -> float:
        """Return how many times as many pixels as those of the probe the largest canvas has; clouds have no canvas."""
        canvases = self.task.config.canvases
        if canvases is None:
            return 1.0
        height, width = probe.images.shape[-2:]
        return max(canvas[0] * canvas[1] for canvas in canvases) / (height * width)

    def run(self, batch: Batch[Any]) -> list[Part]:
        """Return the student and each method with their terms.

        Raises:
            IncompatibleError: Shapes do not fit; the text names the part.
        """
        running, given = ["the student or the teacher"], list[Terms]()
        numbers = autocast(resolve_precision(self.config.precision), self.device)
        with torch.random.fork_rng(devices=[]), self._hooks(running.append, given.append), _told(running), numbers:
            torch.manual_seed(self.seed)
            losses = self.module.loss_terms(batch).losses
        theirs = {name for terms in given for name in terms.losses}
        student = Part("the student", "student.", {name: loss for name, loss in losses.items() if name not in theirs})
        return [student] + [
            Part(name, f"methods.{index}.", terms.losses)
            for index, (name, terms) in enumerate(zip(self.names, given, strict=True))
        ]

    def reach(self, parts: Sequence[Part]) -> None:
        """Send the terms of each part back to all parameters, one part after the other, and note what they reach.

        Raises:
            IncompatibleError: The backward pass failed; the text names the part.
        """
        for part in parts:
            terms = [loss for loss in part.losses.values() if loss.requires_grad]
            if not terms:
                continue
            with _told([part.name]):
                gradients = torch.autograd.grad(
                    torch.stack(terms).sum(), list(self.trainable.values()), retain_graph=True, allow_unused=True
                )
            for (name, parameter), gradient in zip(self.trainable.items(), gradients, strict=True):
                if gradient is None:
                    continue
                part.connected.add(name)
                if not gradient.isfinite().all():
                    part.broken.append(name)
                elif gradient.any():
                    part.reached.add(name)
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def step(self) -> None:
        """Train by the gradients that have arrived."""
        self.module.on_before_optimizer_step(self.optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @contextmanager
    def _hooks(self, begins: Callable[[str], None], gives: Callable[[Terms], None]) -> Iterator[None]:
        """Tell which method is running, and what it gave."""
        handles = []
        for name, method in zip(self.names, self.module.methods, strict=True):
            handles.append(method.register_forward_pre_hook(lambda _method, _step, name=name: begins(name)))
            handles.append(method.register_forward_hook(lambda _method, _step, terms: gives(terms)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _told(running: Sequence[str]) -> Iterator[None]:
    """Turn what PyTorch says of shapes that do not fit into a sentence that names the part that was running last."""
    try:
        yield
    except (LimbeckError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise IncompatibleError(f"A training batch fails in {running[-1]}: {reason}") from error

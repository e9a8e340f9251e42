"""The doctor: looks at everything that can be looked at in seconds, before hours are spent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psutil
import torch
from torch import Tensor, nn

from limbeck.config import RunConfig, TrainConfig
from limbeck.core.method import Terms
from limbeck.core.model import Model
from limbeck.core.samples import Batch
from limbeck.errors import LimbeckError
from limbeck.inference import predict_all
from limbeck.tasks import Detection2DTask
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast, resolve_precision
from limbeck.training.teacher import FrozenTeacher
from limbeck.weights import load_weights

Status = Literal["ok", "warn", "fail"]
PROBE_IMAGES = 2
"""Images on which the memory is measured; batch norm needs two where the coarsest map is a single cell."""
CHANCE_AP50 = 0.01
"""A teacher below this AP50 on its own validation data has nothing to teach."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        status: ``fail`` must not go into a training.
        check: What was looked at.
        text: The result in plain words.
    """

    status: Status
    check: str
    text: str


def examine(config: RunConfig, task: Detection2DTask, device: torch.device | str = "cpu") -> Iterator[Finding]:
    """Yield a finding per check, most basic first; stops after the first failure that hides the rest.

    Args:
        config: The run.
        task: Its data, already read and checked.
        device: Where the training will run.
    """
    data = list(_data(task))
    yield from data
    if any(finding.status == "fail" for finding in data):
        return
    student = seeded_model(config.student, task.classes, config.seed)
    teacher = None
    if config.uses_teacher and config.teacher is not None:
        try:
            teacher = _teacher(config, task)
            yield from _teacher_findings(config, task, teacher, device)
        except LimbeckError as error:
            yield Finding("fail", "teacher", error.message)
            return
    try:
        methods = build_methods(config.methods, student.spec, teacher.spec if teacher else None, config.seed)
        frozen = FrozenTeacher(teacher) if teacher else None
        module = Distillation(student.train(), methods, frozen, config.train, seed=config.seed, total_steps=1)
        yield from _one_step(module.to(device), task, config.train, torch.device(device))
    except LimbeckError as error:
        yield Finding("fail", "fit of teacher, student and methods", error.message)


def _data(task: Detection2DTask) -> Iterator[Finding]:
    boxes = sum(int((~record.ignore).sum()) for record in task.train.records)
    text = f"{len(task.train.records)} training images with {boxes} boxes of {len(task.classes)} classes"
    yield Finding("ok" if boxes else "fail", "data", f"{text}, {len(task.val.records)} validation images")
    if task.skipped:
        yield Finding("warn", "data", f"{len(task.skipped)} broken entries are left out; the first: {task.skipped[0]}")
    found = {int(label) for record in task.train.records for label in record.labels[~record.ignore]}
    missing = [name for label, name in enumerate(task.classes) if label not in found]
    if missing:
        yield Finding("warn", "classes", f"no training image shows: {', '.join(missing)}")


def _teacher(config: RunConfig, task: Detection2DTask) -> Model[Any, Any, Any, Any]:
    assert config.teacher is not None
    if config.teacher_checkpoint is None:
        return seeded_model(config.teacher, task.classes, config.seed + 1)  # a stand-in unlike the student
    return load_weights(config.teacher_checkpoint)[0]


def _teacher_findings(
    config: RunConfig, task: Detection2DTask, teacher: Model[Any, Any, Any, Any], device: torch.device | str
) -> Iterator[Finding]:
    if config.teacher_checkpoint is None:
        yield Finding("ok", "teacher", "no checkpoint is given; the teacher is trained first")
        return
    if teacher.spec.classes != task.classes:
        text = f"its classes are {list(teacher.spec.classes)}, the data has {list(task.classes)}"
        yield Finding("fail", "classes of the teacher", text)
        return
    yield Finding("ok", "classes of the teacher", f"the same as the data's: {list(task.classes)}")
    metrics = task.evaluate(predict_all(teacher, task, device=device)).metrics
    text = f"AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f} on the validation images"
    good = metrics["AP50"] >= CHANCE_AP50
    yield Finding("ok" if good else "fail", "score of the teacher", text if good else f"{text}: no better than chance")


def _one_step(
    module: Distillation, task: Detection2DTask, config: TrainConfig, device: torch.device
) -> Iterator[Finding]:
    numbers = autocast(resolve_precision(config.precision), device)
    with numbers:
        memory = _memory_finding(module, task, config.batch_size, device)
    yield memory
    if memory.status == "fail":
        return
    with numbers:
        terms = module.loss_terms(first_batch_with_objects(task, config.batch_size).to(device))
    yield from _term_findings(terms)
    torch.stack(list(terms.losses.values())).sum().backward()
    yield from _gradient_findings(module)
    yield _optimizer_finding(module)


def first_batch_with_objects(task: Detection2DTask, batch_size: int) -> Batch[Any]:
    """Return the first training batch that shows an object; a batch of empty images says nothing about the terms."""
    batch = None
    for batch in task.train_loader(batch_size, seed=0, workers=0):
        if any(len(target.objects()) for target in batch.targets):
            break
    assert batch is not None
    return batch


def _term_findings(terms: Terms) -> Iterator[Finding]:
    for name, value in terms.losses.items():
        number = float(value.detach())
        if not torch.isfinite(value):
            yield Finding("fail", f"loss term {name}", f"is {number}")
        elif number == 0:
            yield Finding("fail", f"loss term {name}", "is exactly zero on a batch with objects: it teaches nothing")
        else:
            yield Finding("ok", f"loss term {name}", f"{number:.4g}")


def _gradient_findings(module: Distillation) -> Iterator[Finding]:
    for part, parameters in (("student", module.student), ("methods", module.methods)):
        trainable = [(name, p) for name, p in parameters.named_parameters() if p.requires_grad]
        dead = [name for name, p in trainable if p.grad is None or not p.grad.any()]
        if len(dead) == len(trainable) and trainable:
            yield Finding("fail", f"gradient of the {part}", "no parameter gets a gradient")
        elif dead:
            text = f"{len(dead)} of {len(trainable)} parameters get none in this batch, such as {dead[0]}"
            yield Finding("warn", f"gradient of the {part}", text)
        elif trainable:
            yield Finding("ok", f"gradient of the {part}", f"reaches all {len(trainable)} parameters")


def _optimizer_finding(module: Distillation) -> Finding:
    groups = module.configure_optimizers()["optimizer"].param_groups
    held = {id(parameter) for group in groups for parameter in group["params"]}
    left = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in held]
    if left:
        text = f"{len(left)} parameters would never be trained, such as {left[0]}; see the method's param_groups"
        return Finding("fail", "optimizer", text)
    return Finding("ok", "optimizer", f"holds all {len(held)} parameters")


def _memory_finding(module: Distillation, task: Detection2DTask, batch_size: int, device: torch.device) -> Finding:
    """Compare the free memory with what a training takes on top of the weights, measured on a very small batch.

    These are gradients, two optimizer moments, the average and its copy for the evaluation, and what is kept for the
    backward pass. The whole batch is not tried: the system may end a process that asks for too much.
    """
    probe = first_batch_with_objects(task, min(batch_size, PROBE_IMAGES)).to(device)
    with _saved_bytes(module) as saved:
        module.loss_terms(probe)
    needed = 5 * _parameter_bytes(module) + saved[0] * batch_size // len(probe)
    free = _free_bytes(device)
    text = f"about {needed / 2**30:.2f} GiB for batches of {batch_size}, {free / 2**30:.1f} GiB are free"
    if needed > free:
        return Finding("fail", "memory", f"{text}: lower train.batch_size (train.accumulate makes up for it)")
    return Finding("ok", "memory", text)


@contextmanager
def _saved_bytes(module: nn.Module) -> Iterator[list[int]]:
    """Count the bytes beside the weights that autograd keeps for the backward pass, in the one entry of the list."""
    count = [0]
    seen = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            count[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield count


def _parameter_bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)

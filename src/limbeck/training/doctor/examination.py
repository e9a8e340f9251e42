"""The doctor: looks at everything that can be looked at in seconds, before hours are spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from limbeck.config import RunConfig, taught
from limbeck.core.method import Method, TapPaths
from limbeck.core.model import Model, inputs_of
from limbeck.core.samples import Batch
from limbeck.errors import ConfigError, LimbeckError
from limbeck.taps import tap_shapes
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.training.doctor.data import data_findings
from limbeck.training.doctor.findings import Finding, failures
from limbeck.training.doctor.grid import grid_findings, value_findings
from limbeck.training.doctor.step import step_findings
from limbeck.training.doctor.teacher import class_finding, score_findings, teacher_of
from limbeck.training.doctor.trial import Trial
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher, inherit_weights, inheritance

AnyModel = Model[Any, Any, Any, Any]
Known = dict[str, list[Finding]]
"""What was found in a part of the examination that is the same for all methods."""
FIT = "fit of teacher, student and methods"


def examine(
    config: RunConfig,
    task: AnyTask,
    device: torch.device | str = "cpu",
    known: Known | None = None,
) -> Iterator[Finding]:
    """Yield a finding per check, most basic first; stops after the first failure that hides the rest.

    Args:
        config: The run.
        task: Its data, already read and checked.
        device: Where the training will run.
        known: What an examination of other methods with the same data and teacher found. It is added to.
    """
    known = {} if known is None else known
    for finding in _once(known, "data", data_findings(task)):
        yield finding
        if finding.check == "data" and finding.status == "fail":
            return
    try:
        teacher = teacher_of(config, task)
    except LimbeckError as error:
        yield from failures("teacher", error)
        return
    student = seeded_model(config.student, task.classes, config.seed)
    fit = list(_input_findings(config, task, student, teacher))
    yield from fit
    if any(finding.status == "fail" for finding in fit):
        return
    if teacher is not None and config.teacher_checkpoint is None:
        yield Finding("ok", "teacher", "none is given: it is trained first, and an untrained one stands in for it here")
    elif teacher is not None:
        classes = class_finding(config, teacher, task)
        yield classes
        if classes.status == "fail":
            return
        if classes.status == "ok":
            yield from _once(known, "score", score_findings(teacher, task, device))
    yield from _training_findings(config, task, student, teacher, torch.device(device))


def _once(known: Known, part: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what is known of a part of the examination, or look and remember."""
    if part in known:
        yield from known[part]
        return
    known[part] = []
    for finding in findings:
        known[part].append(finding)
        yield finding


def _input_findings(config: RunConfig, task: AnyTask, student: AnyModel, teacher: AnyModel | None) -> Iterator[Finding]:
    """Yield whether the models can see what the data holds; of images there is nothing to say."""
    if isinstance(task, Detection3DTask):
        yield from value_findings(task, "student", student.spec)
        if teacher is not None:
            yield from value_findings(task, "teacher", teacher.spec)
        yield from grid_findings(task, student.spec, config.student)


def _training_findings(
    config: RunConfig, task: AnyTask, student: AnyModel, teacher: AnyModel | None, device: torch.device
) -> Iterator[Finding]:
    try:
        methods = build_methods(
            config.methods, student, teacher, _samples(task, student, teacher), task.canvas_wh, config.seed
        )
        if teacher is not None and (kind := inheritance(config.methods)) is not None:
            yield Finding("ok", "inheritance", inherit_weights(student, teacher, kind))
        yield from _chosen(config, task, student, teacher, methods)
    except LimbeckError as error:
        yield from failures("taps" if isinstance(error, ConfigError) else FIT, error)
        return
    names = [settings.name for settings in config.methods]
    stand_in = taught(config.methods) if config.teacher_checkpoint is None else []
    frozen = FrozenTeacher(teacher) if teacher else None
    module = Distillation(student.train(), methods, frozen, config.train, seed=config.seed, total_steps=1)
    try:
        trial = Trial(module.to(device), names, task, config.train, device, config.seed)
        yield from step_findings(trial, judged={f"the method {name}" for name in names if name not in stand_in})
    except LimbeckError as error:
        yield from failures("training step" if isinstance(error, ConfigError) else FIT, error)


def _samples(task: AnyTask, student: AnyModel, teacher: AnyModel | None) -> Iterable[Batch[Any]]:
    """Return validation images one by one with all that the two models read."""
    return task.val_loader(1, inputs_of(student.spec, teacher.spec if teacher is not None else None))


def _chosen(
    config: RunConfig,
    task: AnyTask,
    student: AnyModel,
    teacher: AnyModel | None,
    methods: list[Method[Any, Any, Any]],
) -> Iterator[Finding]:
    """Yield the shapes of the taps, and what the methods chose for this pair of models."""
    taps = TapPaths.union(method.taps for method in methods)
    for owner, model, paths in (("student", student, taps.student), ("teacher", teacher, taps.teacher)):
        if model is not None and paths:
            shapes = tap_shapes(model, paths, next(iter(task.val_loader(1, model.spec.inputs))), owner)
            text = ", ".join(f"{path} gives {' x '.join(map(str, shape))}" for path, shape in shapes.items())
            yield Finding("ok", f"taps of the {owner}", text)
    for settings, method in zip(config.methods, methods, strict=True):
        yield from (Finding("ok", f"method {settings.name}", sentence) for sentence in method.describe())

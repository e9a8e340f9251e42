"""What the doctor says of the teacher: its classes, the order of its logits, and what it has to teach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from limbeck.config import RunConfig
from limbeck.core.model import Model
from limbeck.inference import predict_all
from limbeck.lookup import find_method
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import BoxTally, Detection2DTask
from limbeck.tasks.detection3d import CloudTally, Detection3DTask
from limbeck.tasks.segmentation import MaskTally, SegmentationTask
from limbeck.training.doctor.boxes import box_score_findings
from limbeck.training.doctor.clouds import cloud_score_findings
from limbeck.training.doctor.findings import Finding
from limbeck.training.doctor.masks import mask_score_findings
from limbeck.training.fit import seeded_model
from limbeck.weights import load_weights

_SHOWN = 3


def teacher_of(config: RunConfig, task: AnyTask) -> Model[Any, Any, Any, Any] | None:
    """Return the teacher of a run, or a stand-in with random weights for one that is trained first.

    Raises:
        CheckpointError: Its weights are missing or broken.
    """
    if not config.uses_teacher or config.teacher is None:
        return None
    if config.teacher_checkpoint is None:
        return seeded_model(config.teacher, task.classes, config.seed + 1)  # unlike the student
    return load_weights(config.teacher_checkpoint)[0]


def class_finding(config: RunConfig, teacher: Model[Any, Any, Any, Any], task: AnyTask) -> Finding:
    """Say whether the teacher's classes are the data's, in the same order."""
    check, its, wanted = "classes of the teacher", list(teacher.spec.classes), list(task.classes)
    if its == wanted:
        return Finding("ok", check, f"the same as the data's: {wanted}")
    if sorted(its) != sorted(wanted):
        text = f"its classes are {its}, the data has {wanted}"
        if _only_features(config):
            return Finding("warn", check, f"{text}: its features can teach, but it cannot be measured")
        return Finding("fail", check, f"{text}; give a teacher of these classes")
    differ = [
        f"{position} is '{name}' and not '{other}'"
        for position, (name, other) in enumerate(zip(its, wanted, strict=True))
        if name != other
    ]
    more = [f"and {len(differ) - _SHOWN} more"] if len(differ) > _SHOWN else []
    text = f"the same as the data's in another order: {', '.join(differ[:_SHOWN] + more)}; set data.classes to {its}"
    return Finding("fail", check, text)


def _only_features(config: RunConfig) -> bool:
    """Whether all methods are for every task: such a method cannot know what a class is."""
    return all(find_method(method.name).tasks is None for method in config.methods)


def score_findings(teacher: Model[Any, Any, Any, Any], task: AnyTask, device: torch.device | str) -> Iterator[Finding]:
    """Yield whether a trained teacher's labels are what they are called, and whether it is better than chance."""
    tally = predict_all(teacher, task, device=device)
    if isinstance(task, SegmentationTask):
        assert isinstance(tally, MaskTally)
        yield from mask_score_findings(task, tally)
    elif isinstance(task, Detection3DTask):
        assert isinstance(tally, CloudTally)
        yield from cloud_score_findings(task, tally)
    else:
        assert isinstance(task, Detection2DTask)
        assert isinstance(tally, BoxTally)
        yield from box_score_findings(task, tally)

"""The frozen teacher, held where no checkpoint, optimizer or DDP can find it, and what a student inherits from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor

from limbeck.core.method import Inheritance, MethodConfig
from limbeck.core.model import Model, ModelSpec
from limbeck.core.outputs import RawOutput
from limbeck.core.samples import Batch
from limbeck.errors import IncompatibleError
from limbeck.taps import capture


class FrozenTeacher:
    """Runs a model in eval mode without gradient.

    It is no ``nn.Module``: a Lightning module that holds it does not register the teacher, so that it stays out of the
    state dict, the optimizer, DDP and every checkpoint.

    Args:
        model: The teacher.
    """

    def __init__(self, model: Model[Any, Any, Any, Any]) -> None:
        self._model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._device: torch.device | None = None

    @property
    def spec(self) -> ModelSpec:
        """Spec of the teacher."""
        return self._model.spec

    def __call__(self, batch: Batch[Any]) -> RawOutput:
        """Return the raw output for a batch, without gradient."""
        return self.tapped(batch, ())[0]

    def tapped(self, batch: Batch[Any], paths: Collection[str]) -> tuple[RawOutput, dict[str, Tensor]]:
        """Return the raw output for a batch and what the taps gave on the way, without gradient."""
        device = next(iter(batch.inputs.values())).device
        if device != self._device:
            self._model.to(device)
            self._device = device
        with torch.no_grad(), capture(self._model, paths, "teacher") as taps:
            raw: RawOutput = self._model(batch)
        return raw, taps


def inheritance(methods: Iterable[MethodConfig]) -> Inheritance | None:
    """Return with which weights of the teacher a student starts: with the most that one of its methods asks for."""
    asked = {method.inherits() for method in methods}
    return "thinned" if "thinned" in asked else "equal" if "equal" in asked else None


def inherit_weights(
    student: Model[Any, Any, Any, Any], teacher: Model[Any, Any, Any, Any], kind: Inheritance = "equal"
) -> str:
    """Copy into a student those weights and statistics of its teacher that have the same name and fit.

    Args:
        student: The student.
        teacher: The teacher.
        kind: ``equal``: weights of the same shape. ``thinned``: also wider ones, of which a student with a k-th of the
            channels takes every k-th. As this is done along every axis of every weight, inputs and outputs of layers
            that follow one another stay together, and so do those of maps that are concatenated, if all are narrowed
            by the same k.

    Returns:
        A sentence about how much that is.

    Raises:
        IncompatibleError: Nothing fits.
    """
    own, given = student.state_dict(), teacher.state_dict()
    fitting = {name: _fitting(given[name], value, kind) for name, value in own.items() if name in given}
    same = {name: value for name, value in fitting.items() if value is not None}
    if not same:
        raise IncompatibleError(
            "The student cannot inherit from this teacher: they share no weight of equal name and fitting shape.",
            hint="set inherit: false, or give both the same backbone",
        )
    student.load_state_dict(same, strict=False)
    parts = sorted({".".join(name.split(".")[:2]) for name in same})
    share = sum(value.numel() for value in same.values()) / sum(value.numel() for value in own.values())
    return f"the student starts from {share:.0%} of its weights in the teacher: {', '.join(parts)}"


def _fitting(given: Tensor, own: Tensor, kind: Inheritance) -> Tensor | None:
    """Return what a weight of the student gets from the teacher's; None where it does not fit."""
    if given.shape == own.shape:
        return given
    if kind == "equal" or given.ndim != own.ndim:
        return None
    if any(wide % narrow for wide, narrow in zip(given.shape, own.shape, strict=True)):
        return None
    every = tuple(slice(None, None, wide // narrow) for wide, narrow in zip(given.shape, own.shape, strict=True))
    return given[every]

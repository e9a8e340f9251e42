"""The frozen teacher, held where no checkpoint, optimizer or DDP can find it, and what a student inherits from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

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


def inherit_weights(student: Model[Any, Any, Any, Any], teacher: Model[Any, Any, Any, Any]) -> str:
    """Copy into a student those weights and statistics of its teacher that have the same name and shape.

    Returns:
        A sentence about how much that is.

    Raises:
        IncompatibleError: Nothing fits.
    """
    own, given = student.state_dict(), teacher.state_dict()
    same = {name: given[name] for name, value in own.items() if name in given and given[name].shape == value.shape}
    if not same:
        raise IncompatibleError(
            "The student cannot inherit from this teacher: they share no weight of equal name and shape.",
            hint="set inherit: false, or give both the same backbone",
        )
    student.load_state_dict(same, strict=False)
    parts = sorted({".".join(name.split(".")[:2]) for name in same})
    share = sum(value.numel() for value in same.values()) / sum(value.numel() for value in own.values())
    return f"the student starts from {share:.0%} of its weights in the teacher: {', '.join(parts)}"

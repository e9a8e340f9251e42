"""The moving average of the student's weights, which is what is evaluated and saved."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class Ema(Callback):
    """Exponential moving average of all floating-point weights and buffers of the student; integers are copied.

    After step t it is d_t * average + (1 - d_t) * weights with d_t = min(decay, (1 + t) / (10 + t)); it starts as the
    weights after the first step. The small decay at the start lets it forget the random weights.

    Args:
        decay: Final decay per optimizer step; None keeps the plain weights.
    """

    def __init__(self, decay: float | None) -> None:
        self._decay = decay
        self._average: dict[str, Tensor] = {}
        self._updates = 0

    def weights(self, student: nn.Module) -> dict[str, Tensor]:
        """Return the weights to evaluate and to save: the average, or the student's own where there is none."""
        return self._average or student.state_dict()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimizer step."""
        if trainer.global_step > self._updates:
            self.update(pl_module.get_submodule("student"), trainer.global_step)

    @torch.no_grad()
    def update(self, student: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step ``step``, counted from 1."""
        self._updates = step
        if self._decay is None:
            return
        current = student.state_dict()
        if not self._average:
            self._average = {name: value.clone() for name, value in current.items()}
            return
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, value in current.items():
            average = self._average[name].to(value.device)
            self._average[name] = average.lerp_(value, 1 - decay) if value.is_floating_point() else value.clone()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"average": self._average, "updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue an average."""
        self._average, self._updates = state_dict["average"], state_dict["updates"]

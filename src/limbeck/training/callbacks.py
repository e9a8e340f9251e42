"""What happens around the training steps: evaluation, the best weights, and a stop that loses nothing."""

from __future__ import annotations

import signal
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from limbeck.core.model import Model
from limbeck.errors import Interrupted
from limbeck.inference import predict_all
from limbeck.tasks import Detection2DTask
from limbeck.training.ema import Ema
from limbeck.training.module import Distillation
from limbeck.weights import WeightsInfo, save_weights


class Validation(Callback):
    """Evaluates the averaged student after an epoch and keeps the best weights on disk.

    Args:
        task: Data and metric.
        ema: Gives the weights to evaluate.
        info: What is written beside the weights; its metrics are filled in here.
        path: Where the best weights go.
        every: Epochs between two evaluations; the last epoch is always evaluated.
        autocast: Type of the numbers in the evaluation.
    """

    def __init__(
        self, task: Detection2DTask, ema: Ema, info: WeightsInfo, path: Path, *, every: int, autocast: torch.dtype
    ) -> None:
        self._task = task
        self._ema = ema
        self._info = info
        self._path = path
        self._every = every
        self._autocast = autocast
        self._best = float("-inf")
        self._model: Model[Any, Any, Any, Any] | None = None

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Evaluate, log, and save if it is the best so far."""
        epoch, last = trainer.current_epoch, trainer.current_epoch + 1 == trainer.max_epochs
        if (last or (epoch + 1) % self._every == 0) and trainer.is_global_zero:
            assert isinstance(pl_module, Distillation)
            self._evaluate(trainer, pl_module)
        trainer.strategy.barrier()

    def _evaluate(self, trainer: lightning.Trainer, module: Distillation) -> None:
        if self._model is None:
            self._model = deepcopy(module.student)
        self._model.load_state_dict(self._ema.weights(module.student))
        half = self._autocast is not torch.float32
        with torch.autocast(module.device.type, self._autocast, enabled=half):
            results = predict_all(self._model, self._task, device=module.device)
        metrics = self._task.evaluate(results).metrics
        for logger in trainer.loggers:
            logger.log_metrics({f"val/{name}": value for name, value in metrics.items()}, step=trainer.global_step)
        if metrics[self._task.main_metric] > self._best:
            self._best = metrics[self._task.main_metric]
            save_weights(self._path, self._model.state_dict(), replace(self._info, metrics=metrics))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self._best = state_dict["best"]


class StopOnSignal(Callback):
    """On Ctrl-C (or SIGTERM) finishes the step, writes a checkpoint and ends the training.

    Args:
        checkpoint: Where the checkpoint goes.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take over the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[signal.Signals(number)])  # a second signal stops at once

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if a signal came."""
        if self._asked:
            trainer.save_checkpoint(self._checkpoint)
            raise Interrupted(
                f"Stopped after step {trainer.global_step}; the state is kept in {self._checkpoint}.",
                hint="run the same command again to go on from there",
            )

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

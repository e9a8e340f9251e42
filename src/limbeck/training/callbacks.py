"""What happens around the training steps: evaluation, the best weights, the log, and a stop that loses nothing."""

from __future__ import annotations

import os
import signal
import threading
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
from limbeck.memory import peak_bytes, start_peak
from limbeck.tasks.base import AnyTask
from limbeck.training.ema import Ema
from limbeck.training.module import Distillation
from limbeck.training.precision import Resolved, autocast
from limbeck.weights import WeightsInfo, save_weights


class StepLog(Callback):
    """Writes a line per optimizer step: the values of its last batch.

    Lightning writes its own lines after ``on_train_batch_end``, too late for a training that is stopped there.
    """

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the line if the optimizer stepped."""
        if _stepped(trainer, batch_idx):
            values = {f"train/{name}": float(value) for name, value in outputs["values"].items()}
            _log(trainer, values | {"epoch": trainer.current_epoch})


class Validation(Callback):
    """Evaluates the averaged student after an epoch and keeps the best weights on disk.

    Args:
        task: Data and metric.
        ema: Gives the weights to evaluate.
        model: A copy of the student to put them into.
        info: What is written beside the weights; its metrics are filled in here.
        path: Where the best weights go.
        every: Epochs between two evaluations; the last epoch is always evaluated.
        precision: Number format of the evaluation.
    """

    def __init__(
        self,
        task: AnyTask,
        ema: Ema,
        model: Model[Any, Any, Any, Any],
        info: WeightsInfo,
        path: Path,
        *,
        every: int,
        precision: Resolved,
    ) -> None:
        self._task = task
        self._ema = ema
        self._model = model
        self._info = info
        self._path = path
        self._every = every
        self._precision = precision
        self._best = float("-inf")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Evaluate, log, and save if it is the best so far."""
        done = trainer.current_epoch + 1
        if (done == trainer.max_epochs or done % self._every == 0) and trainer.is_global_zero:
            assert isinstance(pl_module, Distillation)
            self._evaluate(trainer, pl_module)
        trainer.strategy.barrier()

    def _evaluate(self, trainer: lightning.Trainer, module: Distillation) -> None:
        self._model.load_state_dict(self._ema.weights(module.student))
        with autocast(self._precision, module.device):
            metrics = predict_all(self._model, self._task, device=module.device).metrics()
        _log(trainer, {f"val/{name}": value for name, value in metrics.items()})
        if metrics[self._task.main_metric] > self._best:
            self._best = metrics[self._task.main_metric]
            save_weights(self._path, self._model.state_dict(), replace(self._info, metrics=metrics))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self._best = state_dict["best"]


class Memory(Callback):
    """Watches the highest memory use of the training, over all its parts where it was stopped and resumed."""

    def __init__(self) -> None:
        self._before: int | None = None
        self._started_on: torch.device | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget what came before the training; Lightning does not call this where no epoch is left to train."""
        if start_peak(trainer.strategy.root_device):
            self._started_on = trainer.strategy.root_device

    @property
    def peak(self) -> int | None:
        """The peak so far in bytes; None where the system does not tell."""
        now = peak_bytes(self._started_on) if self._started_on is not None else None
        known = [peak for peak in (self._before, now) if peak is not None]
        return max(known, default=None)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"peak": self.peak}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self._before = state_dict["peak"]


class Checkpoints(Callback):
    """Writes the state after every epoch; on Ctrl-C or SIGTERM finishes the step, writes it and ends the training.

    It must be the last callback, so that what the others did in the same step is in the file.

    Args:
        path: Where the state goes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take over the signals; Python allows that in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt  # a second signal stops at once
        self._asked = True

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if a signal came, though not within an accumulation, whose gradients no checkpoint holds.

        A signal in the last step of an epoch waits for the end of the epoch.
        """
        if _stepped(trainer, batch_idx) and not _epoch_ends(trainer, batch_idx) and self._must_stop(trainer):
            self._save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the state, and stop if a signal came."""
        self._save(trainer)
        if self._must_stop(trainer):
            self._stop(trainer)

    def _must_stop(self, trainer: lightning.Trainer) -> bool:
        """Return the same answer in all processes; the signal may have come to one of them only."""
        return trainer.strategy.reduce_boolean_decision(self._asked, all=False)

    def _save(self, trainer: lightning.Trainer) -> None:
        """Write the state at once or not at all; Lightning itself may move it there from another disk."""
        part = self._path.with_suffix(".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self._path)

    def _stop(self, trainer: lightning.Trainer) -> None:
        raise Interrupted(
            f"Stopped after step {trainer.global_step}; the state is kept in {self._path}.",
            hint="run the same command again to go on from there",
        )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Give the signals back."""
        self._give_back()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def _stepped(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether the optimizer stepped on this batch; at the end of an epoch it steps on what has gathered."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or _epoch_ends(trainer, batch_idx)


def _epoch_ends(trainer: lightning.Trainer, batch_idx: int) -> bool:
    return batch_idx + 1 == trainer.num_training_batches


def _log(trainer: lightning.Trainer, values: dict[str, float]) -> None:
    """Write values under the number of the step just done, from 0; a checkpoint of step n needs the lines below n."""
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step - 1)

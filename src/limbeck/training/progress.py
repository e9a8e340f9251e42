"""The progress bar of a training: one bar from the first step to the last, with the time left and the loss terms."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from limbeck.training.module import Distillation


class ProgressBar(Callback):
    """Shows steps, time left and the loss terms on the terminal. Lightning's own bar starts anew with every epoch.

    Args:
        title: What is trained.
        console: Where to draw; standard error by default.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(title, terms="")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw the bar, at the step that a resumed training starts from."""
        assert isinstance(pl_module, Distillation)
        self._bar.update(self._task, total=pl_module.total_steps, completed=trainer.global_step)
        if trainer.is_global_zero:
            self._bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        terms = " ".join(f"{name} {float(value):.3g}" for name, value in outputs["values"].items())
        self._bar.update(self._task, completed=trainer.global_step, terms=terms)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Take the bar away, also when the training ends by an exception."""
        self._bar.stop()

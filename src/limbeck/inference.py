"""Running a model over a data set."""

from __future__ import annotations

import sys
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from limbeck.core.model import Model
from limbeck.tasks.base import AnyTask, Tally


@torch.no_grad()
def predict_all(
    model: Model[Any, Any, Any, Any],
    task: AnyTask,
    *,
    device: torch.device | str = "cpu",
    title: str | None = None,
    thorough: bool = False,
) -> Tally[Any]:
    """Return the model's answers on the whole validation part.

    Args:
        model: Any model of the task; it is put into eval mode for the call.
        task: The data.
        device: Where to run.
        title: What a progress bar says, on a terminal; None for no bar.
        thorough: Whether more than `Tally.metrics` will be asked for.
    """
    was_training = model.training
    model.to(device).eval()
    tally = task.tally(thorough=thorough)
    hidden = title is None or not sys.stderr.isatty()
    console = Console(stderr=True)
    batches = task.val_loader(inputs=model.spec.inputs)
    for batch in track(batches, f"  {title}", console=console, transient=True, disable=hidden):
        moved = batch.to(device)
        tally.add(model.predict(model(moved), moved), batch.frames)
    model.train(was_training)
    return tally

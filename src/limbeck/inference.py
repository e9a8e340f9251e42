"""Running a model over a data set."""

from __future__ import annotations

import sys
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from limbeck.core.model import Model
from limbeck.metrics.coco import CocoResult
from limbeck.tasks import Detection2DTask


@torch.no_grad()
def predict_all(
    model: Model[Any, Any, Any, Any],
    task: Detection2DTask,
    *,
    device: torch.device | str = "cpu",
    title: str | None = None,
) -> list[CocoResult]:
    """Return the model's results on the whole validation part.

    Args:
        model: Any model of the task; it is put into eval mode for the call.
        task: The data.
        device: Where to run.
        title: What a progress bar says, on a terminal; None for no bar.
    """
    was_training = model.training
    model.to(device).eval()
    results: list[CocoResult] = []
    hidden = title is None or not sys.stderr.isatty()
    console = Console(stderr=True)
    for batch in track(task.val_loader(), f"  {title}", console=console, transient=True, disable=hidden):
        moved = batch.to(device)
        results += task.results(model.predict(model(moved), moved), batch.frames)
    model.train(was_training)
    return results

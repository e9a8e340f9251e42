"""Running a model over a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from limbeck.core.model import Model
from limbeck.metrics.coco import CocoResult
from limbeck.tasks import Detection2DTask


@torch.no_grad()
def predict_all(
    model: Model[Any, Any, Any, Any],
    task: Detection2DTask,
    *,
    device: torch.device | str = "cpu",
    workers: int = 0,
    on_batch: Callable[[int], None] = lambda images: None,
) -> list[CocoResult]:
    """Return the model's results on the whole validation part.

    Args:
        model: Any model of the task; it is put into eval mode for the call.
        task: The data.
        device: Where to run.
        workers: Processes that load images.
        on_batch: Called with the number of images after every batch, for a progress bar.
    """
    was_training = model.training
    model.to(device).eval()
    results: list[CocoResult] = []
    for batch in task.val_loader(workers):
        moved = batch.to(device)
        results += task.results(model.predict(model(moved), moved), batch.frames)
        on_batch(len(batch))
    model.train(was_training)
    return results

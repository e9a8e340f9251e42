"""Which check of parity belongs to which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck.config import AnyExportConfig, ExportConfig
from limbeck.core.model import Model, Task
from limbeck.deploy.graphs import Detector2D
from limbeck.deploy.parity import ParityVerdict
from limbeck.deploy.parity_boxes import BoxVerdict, check_boxes
from limbeck.deploy.parity_clouds import check_clouds
from limbeck.deploy.parity_masks import check_masks
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import Detection2DTask


def check_parity(
    model: Model[Any, Any, Any, Any], folder: Path, task: AnyTask, limits: AnyExportConfig
) -> ParityVerdict:
    """Compare a bundle with the trained model on all validation images or clouds.

    Args:
        model: The trained model.
        folder: Its bundle.
        task: The data, of the model's task.
        limits: Those of the same task.

    Raises:
        BundleError: The bundle cannot be loaded.
        IncompatibleError: The model does not fit the data.
    """
    return _CHECKS[model.spec.task](model, folder, task, limits)


def _check_boxes(model: Detector2D, folder: Path, task: Detection2DTask, limits: ExportConfig) -> BoxVerdict:
    return check_boxes(model, folder, task.val_loader(), task.truth, limits)


_CHECKS: Mapping[Task, Callable[[Any, Path, Any, Any], ParityVerdict]] = {
    "detection2d": _check_boxes,
    "segmentation": check_masks,
    "detection3d": check_clouds,
}

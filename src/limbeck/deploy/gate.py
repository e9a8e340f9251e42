"""Which check of parity belongs to which task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.config import AnyExportConfig, ExportConfig, MaskExportConfig
from limbeck.core.model import Model
from limbeck.core.segmentation import Segmenter
from limbeck.deploy.parity import ParityVerdict
from limbeck.deploy.parity_boxes import check_boxes
from limbeck.deploy.parity_masks import check_masks
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.tasks.segmentation import SegmentationTask


def check_parity(
    model: Model[Any, Any, Any, Any], folder: Path, task: AnyTask, limits: AnyExportConfig
) -> ParityVerdict:
    """Compare a bundle with the trained model on all validation images of its task.

    Raises:
        BundleError: The bundle cannot be loaded.
        IncompatibleError: The model does not fit the data.
    """
    if isinstance(task, SegmentationTask):
        assert isinstance(model, Segmenter)
        assert isinstance(limits, MaskExportConfig)
        return check_masks(model, folder, task, limits)
    assert isinstance(task, Detection2DTask)
    assert isinstance(limits, ExportConfig)
    return check_boxes(model, folder, task.val_loader(), task.truth, limits)

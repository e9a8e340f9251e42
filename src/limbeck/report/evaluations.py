"""Reading what is known of one model, whatever its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from limbeck.core.model import Task
from limbeck.report.collect import Evaluation
from limbeck.report.detection.collect import read_evaluation as read_detection
from limbeck.report.detection3d.collect import read_evaluation as read_detection3d
from limbeck.report.segmentation.collect import read_evaluation as read_segmentation

_READERS: Mapping[Task, Callable[[Path], Evaluation]] = {
    "detection2d": read_detection,
    "detection3d": read_detection3d,
    "segmentation": read_segmentation,
}


def read_evaluation(task: Task, folder: Path) -> Evaluation:
    """Read what is known of the model in a folder.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    return _READERS[task](folder)

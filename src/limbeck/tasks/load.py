"""From the settings of a run to its task: the one place that knows which class serves which task."""

from __future__ import annotations

from limbeck.config import RunConfig
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.config import DataConfig
from limbeck.data.mask_config import MaskDataConfig
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.tasks.segmentation import SegmentationTask


def load_task(config: RunConfig, verify_pixels: bool = False) -> AnyTask:
    """Read and check the data of a run.

    Args:
        config: The run.
        verify_pixels: Decode every image and every cloud to find truncated files; else only the headers are read.

    Raises:
        DataError: All that is missing or broken.
    """
    if isinstance(config.data, CloudDataConfig):
        return Detection3DTask.load(config.data, verify_pixels)
    if isinstance(config.data, MaskDataConfig):
        return SegmentationTask.load(config.data, verify_pixels)
    assert isinstance(config.data, DataConfig)
    return Detection2DTask.load(config.data, verify_pixels)

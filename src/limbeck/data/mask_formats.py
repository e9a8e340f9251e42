"""The formats of data with masks: the one place that knows which module knows which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.data import cityscapes, kitti_masks, nyuv2, vkitti2
from limbeck.data.frames import FrameFiles, Layout
from limbeck.data.mask_config import CameraConfig, MaskDataConfig, MaskFormat, MaskPartConfig


def layout_of(config: MaskDataConfig) -> Layout:
    """Return how the files of the settings' format are called; where the data names the levels, none has a name yet."""
    if config.format == "kitti_road":
        return kitti_masks.road_layout(config.area)
    layouts: Mapping[MaskFormat, Layout] = {
        "folders": Layout(),
        "kitti_semantics": kitti_masks.SEMANTICS_LAYOUT,
        "cityscapes": cityscapes.LAYOUT,
        "vkitti2": vkitti2.LAYOUT,
        "nyuv2": nyuv2.LAYOUT,
    }
    return layouts[config.format]


def x_patterns(config: MaskDataConfig, layout: Layout) -> dict[str, str]:
    """Return the pattern of the maps of each modality; in one tree for all, depth is in the folder of that name."""
    return {name: layout.x.replace("{kind}", "depth" if x.holds == "depth" else name) for name, x in config.x.items()}


def with_levels(layout: Layout, config: MaskDataConfig, split: MaskPartConfig, frames: Sequence[FrameFiles]) -> Layout:
    """Return the layout with the names that the data itself gives the levels of its masks.

    Raises:
        DataError: The file that says them cannot be read.
    """
    if config.format != "vkitti2" or not frames:
        return layout
    folder = split.masks if split.cameras is None else split.cameras
    return replace(layout, levels=vkitti2.read_colours(folder, (frame.name for frame in frames)))


def read_camera(format: MaskFormat, cameras: Path, frame: str) -> CameraConfig:
    """Return the camera of a frame from the calibration files of a format that has them.

    Raises:
        DataError: The file cannot be read, or does not say the camera.
    """
    if format == "cityscapes":
        return cityscapes.read_camera(cameras, frame)
    if format == "vkitti2":
        return vkitti2.read_camera(cameras, frame)
    return kitti_masks.read_camera(cameras, frame)

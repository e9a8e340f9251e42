"""X maps: is a file one, and what was measured at each of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.map_files import MapHeader, read_map
from limbeck.data.mask_config import CameraConfig, XConfig
from limbeck.data.mask_records import MaskRecord
from limbeck.data.masks import map_changed
from limbeck.ops.inverse_depth import Intrinsics
from limbeck.ops.normals import normals_from_depth, normals_from_disparity, unit_or_forward
from limbeck.ops.normals_released import sne_normals

NO_NORMAL = (0.0, 0.0, -1.0)
"""The normal where none is known: it looks at the camera."""
MIN_LENGTH = 0.5
"""A vector shorter than this is no normal: 8-bit files write (127, 127, 127) or (128, 128, 128) where there is none."""


def map_problem(header: MapHeader, config: XConfig) -> str | None:
    """Return as the predicate of a sentence why a file cannot be a map of a modality, or None."""
    channels = 3 if config.holds == "normals" else 1
    if header.kind == "palette":
        return f"is a palette image, whose numbers are those of colours and not of {config.holds}"
    if header.channels != channels:
        return f"has {_counted(header.channels)}, but a map of {config.holds} has {_counted(channels)}"
    if header.kind == "1-bit":
        return f"has two levels only, which is no map of {config.holds}"
    return None


def _counted(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def read_x(record: MaskRecord, name: str, config: XConfig) -> tuple[Tensor, Tensor]:
    """Read an X map as the networks get it, at the size of the image.

    Args:
        record: The frame.
        name: Name of the modality.
        config: What its files hold.

    Returns:
        The values (C,H,W) float32, and (H,W) bool: where there is one. Elsewhere a value is 0, a normal `NO_NORMAL`.

    Raises:
        DataError: The file cannot be read, or is not the one that was checked.
    """
    levels = read_levels(record, name)
    if config.holds == "normals":
        return _unit_vectors(levels, config)
    values, valid = measure(levels, config)
    if config.gives == "normals":
        return _surface_normals(values, valid, config, record.cameras[name])
    return values[None], valid


def read_levels(record: MaskRecord, name: str) -> NDArray[Any]:
    """Return the numbers of an X map as they are stored, (H,W) or (H,W,3).

    Raises:
        DataError: The file cannot be read, or has not the size of the image.
    """
    levels = read_map(record.x[name])
    if levels.shape[1::-1] != record.size_wh:
        raise map_changed(record.x[name], levels.shape, record)
    return levels


def measure(levels: NDArray[Any], config: XConfig) -> tuple[Tensor, Tensor]:
    """Return what levels (H,W) stand for in metres, pixels of disparity or as they are, and where it was measured.

    Returns:
        (H,W) float32, 0 where nothing was measured, and (H,W) bool.
    """
    numbers = torch.from_numpy(levels.astype(np.float32))
    values = (numbers - config.offset).mul_(config.level_value)
    valid = _is_level(numbers, config)
    if levels.dtype.kind == "f":
        valid &= values.isfinite()
    if config.holds in ("depth", "disparity"):
        valid &= values > 0
    return values.where(valid, 0.0), valid


def _is_level(numbers: Tensor, config: XConfig) -> Tensor:
    """Return where none of the levels stands that mean "not measured"."""
    valid = torch.ones_like(numbers, dtype=torch.bool)
    for level in config.invalid:
        valid &= numbers != level
    return valid


def stored_vectors(levels: NDArray[Any], config: XConfig) -> tuple[Tensor, Tensor]:
    """Return the vectors of a map of normals as they are written, and where there is one.

    A whole number v of up to V stands for 2 v / V - 1, a float for itself.

    Returns:
        (3,H,W) float32, and (H,W) bool: False where all three channels hold the same level of ``invalid``, or one is
        not finite.
    """
    numbers = torch.from_numpy(np.ascontiguousarray(np.moveaxis(levels, -1, 0), dtype=np.float32))
    valid = numbers.isfinite().all(dim=0) & (_is_level(numbers, config).any(dim=0) | (numbers != numbers[0]).any(dim=0))
    if levels.dtype.kind in "ui":
        numbers = numbers * (2 / np.iinfo(levels.dtype).max) - 1
    return numbers, valid


def _unit_vectors(levels: NDArray[Any], config: XConfig) -> tuple[Tensor, Tensor]:
    vectors, valid = stored_vectors(levels, config)
    valid = valid & (vectors.square().sum(dim=0) >= MIN_LENGTH**2)
    return unit_or_forward(vectors, valid), valid


def _surface_normals(values: Tensor, valid: Tensor, config: XConfig, camera: CameraConfig) -> tuple[Tensor, Tensor]:
    intrinsics = Intrinsics(camera.fx, camera.fy, camera.cx, camera.cy)
    if config.normals == "sne":
        # The inverse of a disparity is depth but for a factor, on which normals do not depend.
        depth = values if config.holds == "depth" else values.reciprocal().where(valid, 0.0)
        return sne_normals(depth, intrinsics)
    if config.holds == "depth":
        return normals_from_depth(values, intrinsics)
    return normals_from_disparity(values, intrinsics)

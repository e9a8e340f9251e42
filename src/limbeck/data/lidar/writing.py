"""LiDAR scenes on disk, as a data set of point clouds with a json file of boxes each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.config import PartName
from limbeck.data.lidar.config import CLASSES, LidarSceneConfig
from limbeck.data.lidar.scenes import LidarScene, lidar_scene
from limbeck.data.scene_parts import LICENCE, write_scene_parts
from limbeck.files import write_json

COLUMNS = ("x", "y", "z", "intensity")
DIGITS = 4
"""Decimals of the boxes: tenths of a millimetre."""


def write_lidar_scenes(
    folder: Path, counts: Mapping[PartName, int], seed: int = 0, config: LidarSceneConfig | None = None
) -> dict[str, Any]:
    """Write scenes as clouds and boxes, with what they were made from.

    Each scene follows from the seed, its part and its place in it alone: with more scenes the first ones stay as they
    are, and ``lidar_scene((seed, part, place), config)`` gives one again.

    Args:
        folder: The folder to write; it must not exist or be empty.
        counts: How many scenes each part has.
        seed: Where the parts begin, 0 or more.
        config: What the scenes look like; None for the defaults.

    Returns:
        The settings of the section ``data`` that read them.

    Raises:
        DataError: The folder is not empty or cannot be written.
    """
    config = config or LidarSceneConfig()

    def write(work: Path, part: PartName, place: int, seeds: tuple[int, int, int]) -> None:
        _write_scene(lidar_scene(seeds, config), work / part, f"{place:05d}")

    write_scene_parts(folder, counts, seed, config, CLASSES, ("{part}/clouds", "{part}/labels"), write)
    return _settings(folder, counts)


def _write_scene(scene: LidarScene, folder: Path, name: str) -> None:
    np.save(folder / "clouds" / f"{name}.npy", scene.points)
    objects = zip(scene.boxes, scene.labels, scene.num_points, scene.velocities, strict=True)
    boxes = [
        {
            "class": CLASSES[label],
            "centre": _rounded(box[:3]),
            "size": _rounded(box[3:6]),
            "yaw": _rounded(box[6:])[0],
            "velocity": _rounded(velocity),
            "points": int(count),
        }
        for box, label, count, velocity in objects
    ]
    write_json(folder / "labels" / f"{name}.json", {"boxes": boxes})


def _rounded(values: np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), DIGITS) + 0.0 for value in values]  # + 0.0 makes 0 of -0


def _settings(folder: Path, counts: Mapping[PartName, int]) -> dict[str, Any]:
    parts: dict[str, Any] = {
        part: {kind: str(folder / part / kind) for kind in ("clouds", "labels")} for part in counts
    }
    return {
        "format": "boxes",
        **parts,
        "columns": list(COLUMNS),
        "classes": list(CLASSES),
        "licence": LICENCE,
    }

"""Street scenes on disk, as a data set with masks and a map of depth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limbeck.data.config import PartName
from limbeck.data.scene_parts import LICENCE, write_scene_parts
from limbeck.data.street.config import CLASSES, StreetConfig
from limbeck.data.street.scenes import StreetScene, render_scene

MILLIMETRES = 1000
COLOURS = np.array(
    [
        (110, 90, 125),
        (225, 120, 205),
        (120, 110, 100),
        (90, 150, 60),
        (40, 80, 180),
        (235, 210, 60),
        (215, 45, 60),
        (150, 195, 230),
        (255, 140, 0),
    ],
    dtype=np.uint8,
)
"""A colour for each class, for masks as they are shown."""


def write_street_scenes(
    folder: Path, counts: Mapping[PartName, int], seed: int = 0, config: StreetConfig | None = None
) -> dict[str, Any]:
    """Write scenes as images, masks and depth in millimetres, with the camera and what they were made from.

    Each scene follows from the seed, its part and its place in it alone: with more scenes the first ones stay as they
    are, and ``render_scene((seed, part, place), config)`` gives one again.

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
    config = config or StreetConfig()

    def write(work: Path, part: PartName, place: int, seeds: tuple[int, int, int]) -> None:
        _write_scene(render_scene(seeds, config), work, part, f"{place:04d}")

    folders = "images/{part}", "depth/{part}", "masks/{part}"
    beside = {"camera.json": config.camera.model_dump()}
    write_scene_parts(folder, counts, seed, config, CLASSES, folders, write, beside)
    return _settings(folder, counts, config)


def _write_scene(scene: StreetScene, folder: Path, part: str, name: str) -> None:
    images, maps, masks = (folder / kind / part for kind in ("images", "depth", "masks"))
    Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=95, subsampling=0)
    depth = np.round(scene.depth * MILLIMETRES).astype(np.uint16)
    Image.fromarray(depth).save(maps / f"{name}.png")
    mask = Image.fromarray(scene.labels).convert("P")
    mask.putpalette(COLOURS.tobytes())
    mask.save(masks / f"{name}.png")


def _settings(folder: Path, counts: Mapping[PartName, int], config: StreetConfig) -> dict[str, Any]:
    parts: dict[str, Any] = {
        part: {
            "images": str(folder / "images" / part),
            "masks": str(folder / "masks" / part),
            "x": {"depth": str(folder / "depth" / part)},
        }
        for part in counts
    }
    camera = config.camera.model_dump()
    return {
        "format": "folders",
        **parts,
        "classes": list(CLASSES),
        "size": [config.width, config.height],
        "x": {"depth": {"holds": "depth", "unit": "mm", "gives": "normals", "camera": camera}},
        "licence": LICENCE,
    }

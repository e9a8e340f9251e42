"""Street scenes on disk, as a data set with masks and a map of depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limbeck.data.config import PartName
from limbeck.data.street.config import CLASSES, StreetConfig
from limbeck.data.street.scenes import StreetScene, render_scene
from limbeck.errors import DataError
from limbeck.files import new_folder, write_json
from limbeck.version import VERSION

PART_NUMBERS: Mapping[PartName, int] = {"train": 0, "val": 1, "test": 2}
"""The second of the three numbers that a scene is made from; the others are the seed and its place in the part."""
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
    try:
        with new_folder(folder) as work:
            for part, count in counts.items():
                for kind in ("images", "depth", "masks"):
                    (work / kind / part).mkdir(parents=True)
                for place in range(count):
                    _write_scene(render_scene((seed, PART_NUMBERS[part], place), config), work, part, f"{place:04d}")
            write_json(work / "camera.json", config.camera.model_dump())
            made_from = {"version": VERSION, "seed": seed, "scenes": dict(counts), "config": asdict(config)}
            write_json(work / "scenes.json", {**made_from, "part_numbers": PART_NUMBERS, "classes": CLASSES})
    except OSError as error:
        problem = f"{error.filename or folder}: {(error.strerror or str(error)).lower()}"
        raise DataError("The street scenes cannot be written:", [problem]) from error
    return _settings(folder, counts, config)


def _write_scene(scene: StreetScene, folder: Path, part: str, name: str) -> None:
    Image.fromarray(scene.image).save(folder / "images" / part / f"{name}.jpg", quality=95, subsampling=0)
    depth = np.round(scene.depth * MILLIMETRES).astype(np.uint16)
    Image.fromarray(depth).save(folder / "depth" / part / f"{name}.png")
    mask = Image.fromarray(scene.labels).convert("P")
    mask.putpalette(COLOURS.tobytes())
    mask.save(folder / "masks" / part / f"{name}.png")


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
        "licence": "free to use: made by limbeck",
    }

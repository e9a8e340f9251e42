"""A sheet of street scenes: the image, its depth and its classes, side by side.

python examples/street_sheet.py sheet.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from limbeck.data.street.config import StreetConfig
from limbeck.data.street.scenes import StreetScene, render_scene
from limbeck.data.street.writing import COLOURS

BY_DAY, AT_NIGHT, IN_FOG = ({"night": night, "fog": fog} for night, fog in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
SHOWN = ((7, BY_DAY), (23, BY_DAY), (32, BY_DAY), (33, AT_NIGHT), (31, IN_FOG))
NEAREST_M = 3.0


def row(scene: StreetScene) -> np.ndarray:
    """Put the image, the depth (near is bright, black is not measured) and the classes of a scene beside each other."""
    nearness = np.divide(NEAREST_M, scene.depth, out=np.zeros_like(scene.depth), where=scene.depth > 0)
    grey = (255 * np.sqrt(nearness.clip(0, 1))).astype(np.uint8)
    return np.hstack([scene.image, np.stack([grey] * 3, axis=-1), COLOURS[scene.labels]])


def main(to: Path, width: int = 320, height: int = 192) -> None:
    """Write the sheet."""
    scenes = [render_scene(seed, StreetConfig(width, height, **weather)) for seed, weather in SHOWN]
    Image.fromarray(np.vstack([row(scene) for scene in scenes])).save(to, quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

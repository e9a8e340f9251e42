"""A sheet of LiDAR scenes from above: points, bright where they are high, and the boxes with their headings.

python examples/lidar_sheet.py sheet.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from limbeck import rectangles
from limbeck.data.lidar.config import RoadUser
from limbeck.data.lidar.scenes import LidarScene, lidar_scene

SEEDS = (0, 5, 11, 20, 21, 25)
COLUMNS = 3
REACH_M = 32.0
HEIGHTS_M = (-1.4, -0.8, -0.2, 0.4)
GREYS = np.array((85, 125, 165, 205, 245), np.uint8)
"""Of the points below the first of the heights, between each and the next, and above the last."""
BACKGROUND, FRAME = (16, 16, 16), (60, 60, 60)
COLOURS = {RoadUser.CAR: (255, 150, 40), RoadUser.PEDESTRIAN: (90, 220, 90), RoadUser.CYCLIST: (80, 180, 255)}
NOT_MET = (170, 50, 50)


def panel(scene: LidarScene, side: int) -> Image.Image:
    """Draw what is around the LiDAR; ahead is up."""
    image = Image.new("RGB", (side, side), BACKGROUND)
    draw = ImageDraw.Draw(image)
    places, greys = pixels(scene.points, side), GREYS[np.digitize(scene.points[:, 2], HEIGHTS_M)]
    for grey in GREYS:
        draw.point(places[greys == grey].ravel().tolist(), fill=(grey, grey, grey))
    corners = pixels(rectangles.corners(np, scene.boxes[:, [0, 1, 3, 4, 6]]), side)
    for outline, label, count in zip(corners, scene.labels, scene.num_points, strict=True):
        colour = COLOURS[RoadUser(label)] if count else NOT_MET
        draw.polygon(outline.ravel().tolist(), outline=colour)
        nose = (outline[0] + outline[3]) / 2
        draw.line([*outline.mean(axis=0), *nose], fill=colour)
    draw.rectangle((0, 0, side - 1, side - 1), outline=FRAME)
    return image


def pixels(points: np.ndarray, side: int) -> np.ndarray:
    """Return column and row (...,2) of points (...,2 or more) whose x and y are given in metres."""
    return side / 2 - side / (2 * REACH_M) * points[..., [1, 0]]


def main(to: Path, side: int = 400) -> None:
    """Write the sheet."""
    sheet = Image.new("RGB", (COLUMNS * side, len(SEEDS) // COLUMNS * side))
    for place, seed in enumerate(SEEDS):
        sheet.paste(panel(lidar_scene(seed), side), (place % COLUMNS * side, place // COLUMNS * side))
    sheet.quantize(16).save(to, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

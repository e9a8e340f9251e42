"""Point clouds with boxes as seen from above: ahead (x) is up, and what is on the left (y) is on the left.

Only numpy and pillow are used, because ``limbeck predict`` draws on devices without torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limbeck import rectangles

BACKGROUND, GREYS = 16, (62, 235)
"""Grey levels where there is no point, of the lowest points, and of the highest."""
RING_COLOUR, RING_INK, LIDAR_COLOUR = "#424242", "#929292", "#FFFFFF"
FLOOR, HEIGHT_M = 5, 3.0
"""Percentile of the heights that is taken for the ground, and how far above it a point is brightest, in metres."""
POINT_PIXELS = 2
RING_M, WIDE_RING_M, WIDE_M = 10.0, 50.0, 200.0
"""Metres from ring to ring, and the same where a view is wider than the third."""
GRID_M, MARGIN_M, LEAST_M = 5.0, 2.0, 30.0
"""A view is at least the second beside all boxes, ends at a multiple of the first, and is at least the third wide."""
MOST_ASPECT = 1.6
"""How many times as long as wide a view may be where nothing else is said."""
LEAST_PIXELS = 7.0
"""A box whose length or width is shorter is drawn with this length, so that it can be seen."""
NOSE_PIXELS = 6.0
"""How far the line of the heading reaches beyond the front of a box."""
FILL_ALPHA = "90"
"""How much a filled box hides of the points in it, from 00 to ff."""
FINER = 2
"""Lines are drawn on a canvas so many times as fine and then averaged."""
_FONT = ImageFont.load_default(size=12)


@dataclass(frozen=True, slots=True)
class View:
    """The part of the ground that a picture shows.

    Attributes:
        x: Metres ahead of the LiDAR, at the lower and at the upper edge.
        y: Metres to the left of the LiDAR, at the right and at the left edge.
        scale: Pixels per metre.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    scale: float

    @classmethod
    def around(cls, boxes: NDArray[np.floating[Any]], side: int, most_aspect: float = MOST_ASPECT) -> View:
        """Return a view of boxes and of the LiDAR.

        Args:
            boxes: (M,7), see `Outlines`.
            side: Pixels of the longer side of the view.
            most_aspect: How many times as long as wide it may be.
        """
        seen = np.concatenate([rectangles.corners(np, boxes[:, rectangles.BEV]).reshape(-1, 2), np.zeros((1, 2))])
        low = np.floor((seen.min(axis=0) - MARGIN_M) / GRID_M) * GRID_M
        high = np.ceil((seen.max(axis=0) + MARGIN_M) / GRID_M) * GRID_M
        needed = max(LEAST_M, (high - low).max() / most_aspect)
        missing = np.maximum(needed - (high - low), 0) / 2
        (back, right), (ahead, left) = (low - missing).tolist(), (high + missing).tolist()
        return cls((back, ahead), (right, left), side / max(ahead - back, left - right))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return round((self.y[1] - self.y[0]) * self.scale), round((self.x[1] - self.x[0]) * self.scale)

    def pixels(self, places: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return column and row (...,2) of places (...,2 or more), whose x and y come first."""
        corner = np.array([self.y[1], self.x[1]])
        return np.asarray((corner - places[..., [1, 0]]) * self.scale, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Boxes that are drawn alike, each with a line from its centre to beyond its front.

    Attributes:
        boxes: (M,7) x, y, z of the centre, length, width, height in metres, and the yaw in radians.
        colour: As ``#rrggbb``.
        width: Width of the lines in pixels.
        filled: Whether the boxes are filled; the points in them stay visible.
    """

    boxes: NDArray[np.floating[Any]]
    colour: str
    width: float = 1.5
    filled: bool = False


def draw(points: NDArray[np.floating[Any]], view: View, layers: Sequence[Outlines]) -> Image.Image:
    """Draw a cloud, rings around the LiDAR, and boxes.

    Args:
        points: (P,3 or more) x, y, z in metres first.
        view: What is shown.
        layers: The boxes, those first that may be covered.

    Returns:
        An RGB image of the size of the view.
    """
    ground = Image.fromarray(_shades(points, view))
    canvas = ground.resize([FINER * side for side in ground.size], Image.Resampling.NEAREST).convert("RGB")
    pen = ImageDraw.Draw(canvas, "RGBA")  # lays colours that let something through over those of an RGB image
    _draw_rings(pen, view)
    for layer in layers:
        _draw_boxes(pen, view, layer)
    picture = canvas.reduce(FINER)
    pen = ImageDraw.Draw(picture)
    for place, text in _ring_labels(view):
        pen.text(place, text, fill=RING_INK, font=_FONT, anchor="mm")
    return picture


def _shades(points: NDArray[np.floating[Any]], view: View) -> NDArray[np.uint8]:
    """Return the grey level of every pixel, (H,W): that of the highest point on it."""
    width, height = view.size_wh
    shades = np.full((height, width), BACKGROUND, np.uint8)
    if not len(points):
        return shades
    above = points[:, 2] - np.percentile(points[:, 2], FLOOR)
    levels = (GREYS[0] + (GREYS[1] - GREYS[0]) * (above / HEIGHT_M).clip(0, 1)).astype(np.uint8)
    corners = np.floor(view.pixels(points)).astype(np.int64)
    for offset in itertools.product(range(POINT_PIXELS), repeat=2):
        columns, rows = (corners + offset).T
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        np.maximum.at(shades, (rows[inside], columns[inside]), levels[inside])
    return shades


def _radii(view: View) -> list[float]:
    """Return the radii of the rings in metres."""
    widest = max(view.x[1] - view.x[0], view.y[1] - view.y[0])
    step = RING_M if widest <= WIDE_M else WIDE_RING_M
    farthest = np.hypot(max(map(abs, view.x)), max(map(abs, view.y)))
    found: list[float] = np.arange(step, farthest, step).tolist()
    return found


def _draw_rings(pen: ImageDraw.ImageDraw, view: View) -> None:
    """Draw the rings, and the LiDAR as an arrow."""
    column, row = (FINER * view.pixels(np.zeros(2))).tolist()
    for radius in _radii(view):
        reach = FINER * view.scale * radius
        pen.ellipse((column - reach, row - reach, column + reach, row + reach), outline=RING_COLOUR, width=FINER)
    size = 6 * FINER
    tail = row + size / 2
    pen.polygon([(column, row - size), (column - size / 2, tail), (column + size / 2, tail)], LIDAR_COLOUR)


def _ring_labels(view: View) -> Iterator[tuple[tuple[float, float], str]]:
    """Yield where rings are labelled and how: ahead on the left, or else at the next corner that is in the picture."""
    width, height = view.size_wh
    for radius in _radii(view):
        for ahead, left in ((1, 1), (1, -1), (-1, -1), (-1, 1)):
            column, row = view.pixels(radius * np.sqrt(0.5) * np.array([ahead, left])).tolist()
            if 16 <= column <= width - 16 and 8 <= row <= height - 8:
                yield (column, row), f"{radius:g} m"
                break


def _draw_boxes(pen: ImageDraw.ImageDraw, view: View, layer: Outlines) -> None:
    shapes = np.array(layer.boxes[:, rectangles.BEV], np.float64)
    shapes[:, 2:4] = np.maximum(shapes[:, 2:4], LEAST_PIXELS / view.scale)
    headings = np.stack([np.cos(shapes[:, 4]), np.sin(shapes[:, 4])], axis=1)
    noses = shapes[:, :2] + (shapes[:, 2:3] / 2 + NOSE_PIXELS / view.scale) * headings
    outlines = FINER * view.pixels(rectangles.corners(np, shapes))
    lines = FINER * view.pixels(np.stack([shapes[:, :2], noses], axis=1))
    width = round(FINER * layer.width)
    for outline, line in zip(outlines, lines, strict=True):
        if layer.filled:
            pen.polygon(outline.ravel().tolist(), fill=layer.colour + FILL_ALPHA)
        pen.line([*outline.ravel().tolist(), *outline[:2].ravel().tolist()], layer.colour, width, joint="curve")
        pen.line(line.ravel().tolist(), layer.colour, width)

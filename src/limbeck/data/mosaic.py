"""Mosaic: four images on one canvas, so that a batch shows more objects, smaller and in more surroundings.

The idea is that of YOLOv4 (arXiv 2004.10934). Here a tile is a view of its image on a canvas of its own, so that boxes,
crop, colour and flip follow the rules that hold for a single image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from limbeck.data.augment import View, draw_colour, draw_position, view_of
from limbeck.data.config import AugmentConfig
from limbeck.data.records import BoxRecord
from limbeck.imaging import Fit, ResizeMode

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the canvas."""
CENTRE = (0.3, 0.7)
"""Where the four tiles meet, as a share of width and height."""
ZOOM = (0.5, 1.0)
"""Size of an image in a tile against its size when it is alone on the canvas."""


def draw_mosaic(
    records: Sequence[BoxRecord],
    index: int,
    canvas_wh: tuple[int, int],
    resize: ResizeMode,
    config: AugmentConfig,
    generator: np.random.Generator,
) -> View:
    """Draw a mosaic of an image and three others, which are drawn evenly from all.

    Args:
        records: The images.
        index: The image in the upper left tile.
        canvas_wh: Width and height of the canvas.
        resize: How an image lies on the canvas when it is alone.
        config: Flip and colours, drawn for every tile anew. The zoom is drawn from `ZOOM`.
        generator: Where all random numbers come from.

    Raises:
        DataError: An image cannot be read, or is not the one that was checked.
    """
    chosen = [index, *generator.integers(len(records), size=3).tolist()]
    tiles = draw_tiles(canvas_wh, generator)
    views = [
        _draw_tile(records[number], tile, canvas_wh, resize, config, generator)
        for number, tile in zip(chosen, tiles, strict=True)
    ]
    return join(views, tiles, canvas_wh)


def draw_tiles(canvas_wh: tuple[int, int], generator: np.random.Generator) -> list[Rectangle]:
    """Draw where the tiles meet; returns them row by row."""
    width, height = canvas_wh
    x, y = (round(side * generator.uniform(*CENTRE)) for side in canvas_wh)
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _draw_tile(
    record: BoxRecord,
    tile: Rectangle,
    canvas_wh: tuple[int, int],
    resize: ResizeMode,
    config: AugmentConfig,
    generator: np.random.Generator,
) -> View:
    flip = bool(generator.random() < config.flip)
    zoom = math.exp(generator.uniform(math.log(ZOOM[0]), math.log(ZOOM[1])))
    alone = Fit.of(record.size_wh, canvas_wh, resize)
    placement = draw_position(alone, zoom, (tile[2] - tile[0], tile[3] - tile[1]), flip, generator)
    return view_of(record, placement, draw_colour(config, generator))


def join(views: Sequence[View], tiles: Sequence[Rectangle], canvas_wh: tuple[int, int]) -> View:
    """Put views side by side on one canvas, each into its tile."""
    pixels = torch.empty((3, canvas_wh[1], canvas_wh[0]), dtype=torch.uint8)
    for view, (left, top, right, bottom) in zip(views, tiles, strict=True):
        pixels[:, top:bottom, left:right] = view.pixels
    boxes = [view.boxes_xyxy + np.array(tile[:2] * 2, np.float32) for view, tile in zip(views, tiles, strict=True)]
    labels, ignore = [view.labels for view in views], [view.ignore for view in views]
    return View(pixels, np.concatenate(boxes), np.concatenate(labels), np.concatenate(ignore))

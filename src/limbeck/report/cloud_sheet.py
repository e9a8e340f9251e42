"""A sheet of sample clouds from above with their boxes, to be looked at before a training: is this what was meant?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_ignore import ignored_objects
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_records import CloudData, CloudRecord
from limbeck.data.config import PARTS, PartName
from limbeck.palette import NO_CLASS, class_colours
from limbeck.report.birds_eye import Outlines, View, draw
from limbeck.report.formats import counted
from limbeck.report.sheet import shown_samples
from limbeck.report.sheet_layout import grid, heading, legend, stack

TILES = 9
"""Clouds shown of each part, unless it takes more to show every class."""
TILE_WH = (520, 520)


def draw_cloud_sheet(parts: Mapping[PartName, CloudData], config: CloudDataConfig) -> Image.Image:
    """Draw clouds of every part from above with their boxes.

    Args:
        parts: What is to be shown; all have the same classes.
        config: Says which objects are ignored.

    Raises:
        DataError: A cloud cannot be read.
    """
    strips: list[Image.Image] = []
    for part, data in parts.items():
        if not strips:
            colours = zip(data.classes, class_colours(len(data.classes)), strict=True)
            strips.append(legend([*colours, ("ignored", NO_CLASS)]))
        rows = shown_samples(data.records, TILES)
        strips.append(heading(f"{PARTS[part].capitalize()}: {len(rows)} of {len(data.records)} clouds; ahead is up"))
        strips += grid((_tile(data.records[row], data, config) for row in rows), TILE_WH)
    return stack(strips)


def _tile(record: CloudRecord, data: CloudData, config: CloudDataConfig) -> tuple[Image.Image, str]:
    ignored = ignored_objects(record, data.classes, config.max_range, config.min_points)
    layers = [Outlines(record.boxes[ignored], NO_CLASS)]
    for label, colour in enumerate(class_colours(len(data.classes))):
        layers.append(Outlines(record.boxes[(record.labels == label) & ~ignored], colour))
    picture = draw(read_points(record, data), View.around(record.boxes, max(TILE_WH), most_aspect=1), layers)
    caption = f"{record.id}  ({counted(int((~ignored).sum()), 'object')}"
    return picture, caption + (f", {ignored.sum()} ignored)" if np.any(ignored) else ")")

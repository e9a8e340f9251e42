"""A sheet of sample images with their classes and X maps, to be looked at before a training: is this what was meant?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.config import PARTS, PartName
from limbeck.data.mask_config import XConfig
from limbeck.data.mask_records import MaskData, MaskRecord
from limbeck.data.masks import read_labels
from limbeck.data.x_maps import read_x
from limbeck.imaging import read_image
from limbeck.palette import NO_CLASS, class_colours, overlay
from limbeck.report.sheet_layout import grid, heading, legend, stack

IMAGES = 4
"""Images shown of each part."""
TILE_WH = (385, 260)
COLOURS = "viridis"
"""Matplotlib's map from the values of a modality to colours."""
EDGES = (2, 98)
"""Percentiles of the values of a map that get the first and the last colour."""


def draw_mask_sheet(parts: Mapping[PartName, MaskData]) -> Image.Image:
    """Draw images of every part: as they are, with their classes over them, and every X map in colours.

    Args:
        parts: What is to be shown; all have the same classes.

    Raises:
        DataError: A file cannot be read.
    """
    strips: list[Image.Image] = []
    for part, data in parts.items():
        if not strips:
            colours = zip(data.classes, class_colours(len(data.classes)), strict=True)
            strips.append(legend([*colours, ("ignored, or not measured", NO_CLASS)]))
        rows = np.linspace(0, len(data.records) - 1, min(IMAGES, len(data.records))).round().astype(int).tolist()
        strips.append(heading(f"{PARTS[part].capitalize()}: {len(rows)} of {len(data.records)} images"))
        for row in rows:
            strips += grid(_tiles(data.records[row], data), TILE_WH)
    return stack(strips)


def _tiles(record: MaskRecord, data: MaskData) -> Iterator[tuple[Image.Image, str]]:
    image = np.asarray(read_image(record.path))
    labels = read_labels(record, data.code)
    shown = [name for label, name in enumerate(data.classes) if (labels == label).any()]
    ignored = ["ignored"] if (labels == IGNORED_LABEL).any() else []
    yield _fitted(image), record.id
    yield _fitted(overlay(image, labels, len(data.classes))), ", ".join([*shown, *ignored])
    for name, config in data.x.items():
        values, valid = (found.numpy() for found in read_x(record, name, config))
        yield _fitted(_coloured(values, valid, config)), _caption(name, values, valid, config)


def _coloured(values: NDArray[np.float32], valid: NDArray[np.bool_], config: XConfig) -> NDArray[np.uint8]:
    """Return the colours (H,W,3) of a map (C,H,W): normals as (n + 1) / 2, other values from low to high."""
    if config.is_normals:
        pixels = (values.transpose(1, 2, 0) + 1) / 2
    else:
        low, high = np.percentile(values[0][valid], EDGES) if valid.any() else (0.0, 1.0)
        pixels = colormaps[COLOURS]((values[0] - low) / max(high - low, 1e-12))[..., :3]
    colours = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    colours[~valid] = [int(NO_CLASS[at : at + 2], 16) for at in (1, 3, 5)]
    return colours


def _caption(name: str, values: NDArray[np.float32], valid: NDArray[np.bool_], config: XConfig) -> str:
    if config.is_normals or not valid.any():
        return f"{name}: {valid.mean():.0%} measured"
    low, middle, high = np.percentile(values[0][valid], (EDGES[0], 50, EDGES[1]))
    return f"{name}: {low:.4g} to {high:.4g}, median {middle:.4g}; {valid.mean():.0%} measured"


def _fitted(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(pixels)
    scale = min(TILE_WH[0] / image.width, TILE_WH[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.NEAREST)

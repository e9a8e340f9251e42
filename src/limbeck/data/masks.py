"""Masks: is a file one, and which label has each of its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.checks import TITLE
from limbeck.data.map_files import MapHeader, read_map, unreadable
from limbeck.data.mask_records import UNKNOWN_LABEL, MaskCode, MaskRecord
from limbeck.errors import DataError
from limbeck.imaging import IMAGE_ERRORS

_LEVEL_KINDS = ("1-bit", "8-bit", "16-bit", "32-bit", "palette")
_SHOWN_LEVELS = 5


def mask_problem(header: MapHeader, code: MaskCode) -> str | None:
    """Return as the predicate of a sentence why a file cannot be a mask, or None."""
    if code.in_colour:
        if header.channels == 3 or header.kind in ("RGBA", "palette"):
            return None
        return "is no colour image, but the masks of this format are in colour"
    if header.channels != 1:
        return f"has {header.channels} channels, but a mask has one level for every pixel"
    if header.kind not in _LEVEL_KINDS:
        return f"holds {header.kind} numbers, but a mask has whole numbers of 8 or 16 bits"
    return None


def read_labels(record: MaskRecord, code: MaskCode) -> NDArray[np.uint8]:
    """Return the label of every pixel of the image, (H,W), `limbeck.core.samples.IGNORED_LABEL` where none counts.

    Raises:
        DataError: The mask cannot be read, is not the one that was checked, or has a level that stands for nothing.
    """
    return to_labels(read_mask(record, code), code, record.mask)


def read_mask(record: MaskRecord, code: MaskCode) -> NDArray[Any]:
    """Return what a mask holds: levels (H,W), or colours (H,W,3) uint8.

    Raises:
        DataError: The mask cannot be read, or is not the one that was checked.
    """
    pixels = _read_colours(record.mask) if code.in_colour else read_map(record.mask)
    if pixels.shape[1::-1] != record.size_wh:
        raise map_changed(record.mask, pixels.shape, record)
    return pixels


def _read_colours(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except IMAGE_ERRORS as error:
        raise unreadable(path, error) from error


def map_changed(path: Path, shape: Sequence[int], record: MaskRecord) -> DataError:
    """Return the error for a mask or an X map that is no longer the one that was checked."""
    sizes = f"it has {(shape[1], shape[0])} pixels instead of {record.size_wh}"
    return DataError("A map changed after it was checked:", [f"{path}: {sizes}"])


def to_labels(pixels: NDArray[Any], code: MaskCode, path: Path) -> NDArray[np.uint8]:
    """Return the labels of levels (H,W) or colours (H,W,3), (H,W).

    Args:
        pixels: What a mask holds, whole or in part.
        code: What its levels stand for.
        path: The mask, for the sentence.

    Raises:
        DataError: A level stands for nothing.
    """
    if code.in_colour:
        red, green, blue = np.moveaxis(pixels, -1, 0).astype(np.int32)
        levels = red << 16 | green << 8 | blue
    else:
        levels = pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels
    if levels.dtype.itemsize > 2 and ((levels < 0) | (levels >= len(code.labels))).any():
        raise DataError(TITLE, [f"{path}: has levels from {levels.min()} to {levels.max()}; levels have 16 bits"])
    labels: NDArray[np.uint8] = code.labels[levels]
    if (labels == UNKNOWN_LABEL).any():
        raise DataError(TITLE, [_unknown_levels(levels[labels == UNKNOWN_LABEL], code, path)])
    return labels


def _unknown_levels(levels: NDArray[Any], code: MaskCode, path: Path) -> str:
    found = [_level_text(level, code) for level in np.unique(levels).tolist()]
    shown = ", ".join(found[:_SHOWN_LEVELS]) + (", ..." if len(found) > _SHOWN_LEVELS else "")
    they = f"the level {shown}, which stands" if len(found) == 1 else f"the levels {shown}, which stand"
    return f"{path}: has {they} for no class; name it in data.class_map or data.ignore"


def _level_text(level: int, code: MaskCode) -> str:
    number = str((level >> 16, level >> 8 & 255, level & 255)) if code.in_colour else str(level)
    return f"{number} ('{code.names[level]}')" if level in code.names else number


def count_pixels(records: Sequence[MaskRecord], code: MaskCode, num_classes: int) -> NDArray[np.int64]:
    """Return how many pixels of each class every mask has, and in the last column how many are ignored, (I,K+1).

    Raises:
        DataError: A mask cannot be read, or has a level that stands for nothing.
    """
    counts = np.empty((len(records), num_classes + 1), dtype=np.int64)
    for row, record in enumerate(records):
        found = np.bincount(read_labels(record, code).ravel(), minlength=IGNORED_LABEL + 1)
        counts[row] = [*found[:num_classes], found[IGNORED_LABEL]]
    return counts

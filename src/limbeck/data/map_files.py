"""Files with a number or a few for every pixel: masks and X maps, read without changing a level."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.data.checks import TITLE
from limbeck.errors import DataError
from limbeck.imaging import IMAGE_ERRORS, unreadable_reason

_KINDS = {"1": "1-bit", "L": "8-bit", "RGB": "8-bit", "I": "32-bit", "F": "float", "P": "palette"}


class MapHeader(NamedTuple):
    """What a file holds: width and height in pixels as they are stored, channels, and the kind of its numbers.

    ``kind`` is 1-bit, 8-bit, 16-bit, 32-bit, float or palette; for other images it is pillow's name of their mode.
    """

    size_wh: tuple[int, int]
    channels: int
    kind: str


def read_map_header(path: Path) -> MapHeader:
    """Return what a file holds without decoding it.

    Raises:
        DataError: It cannot be read, or holds no numbers for the pixels of a picture.
    """
    try:
        if path.suffix.lower() == ".npy":
            return _array_header(np.load(path, mmap_mode="r", allow_pickle=False), path)
        with Image.open(path) as image:
            kind = "16-bit" if image.mode.startswith("I;16") else _KINDS.get(image.mode, image.mode)
            return MapHeader(image.size, len(image.getbands()), kind)
    except IMAGE_ERRORS as error:
        raise unreadable(path, error) from error


def _array_header(array: NDArray[Any], path: Path) -> MapHeader:
    if array.ndim not in (2, 3):
        what = "a map has height and width, or height, width and channels"
        raise DataError(TITLE, [f"{path}: has the shape {array.shape}; {what}"])
    if array.dtype.kind not in "uif":
        raise DataError(TITLE, [f"{path}: holds {array.dtype}, which are no numbers of a map"])
    kind = "float" if array.dtype.kind == "f" else f"{8 * array.dtype.itemsize}-bit"
    return MapHeader((array.shape[1], array.shape[0]), array.shape[2] if array.ndim == 3 else 1, kind)


def read_map(path: Path) -> NDArray[Any]:
    """Return the numbers as they are stored, (H,W) or (H,W,C); those of a palette image are its indices.

    Raises:
        DataError: It cannot be read.
    """
    try:
        if path.suffix.lower() == ".npy":
            array: NDArray[Any] = np.load(path, allow_pickle=False)
            return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        with Image.open(path) as image:
            return np.array(image)
    except IMAGE_ERRORS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error for a file that cannot be decoded."""
    return DataError(TITLE, [f"{path}: {unreadable_reason(error)}"])

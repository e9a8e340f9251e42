"""What a reader of masks returns: for each frame where image, mask and X maps are, with nothing decoded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.mask_config import CameraConfig, XConfig


@dataclass(frozen=True, slots=True)
class MaskRecord:
    """An image with a class for every pixel.

    Attributes:
        id: The image's file name relative to the folder of images, with ``/`` between the parts.
        path: The image file.
        size_wh: Width and height in pixels, upright (after the file's EXIF rotation); mask and X maps have the same.
        mask: The mask file.
        x: The file of each X modality, by name.
        cameras: The camera of each modality that gives normals, by name.
    """

    id: str
    path: Path
    size_wh: tuple[int, int]
    mask: Path
    x: Mapping[str, Path] = field(default_factory=dict)
    cameras: Mapping[str, CameraConfig] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class MaskCode:
    """What the levels of mask files stand for.

    Attributes:
        labels: (L,) uint8: the label of every level, `limbeck.core.samples.IGNORED_LABEL` for a level that does not
            count and `UNKNOWN_LABEL` for one that stands for nothing.
        in_colour: Whether the level of a pixel is 65536 red + 256 green + blue; else it is that of the only channel.
        names: Names that the format has for levels, for sentences.
    """

    labels: NDArray[np.uint8]
    in_colour: bool = False
    names: Mapping[int, str] = field(default_factory=dict)


UNKNOWN_LABEL = 254
"""Label, within `MaskCode` only, of a level that stands for nothing: a mask that has it is refused."""


@dataclass(frozen=True, slots=True)
class MaskData:
    """One part of a data set that was read and found sound.

    Attributes:
        records: One per image, in the order of the data set.
        classes: Class names; a label is an index into them.
        skipped: One sentence for each image that was left out.
        code: What the levels of its masks stand for.
        x: What its X maps hold, by name.
    """

    records: tuple[MaskRecord, ...]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    code: MaskCode
    x: Mapping[str, XConfig] = field(default_factory=dict)

"""What a reader of masks returns: for each frame where image, mask and X maps are, with nothing decoded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limbeck.data.mask_config import CameraConfig


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


@dataclass(frozen=True, slots=True)
class MaskData:
    """One part of a data set that was read and found sound.

    Attributes:
        records: One per image, in the order of the data set.
        classes: Class names; a label is an index into them.
        skipped: One sentence for each image that was left out.
    """

    records: tuple[MaskRecord, ...]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]

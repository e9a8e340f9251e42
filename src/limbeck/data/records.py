"""What a reader returns: for each image where it is and what is labelled on it, with nothing decoded yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageRecord(Protocol):
    """What the records of all tasks say of their image."""

    @property
    def id(self) -> int | str:
        """Identifier in the data set."""

    @property
    def path(self) -> Path:
        """The image file."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels, upright (after the file's EXIF rotation)."""


@dataclass(frozen=True, slots=True, eq=False)
class BoxRecord:
    """An image with labelled boxes.

    Attributes:
        id: Identifier in the data set: the COCO image id, or the file name in the formats that have no ids.
        path: The image file.
        size_wh: Width and height in pixels, upright (after the file's EXIF rotation).
        boxes_xyxy: (M,4) in pixels of the image, inside it.
        labels: (M,) index into the class list.
        ignore: (M,) True for regions that are neither object nor background.
        mask_areas: (M,) of the objects' masks in square pixels, NaN where there is no mask; None for no masks at all.
    """

    id: int | str
    path: Path
    size_wh: tuple[int, int]
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    mask_areas: NDArray[np.float64] | None = None

    @property
    def areas(self) -> NDArray[np.float64]:
        """(M,) in square pixels, of the mask, else of the box: by these the COCO metrics tell small from large."""
        left, top, right, bottom = self.boxes_xyxy.T.astype(np.float64)
        areas = (right - left) * (bottom - top)
        return areas if self.mask_areas is None else np.where(np.isnan(self.mask_areas), areas, self.mask_areas)


@dataclass(frozen=True, slots=True)
class BoxData:
    """One part of a data set that was read and found sound.

    Attributes:
        records: One per image, in the order of the data set; images without boxes are kept.
        classes: Class names; a label is an index into them.
        category_ids: The COCO category id of each class: the file's own, or 1 to K in the formats that have none.
        skipped: One sentence for each image, annotation or class that was left out.
    """

    records: tuple[BoxRecord, ...]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    skipped: tuple[str, ...]

"""What a reader has understood of its files, and the checks that come after: the same for every format."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from limbeck.data.checks import TITLE, check_images, data_error
from limbeck.data.config import OnBroken
from limbeck.data.records import BoxData, BoxRecord
from limbeck.errors import BrokenEntryError, DataError, nearest

Key = int | str
SideBox = tuple[float, float, float, float]

OVERHANG_PIXELS = 1.0
OVERHANG_SHARE = 0.01
"""A box may hang over the edge by 1 pixel or 1 % of the image's side, whichever is more; it is clipped then."""
SNAP_PIXELS = 1e-3
"""A side this close to the edge is meant to lie on it, and a box thinner than this is empty. Numbers that were once
fractions of the image carry rounding noise, and with it two formats would not read the same."""
_SKIP_HINT = "set data.on_broken to 'skip' to leave broken images and annotations out"


class ImageEntry(NamedTuple):
    """An image: its file name relative to the image folder, and its width and height in pixels, upright."""

    file_name: str
    size_wh: tuple[int, int]
    size_from_file: bool = False


class BoxEntry(NamedTuple):
    """An annotation: its image and category, its box clipped to the image in pixels, and its ignore mark.

    ``mask_area`` is that of the object's mask in square pixels, NaN where the format has none.
    """

    image_id: Key
    category_id: Key
    box_xyxy: SideBox
    ignore: bool
    mask_area: float = math.nan


@dataclass(frozen=True, slots=True)
class Parsed:
    """One part of a data set as its annotations say it.

    Attributes:
        where: The file or folder of the annotations, for sentences.
        folder: The folder of the images.
        images: By id and in order; None for one whose entry is broken.
        boxes: All annotations that are sound.
        names: Name of every category.
        broken: One sentence for each broken entry.
    """

    where: Path
    folder: Path
    images: Mapping[Key, ImageEntry | None]
    boxes: Sequence[BoxEntry]
    names: Mapping[Key, str]
    broken: Sequence[str]


def clip_box(box_xyxy: SideBox, given: Sequence[float], image: ImageEntry) -> SideBox:
    """Return a box of finite numbers clipped to its image, as float32 holds it.

    Its sides are measured as they will be kept, so that a box which was read can be written and read again.

    Args:
        box_xyxy: Left, top, right, bottom in pixels.
        given: The numbers as they stand in the file, for sentences.
        image: The image.

    Raises:
        BrokenEntryError: The box is empty, outside, or hangs over the edge by more than rounding explains.
    """
    left, top, right, bottom = box_xyxy
    width, height = image.size_wh
    box = f"has the box {list(given)}"
    place = f"the image '{image.file_name}' of {width} x {height} pixels"
    if right <= left or bottom <= top:
        raise BrokenEntryError(f"{box}, whose width or height is not positive")
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise BrokenEntryError(f"{box}, which lies outside {place}")
    slack_w, slack_h = (max(OVERHANG_PIXELS, OVERHANG_SHARE * side) for side in image.size_wh)
    if max(-left, right - width) > slack_w or max(-top, bottom - height) > slack_h:
        raise BrokenEntryError(f"{box}, which reaches beyond {place}")
    left, top, right, bottom = np.array(box_xyxy, dtype=np.float32).tolist()
    (left, right), (top, bottom) = _snapped(left, right, width), _snapped(top, bottom, height)
    if min(right - left, bottom - top) < SNAP_PIXELS:
        raise BrokenEntryError(f"{box}, which is thinner than {SNAP_PIXELS} pixels inside {place}")
    return left, top, right, bottom


def _snapped(first: float, last: float, side: int) -> tuple[float, float]:
    return (0.0 if first < SNAP_PIXELS else first), (float(side) if last > side - SNAP_PIXELS else last)


def choose_categories(
    names: Mapping[Key, str], where: Path, classes: Sequence[str] | None, kind: str = "category"
) -> list[Key]:
    """Return the categories to learn, in the order of the labels: those of ``classes``, or all in order of their ids.

    Raises:
        DataError: A class is not among the names.
    """
    ids = {name: key for key, name in names.items()}
    if classes is None:
        return sorted(names)
    unknown = [name for name in classes if name not in ids]
    if unknown:
        raise DataError(TITLE, [f"{where}: no {kind} is called '{name}'{nearest(name, ids)}" for name in unknown])
    return [ids[name] for name in classes]


def finish(
    parsed: Parsed,
    chosen: Sequence[Key],
    category_ids: Sequence[int],
    on_broken: OnBroken,
    *,
    need_objects: bool,
    verify_pixels: bool,
) -> BoxData:
    """Look at the image files and return what is sound.

    Args:
        parsed: The annotations.
        chosen: The categories to learn, in the order of the labels.
        category_ids: The COCO category id of each of them.
        on_broken: ``skip`` leaves broken images and annotations out.
        need_objects: Whether a data set without a single object is an error.
        verify_pixels: Decode every image.

    Raises:
        DataError: Something is broken, all problems at once; or nothing is left.
    """
    records = _records(parsed, chosen)
    unseen = [record for record in records if verify_pixels or not _size_from_file(parsed.images[record.id])]
    broken_files = check_images(unseen, verify_pixels)
    broken = [*parsed.broken, *broken_files.values()]
    if broken and on_broken == "error":
        raise data_error(TITLE, broken, _SKIP_HINT)
    sound = tuple(record for record in records if record.id not in broken_files)
    _check_not_empty(sound, parsed.where, need_objects)
    classes = tuple(parsed.names[key] for key in chosen)
    return BoxData(sound, classes, tuple(category_ids), (*broken, *_left_out(parsed, chosen)))


def _size_from_file(image: ImageEntry | None) -> bool:
    return image is not None and image.size_from_file


def _records(parsed: Parsed, chosen: Sequence[Key]) -> list[BoxRecord]:
    labels = {key: label for label, key in enumerate(chosen)}
    rows: defaultdict[Key, list[BoxEntry]] = defaultdict(list)
    for box in parsed.boxes:
        if box.category_id in labels:
            rows[box.image_id].append(box)
    return [
        BoxRecord(
            id=key,
            path=parsed.folder / image.file_name,
            size_wh=image.size_wh,
            boxes_xyxy=np.array([row.box_xyxy for row in rows[key]], dtype=np.float32).reshape(-1, 4),
            labels=np.array([labels[row.category_id] for row in rows[key]], dtype=np.int64),
            ignore=np.array([row.ignore for row in rows[key]], dtype=np.bool_),
            mask_areas=np.array([row.mask_area for row in rows[key]], dtype=np.float64),
        )
        for key, image in parsed.images.items()
        if image is not None
    ]


def _left_out(parsed: Parsed, chosen: Sequence[Key]) -> list[str]:
    others = Counter(box.category_id for box in parsed.boxes if box.category_id not in chosen)
    return [
        f"{parsed.where}: {count} annotations of '{parsed.names[key]}' are left out, "
        "as it is not among the classes to learn"
        for key, count in others.items()
    ]


def _check_not_empty(records: Sequence[BoxRecord], where: Path, need_objects: bool) -> None:
    if not records:
        raise DataError(TITLE, [f"{where}: the data set is empty; it has no usable image"])
    if need_objects and all(record.ignore.all() for record in records):
        raise DataError(TITLE, [f"{where}: the data set is empty; none of its {len(records)} images has an object"])

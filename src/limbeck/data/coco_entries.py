"""The entries of a COCO file, one by one: what they must hold and the sentence for what is wrong with each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Key = int | str
Entry = Mapping[str, Any]
ParsedT = TypeVar("ParsedT")

OVERHANG_PIXELS = 1.0
OVERHANG_SHARE = 0.01
"""A box may hang over the edge by 1 pixel or 1 % of the image's side, whichever is more; it is clipped then."""


class ImageEntry(NamedTuple):
    """An image: its file name relative to the image folder, and its width and height in pixels."""

    file_name: str
    size_wh: tuple[int, int]


class BoxEntry(NamedTuple):
    """An annotation: its image and category, its box clipped to the image in pixels, and its ignore mark."""

    image_id: Key
    category_id: Key
    box_xyxy: tuple[float, float, float, float]
    ignore: bool


class _BrokenEntryError(Exception):
    """What is wrong with an entry, as the predicate of a sentence: "has no 'bbox'"."""


def read_entries(
    entries: list[Any], kind: str, where: Path, broken: list[str], parse: Callable[[Entry], ParsedT | None]
) -> dict[Key, ParsedT | None]:
    """Parse the entries of one list of the file.

    Args:
        entries: The list.
        kind: What an entry is called in a sentence.
        where: The file, for the sentences.
        broken: Gets one sentence for each broken entry.
        parse: Parses one entry.

    Returns:
        The parsed entries by id, None for a broken one. Of several entries with one id the first is taken.
    """
    found: dict[Key, ParsedT | None] = {}
    for number, entry in enumerate(entries, start=1):
        key: Key | None = None
        try:
            key = _key(entry, "id")
            if key in found:
                broken.append(f"{where}: {kind} id {key!r} is used more than once")
                continue
            found[key] = parse(entry)
        except _BrokenEntryError as error:
            name = f"number {number} of the list" if key is None else repr(key)
            broken.append(f"{where}: {kind} {name} {error}")
            if key is not None:
                found[key] = None
    return found


def parse_category(entry: Entry) -> str:
    """Return the name of a category."""
    return _text(entry, "name")


def parse_image(entry: Entry) -> ImageEntry:
    """Return the file and the size of an image."""
    return ImageEntry(_text(entry, "file_name"), (_side(entry, "width"), _side(entry, "height")))


def parse_annotation(
    entry: Entry, images: Mapping[Key, ImageEntry | None], categories: Mapping[Key, str | None]
) -> BoxEntry | None:
    """Return a checked annotation, or None if its image is broken (which is a problem of the image alone)."""
    image_id = _key(entry, "image_id")
    if image_id not in images:
        raise _BrokenEntryError(f"belongs to the image id {image_id!r}, which is not in the list of images")
    category_id = _key(entry, "category_id")
    if category_id not in categories:
        raise _BrokenEntryError(f"has the category id {category_id!r}, which is not in the list of categories")
    image = images[image_id]
    if image is None:
        return None
    box_xyxy = _clipped(_box_xywh(entry), image)
    return BoxEntry(image_id, category_id, box_xyxy, bool(entry.get("iscrowd")) or bool(entry.get("ignore")))


def _box_xywh(entry: Entry) -> tuple[float, float, float, float]:
    box = _value(entry, "bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(number) for number in box)):
        raise _BrokenEntryError(f"has the box {box!r}, which is not four numbers: left, top, width, height")
    if not all(math.isfinite(number) for number in box):
        raise _BrokenEntryError(f"has the box {box}, in which not every number is finite")
    if box[2] <= 0 or box[3] <= 0:
        raise _BrokenEntryError(f"has the box {box}, whose width or height is not positive")
    return box[0], box[1], box[2], box[3]


def _clipped(box_xywh: tuple[float, float, float, float], image: ImageEntry) -> tuple[float, float, float, float]:
    left, top, width, height = box_xywh
    right, bottom = left + width, top + height
    image_w, image_h = image.size_wh
    place = f"the image '{image.file_name}' of {image_w} x {image_h} pixels"
    if left >= image_w or top >= image_h or right <= 0 or bottom <= 0:
        raise _BrokenEntryError(f"has the box {list(box_xywh)}, which lies outside {place}")
    slack_w, slack_h = (max(OVERHANG_PIXELS, OVERHANG_SHARE * side) for side in image.size_wh)
    if max(-left, right - image_w) > slack_w or max(-top, bottom - image_h) > slack_h:
        raise _BrokenEntryError(f"has the box {list(box_xywh)}, which reaches beyond {place}")
    return max(left, 0.0), max(top, 0.0), min(right, float(image_w)), min(bottom, float(image_h))


def _value(entry: Any, name: str) -> Any:
    if not isinstance(entry, dict):
        raise _BrokenEntryError(f"is not an object but {entry!r:.40}")
    if name not in entry:
        raise _BrokenEntryError(f"has no '{name}'")
    return entry[name]


def _key(entry: Any, name: str) -> Key:
    value = _value(entry, name)
    if not isinstance(value, int | str):
        raise _BrokenEntryError(f"has the {name} {value!r}, which is neither an integer nor a text")
    return value


def _text(entry: Entry, name: str) -> str:
    value = _value(entry, name)
    if not isinstance(value, str) or not value:
        raise _BrokenEntryError(f"has the {name} {value!r}, which is not a text")
    return value


def _side(entry: Entry, name: str) -> int:
    value = _value(entry, name)
    if not _is_number(value) or not math.isfinite(value) or value < 1 or value != int(value):
        raise _BrokenEntryError(f"has the {name} {value!r}, which is not a positive integer")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

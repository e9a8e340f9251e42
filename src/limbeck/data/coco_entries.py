"""The entries of a COCO file, one by one: what they must hold and the sentence for what is wrong with each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from limbeck.data.parsed import BoxEntry, ImageEntry, Key, clip_box
from limbeck.errors import BrokenEntryError

Entry = Mapping[str, Any]
ParsedT = TypeVar("ParsedT")


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
        except BrokenEntryError as error:
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
        raise BrokenEntryError(f"belongs to the image id {image_id!r}, which is not in the list of images")
    category_id = _key(entry, "category_id")
    if category_id not in categories:
        raise BrokenEntryError(f"has the category id {category_id!r}, which is not in the list of categories")
    image = images[image_id]
    if image is None:
        return None
    left, top, width, height = box = _box_xywh(entry)
    box_xyxy = clip_box((left, top, left + width, top + height), box, image)
    ignore = bool(entry.get("iscrowd")) or bool(entry.get("ignore"))
    return BoxEntry(image_id, category_id, box_xyxy, ignore, _mask_area(entry))


def _box_xywh(entry: Entry) -> tuple[float, float, float, float]:
    box = _value(entry, "bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(number) for number in box)):
        raise BrokenEntryError(f"has the box {box!r}, which is not four numbers: left, top, width, height")
    if not all(math.isfinite(number) for number in box):
        raise BrokenEntryError(f"has the box {box}, in which not every number is finite")
    return box[0], box[1], box[2], box[3]


def _mask_area(entry: Entry) -> float:
    area = entry.get("area")
    if area is None:
        return math.nan
    if not (_is_number(area) and 0 <= area < math.inf):
        raise BrokenEntryError(f"has the area {area!r}, which is not a number of square pixels")
    return float(area)


def _value(entry: Any, name: str) -> Any:
    if not isinstance(entry, dict):
        raise BrokenEntryError(f"is not an object but {entry!r:.40}")
    if name not in entry:
        raise BrokenEntryError(f"has no '{name}'")
    return entry[name]


def _key(entry: Any, name: str) -> Key:
    value = _value(entry, name)
    if not isinstance(value, int | str):
        raise BrokenEntryError(f"has the {name} {value!r}, which is neither an integer nor a text")
    return value


def _text(entry: Entry, name: str) -> str:
    value = _value(entry, name)
    if not isinstance(value, str) or not value:
        raise BrokenEntryError(f"has the {name} {value!r}, which is not a text")
    return value


def _side(entry: Entry, name: str) -> int:
    value = _value(entry, name)
    if not _is_number(value) or not math.isfinite(value) or value < 1 or value != int(value):
        raise BrokenEntryError(f"has the {name} {value!r}, which is not a positive integer")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
